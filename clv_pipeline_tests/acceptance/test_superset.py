"""Apache Superset on a publication: it connects, describes, charts, sees the next version, and shows our dashboard.

`make screenshots` keeps the picture of the dashboard in docs/images.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from playwright.sync_api import Response, Route, ViewportSize, expect

from clv_pipeline_tests.acceptance.browser import visitor
from clv_pipeline_tests.acceptance.conftest import PublishedShop
from clv_pipeline_tests.acceptance.superset_site import USER, Superset, SupersetError, superset_site

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(1200)]

EXAMPLE = Path(__file__).parents[2] / "examples" / "superset_dashboard"
CHARTS = [yaml.safe_load(path.read_text(encoding="utf-8")) for path in sorted((EXAMPLE / "charts").glob("*.yaml"))]
TITLE = "Customer value"
DRAWN = ("echarts_timeseries_bar", "heatmap_v2")
"""The kinds of charts that are a canvas; numbers and tables are text."""

TROUBLE = re.compile("error|No results|could not|cannot|missing|warning", re.IGNORECASE)
TALL: ViewportSize = {"width": 1500, "height": 2950}
RUN_SECONDS = 900
LARGEST_PICTURE = 500_000
"""Bytes; the picture is part of the repository."""


@pytest.fixture(scope="module")
def superset(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Superset]:
    """Superset as it is after installation."""
    with superset_site(tmp_path_factory.mktemp("superset")) as running:
        yield running


@pytest.fixture(scope="module")
def database_id(superset: Superset, cdnow: PublishedShop) -> int:
    """The connection that comes with the dashboard of examples/."""
    superset.import_dashboard(EXAMPLE, cdnow.database)
    [database] = superset.get("/api/v1/database/")["result"]
    return int(database["id"])


def uri(shop: PublishedShop) -> str:
    """The connection string of docs/how-to/bi-tools.md."""
    return f"duckdb:///{shop.database}?access_mode=read_only"


def test_the_connection_string_of_the_documentation_connects(superset: Superset, cdnow: PublishedShop) -> None:
    asked = {"database_name": "by hand", "sqlalchemy_uri": uri(cdnow)}
    assert superset.post("/api/v1/database/test_connection/", asked) == {"message": "OK"}


def test_every_published_table_is_listed_with_its_comments(
    superset: Superset, cdnow: PublishedShop, database_id: int
) -> None:
    listed = superset.get(f"/api/v1/database/{database_id}/tables/", q="(schema_name:main)")["result"]
    assert {table["value"] for table in listed} == set(cdnow.contracts)
    for name, contract in cdnow.contracts.items():
        told = superset.get(f"/api/v1/database/{database_id}/table_metadata/", name=name, schema="main")
        assert told["comment"].startswith(contract.description)
        commented = {column["name"]: column["comment"] for column in told["columns"]}
        assert list(commented) == [column.name for column in contract.columns]
        assert all(commented.values())


def test_a_dataset_takes_the_comments_over_when_it_is_synchronised(
    superset: Superset, cdnow: PublishedShop, database_id: int
) -> None:
    assert database_id
    datasets = {dataset["table_name"]: dataset["id"] for dataset in superset.get("/api/v1/dataset/")["result"]}
    superset.put(f"/api/v1/dataset/{datasets['segment_profiles']}/refresh")
    columns = superset.get(f"/api/v1/dataset/{datasets['segment_profiles']}")["result"]["columns"]
    told = {column["column_name"]: column["description"] for column in columns}
    assert {column.name: column.description for column in cdnow.contracts["segment_profiles"].columns} == told


def test_a_chart_query_gives_the_published_numbers(superset: Superset, cdnow: PublishedShop, database_id: int) -> None:
    assert database_id
    [dataset] = superset.get("/api/v1/dataset/", q="(filters:!((col:table_name,opr:eq,value:segment_profiles)))")[
        "result"
    ]
    metrics = [
        {"expressionType": "SQL", "sqlExpression": f"sum({name})", "label": name} for name in ("customers", "revenue")
    ]
    asked = {
        "datasource": {"id": dataset["id"], "type": "table"},
        "queries": [{"columns": ["segment"], "metrics": metrics, "row_limit": 100}],
    }
    [result] = superset.post("/api/v1/chart/data", asked)["result"]
    with cdnow.client() as client:
        published = client.execute("select segment, customers, revenue::double from segment_profiles").fetchall()
    shown = {(row["segment"], row["customers"], float(row["revenue"])) for row in result["data"]}
    assert shown == set(published)


def test_nothing_can_be_written_through_it(superset: Superset, database_id: int) -> None:
    with pytest.raises(SupersetError, match=r"DML|read-only"):
        superset.rows(database_id, "delete from rfm")


def test_a_new_version_is_read_while_superset_runs(superset: Superset, cdnow: PublishedShop, database_id: int) -> None:
    both = "select (select run_id from publication) as version, (select count(*) from campaign_plan) as planned"

    def seen() -> tuple[str, int]:
        [row] = superset.rows(database_id, both)
        return row["version"], row["planned"]

    before = seen()
    assert before[1] == 0
    run = cdnow.start_run(campaign={"budget": 1_000, "cost_per_contact": 2, "assumed_uplift": 0.05})
    answers = {before}
    deadline = time.monotonic() + RUN_SECONDS
    try:
        while run.poll() is None and time.monotonic() < deadline:
            # Each answer is of one version: the old one until there is the new one, without an error between.
            answers.add(seen())
            time.sleep(0.5)
        assert run.wait(1) == 0, (cdnow.folder / "run.log").read_text()
    finally:
        run.kill()
    after = seen()
    assert after[0] != before[0]
    assert after[1] == 500
    assert answers | {after} == {before, after}


def test_the_example_dashboard_draws_every_chart(
    superset: Superset, database_id: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    assert database_id
    kept = os.environ.get("CLV_SCREENSHOTS")
    answers: list[dict[str, Any]] = []
    refused: list[str] = []

    def note(response: Response) -> None:
        if response.status >= 400:
            refused.append(f"{response.status} {response.url} {response.text()}")
        elif "/api/v1/chart/data" in response.url:
            answers.extend(response.json()["result"])

    def stay_here(route: Route) -> None:
        # Superset's pages ask for a tracking pixel of its maker.
        if route.request.url.startswith((superset.url, "data:", "blob:")):
            route.continue_()
        else:
            route.abort()

    with visitor(superset.url, Path(kept) if kept else tmp_path_factory.mktemp("pictures")) as person:
        page = person.page
        page.route("**/*", stay_here)
        page.set_viewport_size(TALL)
        person.open("/login/")
        person.writes(page.get_by_label("Username"), USER)
        person.writes(page.get_by_label("Password").first, USER)
        person.click(page.get_by_role("button", name="Sign in"))
        person.sees_address(re.compile("/welcome/"))
        page.on("response", note)
        person.open("/superset/dashboard/customer-value/")
        person.sees(TITLE)
        for chart in CHARTS:
            person.sees(chart["slice_name"])
        # What the last table and the first number say.
        person.sees("23,502")
        person.sees(re.compile("^Serves"))
        page.wait_for_load_state("networkidle")
        picture = person.picture("superset")
        assert refused == []
        expect(page.locator("canvas")).to_have_count(sum(chart["viz_type"] in DRAWN for chart in CHARTS))
        assert page.get_by_role("table").count() >= sum(chart["viz_type"] == "table" for chart in CHARTS)
        assert page.get_by_role("alert").all_inner_texts() == []
        assert TROUBLE.findall(page.locator("body").inner_text()) == []
    assert len(answers) == len(CHARTS)
    assert [answer["error"] for answer in answers if answer["error"] or not answer["rowcount"]] == []
    assert picture.stat().st_size < LARGEST_PICTURE
