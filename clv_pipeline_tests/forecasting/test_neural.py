"""The neural correction: it finds lines and what no line is, begins with nothing, and forecasts without JAX."""

from __future__ import annotations

import json
import sys
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings

from clv_pipeline.forecasting import neural
from clv_pipeline.forecasting.correction import LOG_LIMITS, NoCorrection, PieceFeatures, PieceRows
from clv_pipeline.forecasting.families import ParetoNbdPath
from clv_pipeline.forecasting.ground import Ground
from clv_pipeline.forecasting.neural import MOST_ROUNDS, PATIENCE, HybridNeural, NeuralCorrection, Trainer, run
from clv_pipeline.forecasting.protocol import PIECES_DAYS
from clv_pipeline.forecasting.residual import Residual
from clv_pipeline_tests.forecasting.planted import (
    VIP,
    came,
    exactly_one,
    ground,
    has,
    log_factors,
    rows,
    with_attributes,
)
from clv_pipeline_tests.helpers.forecast_examples import CUTOFF, any_customers, shop

WITHOUT_JAX = "jax, equinox and optax are the extra `neural`"


def learned(planted: PieceRows) -> NeuralCorrection:
    correction = NeuralCorrection.learn(planted)
    assert isinstance(correction, NeuralCorrection)
    return correction


@pytest.fixture(scope="module")
def either() -> tuple[PieceRows, NeuralCorrection]:
    """Customers with exactly one of two attributes buy more, and what was learned of them."""
    pytest.importorskip("jax", reason=WITHOUT_JAX)
    planted = came(np.where(exactly_one(), 0.5, -0.5))
    return planted, learned(planted)


@pytest.fixture
def left(either: tuple[PieceRows, NeuralCorrection]) -> Residual:
    """What the process leaves of them."""
    return Residual.of(either[1].features, NoCorrection(), either[0])


def test_what_two_attributes_say_only_together_is_found(either: tuple[PieceRows, NeuralCorrection]) -> None:
    planted, network = either
    logs, one = log_factors(network, planted), exactly_one()
    for piece in planted.pieces[:3]:
        assert logs[one, piece].mean() - logs[~one, piece].mean() == pytest.approx(0.9, abs=0.2)


def test_who_buys_twice_as_much_is_found() -> None:
    pytest.importorskip("jax", reason=WITHOUT_JAX)
    planted = came(np.where(has(VIP), np.log(2.0), 0.0))
    network = learned(planted)
    logs = log_factors(network, planted)
    # All together buy as much as came: what is told apart is told of those without the attribute too.
    assert 0.4 < logs[has(VIP), 0].mean() - logs[~has(VIP), 0].mean() < 0.8
    assert next(iter(network.description["goes_with"])) == VIP


def test_where_the_process_is_right_nothing_is_trained() -> None:
    pytest.importorskip("jax", reason=WITHOUT_JAX)
    right = came(np.zeros(len(rows().window)))
    network = learned(right)
    assert network.description["rounds"] <= 1
    np.testing.assert_allclose(log_factors(network, right), 0.0, atol=0.05)


def test_without_purchases_there_is_no_network(either: tuple[PieceRows, NeuralCorrection]) -> None:
    none = replace(either[0], came=np.where(np.isfinite(either[0].came), 0.0, np.nan))
    assert NeuralCorrection.learn(none) == NoCorrection()


def test_learned_again_it_is_the_same(either: tuple[PieceRows, NeuralCorrection]) -> None:
    planted, network = either
    again = learned(planted)
    assert again.parameters == network.parameters
    np.testing.assert_array_equal(log_factors(again, planted), log_factors(network, planted))


def test_training_begins_with_nothing_and_ends_some_rounds_after_the_best(left: Residual) -> None:
    trainer = Trainer(left)
    losses = trainer.losses([(np.flatnonzero(teach), np.flatnonzero(judge)) for teach, judge in left.folds()])
    best = int(np.argmin(losses))
    assert len(losses) == min(best + PATIENCE, MOST_ROUNDS) + 1
    assert losses[best] < losses[0] == pytest.approx(1.0, rel=1e-5)
    everybody = np.arange(len(left.came))
    assert not run(trainer.train(everybody, 0), left.inputs).any()


def test_numpy_computes_what_was_trained(left: Residual) -> None:
    trainer = Trainer(left)
    teach, judge = (np.flatnonzero(chosen) for chosen in next(left.folds()))
    weight = left.weight / np.mean(left.expected * left.weight)
    for rounds in (1, 3):
        said = np.clip(run(trainer.train(teach, rounds), left.inputs), -3.0, 3.0)
        each = weight * (left.expected * np.exp(said) - left.came * said)
        assert trainer.losses([(teach, judge)])[rounds] == pytest.approx(each[judge].mean(), rel=1e-4)


def test_shops_of_all_sizes_share_one_compilation(
    either: tuple[PieceRows, NeuralCorrection], caplog: pytest.LogCaptureFixture
) -> None:
    import jax

    neural._programs.cache_clear()
    planted = either[0]
    compiled = []
    for share in (1, 4):
        part = np.arange(len(planted.window)) % share == 0
        some = PieceRows(
            planted.customers.filter(pl.Series(part)),
            *(getattr(planted, name)[part] for name in ("window", "alive", "expected", "days", "came")),
        )
        caplog.clear()
        with jax.log_compiles():
            trainer = Trainer(Residual.of(PieceFeatures.learn(some), NoCorrection(), some))
            trainer.train(np.arange(50), 1)
        compiled.append([record.getMessage() for record in caplog.records])
    assert compiled[0], "JAX tells what it compiles"
    assert compiled[1] == []


@given(customers=any_customers())
@settings(max_examples=20)
def test_any_customer_has_factors_within_bounds_that_depend_on_nobody_else(
    either: tuple[PieceRows, NeuralCorrection], customers: pl.DataFrame
) -> None:
    asked, network = with_attributes(customers), either[1]
    n = customers.height
    alive, expected, days = np.linspace(0.0, 1.0, n), np.full((n, 4), 0.3), np.full((n, 4), 40.0)
    logs = network.log_factors(asked, alive, expected, days)
    assert ((logs >= LOG_LIMITS[0]) & (logs <= LOG_LIMITS[1])).all()
    alone = [
        network.log_factors(asked[row : row + 1], alive[row : row + 1], expected[row : row + 1], days[row : row + 1])
        for row in range(n)
    ]
    np.testing.assert_array_equal(np.vstack(alone), logs)


def test_forecasting_needs_no_jax_and_no_other_customer(
    either: tuple[PieceRows, NeuralCorrection], monkeypatch: pytest.MonkeyPatch
) -> None:
    planted, network = either
    whole = log_factors(network, planted)
    for package in ("jax", "equinox", "optax"):
        monkeypatch.setitem(sys.modules, package, None)
    for size in (1, 63, 64, 65, 257):
        part = slice(100, 100 + size)
        asked = (planted.customers[part], planted.alive[part], planted.expected[part], planted.days[part])
        np.testing.assert_array_equal(network.log_factors(*asked), whole[part], err_msg=str(size))


def test_the_family_redistributes_and_does_not_contradict_itself() -> None:
    pytest.importorskip("jax", reason=WITHOUT_JAX)
    customers = ground().training.current_customers
    network, plain = (family().fit(ground()) for family in (HybridNeural, ParetoNbdPath))
    paths, other = (fitted.forecast(customers, PIECES_DAYS) for fitted in (network, plain))
    paths.require_coherence()
    assert paths.purchases is not None
    assert other.purchases is not None
    np.testing.assert_allclose(paths.purchases.sum(axis=0), other.purchases.sum(axis=0), rtol=1e-6)
    told = network.report.parameters["correction"]
    assert json.loads(json.dumps(told)) == told
    assert "rounds" in told["added"]


def test_where_jax_is_absent_the_process_stands_and_the_report_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "jax", None)
    one = Ground(shop(200).training(CUTOFF))
    network, plain = (family().fit(one) for family in (HybridNeural, ParetoNbdPath))
    assert network.report.verdict == "no_training_data"
    assert "JAX is not installed: pip install 'clv_pipeline[neural]'. The process stands." in network.report.notes
    customers = one.training.current_customers
    assert network.can_forecast(90)
    assert network.forecast(customers, [90]).frame().equals(plain.forecast(customers, [90]).frame())
