"""What Dagster calls stale is what the gate would build anew: asked of Dagster as its UI asks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg
import pytest
import yaml

from clv_pipeline.config.settings import Settings
from clv_pipeline.contracts.loader import load_models
from clv_pipeline.orchestration.gated_step import BUILT_AT, EVALUATION, KEPT
from clv_pipeline.orchestration.run_origin import WAREHOUSE_TAG
from clv_pipeline.orchestration.runner import Outcome, run_nightly
from clv_pipeline.pipeline import Pipeline, Refresh
from clv_pipeline.warehouse.gate import reasons_against_publishing
from clv_pipeline_tests.helpers.graph_shop import COLUMNS, Shop

ROOT = Path(__file__).parents[2]
STALENESS = "{assetNodes {assetKey {path} staleStatus}}"
RUNS = (
    '{runsOrError(filter: {tags: [{key: ".dagster/repository", value: "__repository__@clv_pipeline.definitions"}]})'
    " {... on Runs {results {runId pipelineName status repositoryOrigin {repositoryName repositoryLocationName}}}}}"
)


class Office:
    """A shop with its `clv.yaml` and a Dagster instance on disk, as `clv run` and the UI share them."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        self.config = shop.folder / "clv.yaml"
        self.config.write_text(
            yaml.safe_dump(
                {
                    "source": {"transactions": {"path": "orders/*.csv", "columns": {name: name for name in COLUMNS}}},
                    "models": ["own_rate", "pareto_nbd"],
                    "forecast": {"horizons_days": [30]},
                    "backtest": {"origins": 1},
                    "storage": {"home": str(shop.folder / "home")},
                    "owners": ["team:marketing", "ann@example.com"],
                }
            )
        )

    @property
    def settings(self) -> Settings:
        return Settings.load(self.config)

    def run(self, select: str | None = None, refresh: Refresh | None = None) -> Outcome:
        return run_nightly(self.settings, select=select, refresh=refresh or Refresh(), echo=print)

    def ask(self, query: str) -> dict[str, object]:
        """An answer of the GraphQL interface that the UI draws, on this package as its code location."""
        command = [str(Path(sys.executable).with_name("dagster-graphql")), "--workspace", "workspace.yaml"]
        environment = {**os.environ, "CLV_CONFIG": str(self.config), "DAGSTER_DISABLE_TELEMETRY": "1"}
        # Into a file, because the code server prints into the same output.
        file = self.shop.folder / "answer.json"
        asked = subprocess.run(
            [*command, "--text", query, "--output", str(file)],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert asked.returncode == 0, asked.stderr
        answer: dict[str, object] = json.loads(file.read_text())["data"]
        return answer

    def status(self) -> dict[str, str]:
        """Of every table: FRESH, STALE or MISSING."""
        nodes = self.ask(STALENESS)["assetNodes"]
        assert isinstance(nodes, list)
        return {"/".join(node["assetKey"]["path"]): node["staleStatus"] for node in nodes}

    def stale(self) -> set[str]:
        return {table for table, status in self.status().items() if status != "FRESH"}

    def outdated(self) -> set[str]:
        """The tables that the gate calls older than what they are built from."""
        pipeline = Pipeline.of(self.settings)
        contracts = [model.contract for model in pipeline.models.values() if model.contract.table != "publication"]
        session = pipeline.warehouse.open("test")
        try:
            reasons = reasons_against_publishing(session, contracts)
        finally:
            pipeline.warehouse.close()
        return {reason.split(" is older than ")[0] for reason in reasons if " is older than " in reason}


@pytest.fixture(scope="module")
def office(new_shop: Callable[[], Shop]) -> Iterator[Office]:
    """One night has passed."""
    with pytest.MonkeyPatch.context() as patch:
        office = Office(new_shop())
        patch.setenv("DAGSTER_HOME", str(office.shop.folder / "dagster"))
        office.shop.write_orders("may.csv", 2_000, seed=1)
        assert office.run().success
        yield office


def test_after_a_night_nothing_is_stale_and_a_night_without_news_changes_nothing(office: Office) -> None:
    assert office.stale() == set()
    assert office.run().success
    assert office.stale() == set()


def test_a_kept_table_says_when_it_was_built_and_keeps_its_data_version(office: Office) -> None:
    with dg.DagsterInstance.get() as instance:
        records = instance.fetch_materializations(dg.AssetKey("rfm"), limit=2).records
    newest, oldest = (record.asset_materialization for record in records)
    assert newest is not None
    assert oldest is not None
    assert newest.tags is not None
    assert oldest.tags is not None
    assert newest.tags["dagster/data_version"] == oldest.tags["dagster/data_version"]
    assert [KEPT in newest.metadata, KEPT in oldest.metadata] == [True, False]
    assert newest.metadata[BUILT_AT].value == pytest.approx(records[1].timestamp, abs=60)
    assert next(iter(newest.metadata)) == KEPT


def test_runs_of_clv_run_are_runs_of_the_job_in_the_ui(office: Office) -> None:
    found = office.ask(RUNS)["runsOrError"]
    assert isinstance(found, dict)
    assert len(found["results"]) == 2
    for run in found["results"]:
        assert run["pipelineName"] == "nightly_refresh"
        assert run["status"] == "SUCCESS"
        assert run["repositoryOrigin"] == {
            "repositoryName": "__repository__",
            "repositoryLocationName": "clv_pipeline.definitions",
        }
    with dg.DagsterInstance.get() as instance:
        assert all(WAREHOUSE_TAG in run.tags for run in instance.get_runs())


def test_other_settings_make_all_stale_that_the_next_night_builds_anew(office: Office) -> None:
    before = office.config.read_text()
    office.config.write_text(yaml.safe_dump(yaml.safe_load(before) | {"cleaning": {"outliers": "cap"}}))
    assert set(office.status().values()) == {"STALE"}
    office.config.write_text(before)
    assert office.stale() == set()


@pytest.mark.acceptance
@pytest.mark.nightly
@pytest.mark.timeout(1200)
def test_new_rows_make_stale_what_the_gate_calls_outdated_layer_by_layer(office: Office) -> None:
    office.shop.write_orders("june.csv", 1_000, seed=2)
    assert office.run("raw_transactions").success
    first = stale_as_the_gate_says(office)
    assert "converted_transactions" in first
    # These read tables of later layers too, which are not built anew yet.
    built = first - {"accepted_findings", "published_marts"}
    assert office.run(" or ".join(sorted(built))).success
    second = stale_as_the_gate_says(office)
    assert "cleaned_transactions" in second
    assert not built & second, "what was built is stale again"
    assert office.run().success
    # The model review has a rhythm of its own.
    review = {name for name, model in load_models().items() if model.contract.layer == EVALUATION}
    assert office.stale() <= review


def stale_as_the_gate_says(office: Office) -> set[str]:
    """The stale tables, once they are seen to be those that the gate calls outdated.

    Dagster counts tables that a contract only waits for, and the publication is no table of the gate.
    """
    stale, models = office.stale(), load_models()
    waiting = {name for name in stale & models.keys() if models[name].contract.waits_for}
    assert stale - waiting - {"published_marts"} <= office.outdated() <= stale
    return stale
