import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from clv_pipeline.forecasting.frames import Floats
from clv_pipeline.forecasting.zero_inflated_lognormal import SIGMA_RANGE, Distribution, Outcomes, Scale, loss

ROWS = pl.DataFrame({"actual_purchases": [0, 0, 1, 3, 2], "actual_spend": [0.0, 0.0, 10.0, 250.0, 40.0]})
SCALE = Scale.of(ROWS)


def heads(*rows: list[float]) -> Floats:
    return np.array(rows, dtype=np.float64)


def test_the_loss_is_the_likelihood_of_what_came() -> None:
    from scipy import stats

    said = Distribution.of(heads([0.3, -0.5, 0.2, 0.7], [-1.0, 1.5, -0.8, -0.4]), np)
    buyer_once_more, stranger = Outcomes(*np.array([[1, 0], [1, 0], [0.4, 0], [2, 0]], dtype=np.float64)), 1
    p = 1.0 / (1.0 + np.exp(-said.logit))
    parts = (
        np.log(p[0]),
        stats.norm.logpdf(0.4, said.mu[0], said.sigma[0]) + 0.5 * np.log(2.0 * np.pi),
        stats.poisson.logpmf(2, np.exp(said.log_rate[0])) + np.log(2.0),
    )
    expected = [-sum(parts), -np.log(1.0 - p[stranger])]
    np.testing.assert_allclose(loss(said, buyer_once_more, np), expected, rtol=1e-12)


def test_expectations_are_the_means_of_draws() -> None:
    scale = Scale(center=3.0, spread=1.2, largest_spend=1e6, share_of_buyers=0.4, further_purchases=0.8)
    said = Distribution.of(heads([-0.4, 0.6, 0.1, 0.3]), np)
    rng, draws = np.random.default_rng(3), 400_000
    buys = rng.random(draws) < 1.0 / (1.0 + np.exp(0.4))
    spend = np.exp(scale.center + scale.spread * rng.normal(said.mu, said.sigma, draws))
    purchases = 1 + rng.poisson(np.exp(said.log_rate), draws)
    mean = scale.expected(said)
    assert mean.p_purchase is not None
    assert mean.purchases is not None
    assert mean.spend is not None
    assert mean.p_purchase[0] == pytest.approx(buys.mean(), rel=0.01)
    assert mean.purchases[0] == pytest.approx((buys * purchases).mean(), rel=0.01)
    assert mean.spend[0] == pytest.approx((buys * spend).mean(), rel=0.03)


def test_the_average_heads_say_the_average_customer() -> None:
    said = Distribution.of(SCALE.average_heads[None, :], np)
    mean = SCALE.expected(said)
    assert mean.p_purchase is not None
    assert mean.purchases is not None
    assert mean.p_purchase[0] == pytest.approx(3.5 / 6.0)
    assert mean.purchases[0] / mean.p_purchase[0] == pytest.approx(2.0)
    assert (said.mu[0], said.sigma[0]) == (0.0, pytest.approx(1.0))


@given(hnp.arrays(np.float64, (5, 4), elements=st.floats(-1e6, 1e6)))
def test_no_output_of_a_network_makes_a_forecast_or_a_loss_explode(anything: Floats) -> None:
    said = Distribution.of(anything, np)
    assert ((said.sigma >= SIGMA_RANGE[0]) & (said.sigma <= SIGMA_RANGE[1])).all()
    assert np.isfinite(loss(said, SCALE.outcomes(ROWS), np)).all()
    mean = SCALE.expected(said)
    for values, limit in ((mean.p_purchase, 1.0), (mean.purchases, 1.0 + np.exp(8.0)), (mean.spend, 250.0 + 1e-9)):
        assert values is not None
        assert ((values >= 0.0) & (values <= limit)).all()


def test_who_got_the_money_back_is_a_buyer_without_spend() -> None:
    rows = pl.DataFrame({"actual_purchases": [1, 2], "actual_spend": [-5.0, 40.0]})
    came = Scale.of(rows).outcomes(rows)
    assert (came.bought.tolist(), came.spent.tolist(), came.log_spend.tolist()) == ([1.0, 1.0], [0.0, 1.0], [0.0, 0.0])


def test_one_purchase_each_at_one_price_has_a_scale() -> None:
    rows = pl.DataFrame({"actual_purchases": [1] * 30_000, "actual_spend": [9.99] * 30_000})
    scale = Scale.of(rows)
    mean = scale.expected(Distribution.of(scale.average_heads[None, :], np))
    assert mean.spend is not None
    assert mean.purchases is not None
    assert mean.spend[0] == pytest.approx(9.99, rel=1e-3)
    assert mean.purchases[0] == pytest.approx(1.0, abs=0.02)
