"""The Superset dashboard of examples/ fits the published tables; that it draws is tested in acceptance/."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml

from clv_pipeline_tests.helpers.empty_publication import empty_publication

EXAMPLE = Path(__file__).parents[1] / "examples" / "superset_dashboard"
NOT_NARROWED_BY_THE_HORIZON = {"Expected of all customers of today, by horizon", "Campaigns with a control group"}
"""Charts with a horizon_days of their own: they show all of them, or those of campaigns."""


def read(folder: str) -> list[dict[str, Any]]:
    files = sorted((EXAMPLE / folder).rglob("*.yaml"))
    assert files
    return [yaml.safe_load(file.read_text(encoding="utf-8")) for file in files]


CHARTS = {chart["uuid"]: chart for chart in read("charts")}
COLUMNS = {dataset["uuid"]: {c["column_name"] for c in dataset["columns"]} for dataset in read("datasets")}
[DASHBOARD] = read("dashboards")
PLACES = [part["meta"] for part in DASHBOARD["position"].values() if isinstance(part, dict) and part["type"] == "CHART"]
FILTERS = {part["name"]: part for part in DASHBOARD["metadata"]["native_filter_configuration"]}


@pytest.fixture(scope="module")
def empty() -> Iterator[duckdb.DuckDBPyConnection]:
    """A database with the published tables and without rows."""
    with empty_publication() as client:
        yield client


@pytest.mark.parametrize("dataset", read("datasets"), ids=lambda dataset: dataset["table_name"])
def test_a_dataset_has_the_columns_of_its_published_table_or_of_its_query(
    empty: duckdb.DuckDBPyConnection, dataset: dict[str, Any]
) -> None:
    described = empty.execute(f"describe {dataset.get('sql') or dataset['table_name']}").fetchall()
    assert dataset["columns"] == [
        {"column_name": name, "type": kind, **({"is_dttm": True} if kind == "DATE" else {})}
        for name, kind, *_ in described
    ], "bring examples/superset_dashboard/datasets up to date with the contracts"


def test_every_chart_has_a_dataset_and_a_place_on_the_dashboard() -> None:
    assert {chart["dataset_uuid"] for chart in CHARTS.values()} == COLUMNS.keys()
    assert {place["uuid"]: place["sliceName"] for place in PLACES} == {
        uuid: chart["slice_name"] for uuid, chart in CHARTS.items()
    }


def test_columns_that_tables_list_exist() -> None:
    listed = [chart for chart in CHARTS.values() if chart["viz_type"] == "table"]
    assert listed
    for chart in listed:
        assert set(chart["params"]["all_columns"]) <= COLUMNS[chart["dataset_uuid"]], chart["slice_name"]


def test_customers_are_filtered_by_what_one_asks_for() -> None:
    columns = [part["targets"][0]["column"]["name"] for part in FILTERS.values()]
    assert columns == ["segment", "country", "channel", "value_tier", "at_risk", "horizon_days"]
    for part in FILTERS.values():
        [target] = part["targets"]
        assert target["column"]["name"] in COLUMNS[target["datasetUuid"]]


@pytest.mark.parametrize("name", FILTERS)
def test_a_filter_reaches_every_chart_that_has_its_column_and_no_other(name: str) -> None:
    column = FILTERS[name]["targets"][0]["column"]["name"]
    having = {place["sliceName"] for place in PLACES if column in COLUMNS[CHARTS[place["uuid"]]["dataset_uuid"]]} - (
        NOT_NARROWED_BY_THE_HORIZON if column == "horizon_days" else set()
    )
    excluded = set(FILTERS[name]["scope"]["excluded"])
    assert {place["sliceName"] for place in PLACES if place["chartId"] not in excluded} == having


def test_one_horizon_is_always_chosen_because_horizons_overlap() -> None:
    chosen = FILTERS["Horizon, days"]
    assert chosen["requiredFirst"]
    controls = chosen["controlValues"]
    assert (controls["multiSelect"], controls["enableEmptyFilter"], controls["defaultToFirstItem"]) == (
        False,
        True,
        True,
    )
    assert controls["sortAscending"] is False, "the longest comes first"


def test_a_click_reaches_the_charts_of_customers_segments_and_channels_and_none_of_the_whole_shop() -> None:
    metadata = DASHBOARD["metadata"]
    assert metadata["cross_filters_enabled"]
    excluded = set(metadata["global_chart_configuration"]["scope"]["excluded"])
    of_customers = {uuid for uuid, columns in COLUMNS.items() if columns & {"segment", "channel"}}
    for place in PLACES:
        assert (place["chartId"] not in excluded) == (CHARTS[place["uuid"]]["dataset_uuid"] in of_customers)


def test_a_bar_that_is_clicked_filters_by_its_name() -> None:
    """Superset 6.1.0 filters by the length of a bar that lies on its side (its issue 41102)."""
    bars = [chart for chart in CHARTS.values() if chart["viz_type"] == "echarts_timeseries_bar"]
    assert bars
    assert not [bar["slice_name"] for bar in bars if bar["params"].get("orientation") == "horizontal"]
