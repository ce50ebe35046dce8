"""A clv.yaml of an earlier version still runs, and its owner is told what it is taken for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import duckdb
import pytest
from click.testing import CliRunner

from clv_pipeline.cli.commands import main
from clv_pipeline.cli.notices import notices
from clv_pipeline.config.earlier import changed_defaults
from clv_pipeline.config.settings import Settings
from clv_pipeline.contracts.loader import load_models
from clv_pipeline_tests.config.files import MINIMAL, error_of, load, with_block


@pytest.mark.parametrize(("folds", "origins"), [(3, 13), (1, 13), (20, 20)])
def test_folds_are_read_as_so_many_monthly_origins_or_as_many_as_reach_the_season_ahead(
    tmp_path: Path, folds: int, origins: int
) -> None:
    settings = load(tmp_path, with_block(backtest={"folds": folds, "cutoffs": ["2011-03-09"]}))
    assert settings.backtest.origins == origins
    assert settings.backtest.cutoffs is not None
    [notice] = settings.notices
    assert notice.startswith(f"backtest.folds: is no longer a key, and read as `origins: {origins}`")


def test_origins_count_where_both_are_written(tmp_path: Path) -> None:
    assert load(tmp_path, with_block(backtest={"folds": 5, "origins": 2})).backtest.origins == 2


@pytest.mark.parametrize("folds", [0, "three", True, 2.5])
def test_folds_that_never_were_right_are_no_key_at_all(tmp_path: Path, folds: Any) -> None:
    assert "backtest.folds: unknown key" in error_of(tmp_path, with_block(backtest={"folds": folds}))


def test_models_that_are_gone_are_read_as_what_replaces_them_once_each(tmp_path: Path) -> None:
    written = ["own_rate", "glm", "boosted_hurdle", "linear_regression", "neural", "bg_nbd", "boosted_classifier"]
    settings = load(tmp_path, with_block(models=written))
    assert settings.models == ["own_rate", "hybrid", "hybrid_boosted", "hybrid_neural", "bg_nbd"]
    assert [notice.split(";")[0] for notice in settings.notices] == [
        "models: glm, linear_regression are gone, and read as `hybrid`",
        "models: boosted_hurdle, boosted_classifier are gone, and read as `hybrid_boosted`",
        "models: neural is gone, and read as `hybrid_neural`",
    ]


def test_a_model_beside_one_that_it_replaces_stays_where_it_is_written(tmp_path: Path) -> None:
    assert load(tmp_path, with_block(models=["logistic", "bg_nbd", "hybrid"])).models == ["bg_nbd", "hybrid"]


def test_a_model_that_is_written_twice_is_a_mistake_still(tmp_path: Path) -> None:
    for models in (["glm", "hybrid", "hybrid"], ["bg_nbd", "bg_nbd"]):
        assert "models: should name each model once" in error_of(tmp_path, with_block(models=models))


def test_the_old_and_the_new_name_make_the_same_tables(tmp_path: Path) -> None:
    old = load(tmp_path, with_block(models=["own_rate", "glm"], backtest={"folds": 3}))
    new = load(tmp_path, with_block(models=["own_rate", "hybrid"]))
    assert (old.recipe_hash, old.config_hash) == (new.recipe_hash, new.config_hash)


def publish(settings: Settings, version: str, *tables: str) -> None:
    """A kept version that says of itself that it holds these tables."""
    folder = settings.published_dir / "versions" / version
    folder.mkdir(parents=True)
    listed = json.dumps([{"table": table, "rows": 1, "content_hash": "x"} for table in tables])
    with duckdb.connect(str(folder / "clv.duckdb")) as file:
        file.execute(
            "create table publication as select 'run' as run_id, timestamp '2024-01-01' as published_at,"
            " date '2024-01-01' as as_of, $listed as tables",
            {"listed": listed},
        )


NEW_SINCE = ("served_accuracy", "file_gates", "currency_ledger", "matched_returns", "segment_advice", "dim_customer")


def test_every_version_from_now_on_publishes_the_tables_that_tell_it_from_earlier_ones(tmp_path: Path) -> None:
    assert tuple(changed_defaults(load(tmp_path, MINIMAL))) == NEW_SINCE
    assert all(load_models()[table].contract.published for table in NEW_SINCE)


def test_who_starts_now_is_told_of_no_default(tmp_path: Path) -> None:
    settings = load(tmp_path, MINIMAL)
    assert notices(settings) == []
    publish(settings, "new", "rfm", *NEW_SINCE)
    assert notices(settings) == []


def test_who_comes_from_an_earlier_version_is_told_which_defaults_have_changed_until_the_key_is_written(
    tmp_path: Path,
) -> None:
    settings = load(tmp_path, MINIMAL)
    publish(settings, "old", "rfm", "score_replicates")
    publish(settings, "new", "rfm", *NEW_SINCE)
    models, origins, files, kept, returns, costs = notices(settings)
    assert models.startswith("models: the default has changed to [own_rate, last_window")
    assert origins.startswith("backtest.origins: models are tried out from 13 monthly days now")
    assert files.startswith("gates.files: a file that is not as usual stops a run now (`error`)")
    assert kept.startswith("gates.kept: ")
    assert returns.startswith("cleaning.returns: a negative amount is taken off the purchase that it belongs to now")
    assert costs.startswith("contact_costs: what a contact costs decides now by which channel to reach a customer")
    assert "0.05 for an e-mail, 1.50 for a letter, 8.00 for a call" in costs
    assert notices(load(tmp_path, with_block(models=["hybrid"]))) == [origins, files, kept, returns, costs]
    assert notices(load(tmp_path, with_block(backtest={"origins": 13}))) == [models, files, kept, returns, costs]
    warned = load(tmp_path, with_block(gates={"files": "warn", "kept": "warn"}))
    assert notices(warned) == [models, origins, returns, costs]
    assert notices(load(tmp_path, with_block(contact_costs={"email": 0.05}))) == [models, origins, files, kept, returns]
    read_as = load(tmp_path, with_block(models=["glm"], backtest={"folds": 3}))
    assert notices(read_as) == [*read_as.notices, files, kept, returns, costs]


def test_who_comes_from_the_version_before_the_file_gates_is_told_of_them_alone(tmp_path: Path) -> None:
    settings = load(tmp_path, MINIMAL)
    publish(settings, "old", "rfm", "served_accuracy", "matched_returns", "segment_advice")
    assert [notice.partition(":")[0] for notice in notices(settings)] == ["gates.files", "gates.kept"]


def test_a_default_is_no_news_where_there_is_no_file_to_write_it_into(tmp_path: Path) -> None:
    settings = Settings.load()
    publish(settings, "old", "rfm")
    assert notices(settings) == []


def test_clv_check_tells_it_before_anything_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "orders").mkdir()
    (tmp_path / "orders" / "a.csv").write_text("Customer ID,Date,Total\nann,2024-01-05,7.00\n")
    (tmp_path / "clv.yaml").write_text(with_block(models=["own_rate", "glm"]))
    done = CliRunner().invoke(main, ["check"])
    assert done.exit_code == 0
    assert "note: models: glm is gone, and read as `hybrid`; write that instead\n" in done.output
