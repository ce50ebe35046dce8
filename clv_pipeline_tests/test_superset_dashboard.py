"""The Superset dashboard of examples/ fits the published tables. Whether it draws: acceptance/test_superset.py."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from clv_pipeline.contracts.loader import load_models

EXAMPLE = Path(__file__).parents[1] / "examples" / "superset_dashboard"


def read(folder: str) -> list[dict[str, Any]]:
    files = sorted((EXAMPLE / folder).rglob("*.yaml"))
    assert files
    return [yaml.safe_load(file.read_text(encoding="utf-8")) for file in files]


@pytest.mark.parametrize("dataset", read("datasets"), ids=lambda dataset: dataset["table_name"])
def test_a_dataset_has_the_columns_of_its_published_table(dataset: dict[str, Any]) -> None:
    contract = load_models()[dataset["table_name"]].contract
    assert contract.published
    assert dataset["columns"] == [
        {"column_name": column.name, "type": column.type, **({"is_dttm": True} if column.type == "DATE" else {})}
        for column in contract.columns
    ], "bring examples/superset_dashboard/datasets up to date with the contract"


def test_every_chart_has_a_dataset_and_a_place_on_the_dashboard() -> None:
    datasets = {dataset["uuid"] for dataset in read("datasets")}
    charts = {chart["uuid"]: chart for chart in read("charts")}
    assert {chart["dataset_uuid"] for chart in charts.values()} == datasets
    [dashboard] = read("dashboards")
    places = [part["meta"] for part in dashboard["position"].values() if part_is_chart(part)]
    assert {place["uuid"]: place["sliceName"] for place in places} == {
        uuid: chart["slice_name"] for uuid, chart in charts.items()
    }


def part_is_chart(part: Any) -> bool:
    return isinstance(part, dict) and part["type"] == "CHART"


def test_columns_that_tables_list_exist() -> None:
    columns = {dataset["uuid"]: {c["column_name"] for c in dataset["columns"]} for dataset in read("datasets")}
    listed = [chart for chart in read("charts") if chart["viz_type"] == "table"]
    assert listed
    for chart in listed:
        assert set(chart["params"]["all_columns"]) <= columns[chart["dataset_uuid"]], chart["slice_name"]
