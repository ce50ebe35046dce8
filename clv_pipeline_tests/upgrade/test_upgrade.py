"""The night after an upgrade: a home and a clv.yaml of the version before keep working, and their history is kept.

`home.tar.gz` is the warehouse and the publication that commit 8e869f1 made of `first.csv` with `clv.yaml`, whose
champion is a model that is gone.
"""

from __future__ import annotations

import shutil
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import duckdb
import polars as pl
import pytest

from clv_pipeline.cli.notices import notices
from clv_pipeline.config.settings import Settings
from clv_pipeline.database.connections import open_read_only
from clv_pipeline.orchestration.jobs import review_is_due
from clv_pipeline.orchestration.runner import Outcome, run_nightly
from clv_pipeline.pipeline import Pipeline, Refresh
from clv_pipeline.publication.versions import kept_versions
from clv_pipeline_tests.helpers.graph_shop import erased

HERE = Path(__file__).parent
THEN, NOW = date(2024, 2, 20), date(2024, 3, 1)
HISTORIES = ("forecast_history", "champion_history", "customer_snapshots")

Tables = dict[str, pl.DataFrame]


@dataclass(frozen=True)
class Upgraded:
    """The shop before its first night with today's code, and after it."""

    settings: Settings
    review_was_due: bool
    before: Tables
    outcome: Outcome
    lines: list[str]
    after: Tables


def histories(settings: Settings) -> Tables:
    with open_read_only(settings.warehouse_path) as warehouse:
        return {table: warehouse.sql(f"from {table} order by all").pl() for table in HISTORIES}


def test_somebody_is_forgotten_in_a_version_whose_report_cannot_be_written_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tarfile.open(HERE / "home.tar.gz") as home:
        home.extractall(tmp_path, filter="data")
    shutil.copyfile(HERE / "clv.yaml", tmp_path / "clv.yaml")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CLV_HOME", raising=False)
    settings = Settings.load(tmp_path / "clv.yaml")
    [before] = (settings.published_dir / "versions").iterdir()
    # The archive has no Parquet, which would be half of its size.
    (before / "parquet").mkdir()
    with duckdb.connect(str(before / "clv.duckdb"), read_only=True) as published:
        for (table,) in published.execute("select table_name from duckdb_tables()").fetchall():
            published.execute(f"copy {table} to '{before}/parquet/{table}.parquet'")
        [(gone,)] = published.execute("select max(customer_id) from customer_overview").fetchall()
    assert (before / "report.html").exists()
    assert erased(settings, [gone]).publications == 1
    [after] = (settings.published_dir / "versions").iterdir()
    assert after.name == f"{before.name}~1"
    assert not (after / "report.html").exists()
    with duckdb.connect(str(settings.published_dir / "current" / "clv.duckdb"), read_only=True) as served:
        left = served.execute("select count(*) from customer_overview where customer_id = ?", [gone]).fetchall()
    assert left == [(0,)]


@pytest.fixture(scope="module")
def upgraded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Upgraded]:
    folder = tmp_path_factory.mktemp("upgraded")
    with tarfile.open(HERE / "home.tar.gz") as home:
        home.extractall(folder, filter="data")
    (folder / "orders").mkdir()
    for orders in ("first.csv", "next.csv"):
        shutil.copyfile(HERE / orders, folder / "orders" / orders)
    shutil.copyfile(HERE / "clv.yaml", folder / "clv.yaml")
    with pytest.MonkeyPatch.context() as environment:
        environment.chdir(folder)
        environment.delenv("CLV_HOME", raising=False)
        environment.setenv("DAGSTER_HOME", str(folder / "home" / "dagster"))
        settings = Settings.load(folder / "clv.yaml")
        before, due = histories(settings), review_is_due(Pipeline.of(settings))
        lines: list[str] = []
        outcome = run_nightly(settings, select=None, refresh=Refresh(), echo=lines.append)
        yield Upgraded(settings, due, before, outcome, lines, histories(settings))


def test_the_night_reviews_the_models_anew_and_publishes(upgraded: Upgraded) -> None:
    assert upgraded.review_was_due
    assert upgraded.outcome.success, "\n".join(upgraded.lines)
    assert upgraded.outcome.published
    assert not review_is_due(Pipeline.of(upgraded.settings))
    assert [version and version.as_of for version in kept_versions(upgraded.settings.published_dir).values()] == [
        NOW,
        THEN,
    ]


def test_what_clv_yaml_says_is_read_by_todays_names_and_told(upgraded: Upgraded) -> None:
    assert upgraded.settings.models == ["own_rate", "bg_nbd", "hybrid"]
    folds, glm, *defaults = notices(upgraded.settings)
    assert folds.startswith("backtest.folds: is no longer a key")
    assert glm.startswith("models: glm is gone, and read as `hybrid`")
    assert [notice.partition(":")[0] for notice in defaults] == [
        "gates.files",
        "gates.kept",
        "cleaning.returns",
        "contact_costs",
    ]


@pytest.mark.parametrize("table", HISTORIES)
def test_what_was_kept_from_earlier_runs_stays_and_todays_is_added(upgraded: Upgraded, table: str) -> None:
    before, after = upgraded.before[table], upgraded.after[table]
    assert set(before["as_of"]) == {THEN}
    earlier = after.filter(pl.col("as_of") == THEN)
    assert earlier.select(before.columns).equals(before)
    added = [column for column in after.columns if column not in before.columns]
    assert all(earlier[column].is_null().all() for column in added)
    assert NOW in set(after["as_of"])


def test_forecasts_of_the_model_that_is_gone_are_followed_up(upgraded: Upgraded) -> None:
    assert set(upgraded.before["forecast_history"]["model"]) == {"glm"}
    todays = upgraded.after["champion_history"].filter(pl.col("as_of") == NOW)
    assert set(todays["previous_model"]) == {"glm", "hybrid"}
    with duckdb.connect(str(upgraded.settings.published_dir / "current" / "clv.duckdb"), read_only=True) as served:
        followed = served.sql("select model from forecast_tracking where as_of = $then", params={"then": THEN})
        assert set(followed.fetchall()) == {("glm",)}
