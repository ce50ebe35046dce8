"""The Superset dashboard of examples/ on the made-up shop: it draws, its filters filter, and a click filters, too.

`make screenshots` keeps the picture of the dashboard in docs/images.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml
from playwright.sync_api import Locator, Response, Route, ViewportSize, expect

from clv_pipeline_tests.acceptance.browser import Visitor, visitor
from clv_pipeline_tests.acceptance.dagster_site import ROOT
from clv_pipeline_tests.acceptance.superset_site import USER, Superset, superset_site

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(1200)]

EXAMPLE = ROOT / "examples" / "superset_dashboard"
CHARTS = [yaml.safe_load(path.read_text(encoding="utf-8")) for path in sorted((EXAMPLE / "charts").glob("*.yaml"))]
TITLE = "Customer value"
WORDS = ("table", "big_number_total")
"""The kinds of charts that are text; all others are a canvas."""

TROUBLE = re.compile("Error|No results|No data|[Cc]ould not|[Cc]annot|[Mm]issing|[Ww]arning")
"""The notes of forecasts speak of errors in lower case."""

TALL: ViewportSize = {"width": 1500, "height": 5550}
LARGEST_PICTURE = 900_000
"""Bytes; the picture is part of the repository."""

FEW = {"models": ["own_rate", "last_window", "bg_nbd"], "forecast": {"horizons_days": [90, 365]}}
TILES = """
select
    count(*), sum(o.net_revenue), count(*) filter (where o.at_risk), sum(f.expected_spend), sum(f.clv),
    any_value(f.horizon_days)
from clv_forecasts as f
inner join customer_overview as o on f.customer_id = o.customer_id
inner join dim_customer as d on f.customer_id = d.customer_id
where f.horizon_days = {horizon_days} and {condition}
"""
TILE_NAMES = ("Customers", "Revenue to date", "At risk", "Expected spend", "Expected margin (CLV)", "Horizon in days")


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the made-up shop published, which has every optional input, after a campaign was started."""
    folder = tmp_path_factory.mktemp("demo") / "shop"
    environment = {name: value for name, value in os.environ.items() if name not in ("CLV_HOME", "CLV_CONFIG")}
    environment |= {"DAGSTER_HOME": str(folder.parent), "PYTHONPATH": str(ROOT)}
    clv = str(Path(sys.executable).with_name("clv"))

    def call(*words: str, at: Path = folder) -> None:
        done = subprocess.run([clv, *words], cwd=at, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    call("demo", str(folder), at=folder.parent)
    with (folder / "clv.yaml").open("a", encoding="utf-8") as configuration:
        configuration.write(yaml.safe_dump(FEW))
    call("run")
    call("campaign", "start", "spring", "--top", "400", "--on", "2024-12-31")
    call("run")
    return folder / "data" / "published" / "current" / "clv.duckdb"


@pytest.fixture(scope="module")
def superset(tmp_path_factory: pytest.TempPathFactory, database: Path) -> Iterator[Superset]:
    """Superset with the dashboard."""
    with superset_site(tmp_path_factory.mktemp("superset")) as running:
        running.import_dashboard(EXAMPLE, database)
        yield running


@pytest.fixture
def person(superset: Superset, tmp_path: Path) -> Iterator[Visitor]:
    """Somebody who is logged in."""
    kept = os.environ.get("CLV_SCREENSHOTS")

    def stay_here(route: Route) -> None:
        # Superset's pages ask for a tracking pixel of its maker.
        if route.request.url.startswith((superset.url, "data:", "blob:")):
            route.continue_()
        else:
            route.abort()

    with visitor(superset.url, Path(kept) if kept else tmp_path) as person:
        page = person.page
        page.route("**/*", stay_here)
        page.set_viewport_size(TALL)
        person.open("/login/")
        person.writes(page.get_by_label("Username"), USER)
        person.writes(page.get_by_label("Password").first, USER)
        person.click(page.get_by_role("button", name="Sign in"))
        person.sees_address(re.compile("/welcome/"))
        yield person


def chart(person: Visitor, name: str) -> Locator:
    """One chart on the page."""
    return person.page.locator(f'[data-test-chart-name="{name}"]')


def published(database: Path, condition: str, horizon_days: int) -> list[str]:
    """What the tiles have to show of the customers of a condition, as they show it."""
    with duckdb.connect(str(database.resolve()), read_only=True) as client:
        answer = client.execute(TILES.format(condition=condition, horizon_days=horizon_days)).fetchone()
    assert answer
    assert answer[0] > 0
    return [f"{value:,.0f}" for value in answer]


def expect_tiles(person: Visitor, numbers: list[str]) -> None:
    for name, number in zip(TILE_NAMES, numbers, strict=True):
        person.sees_it(chart(person, name).get_by_text(number, exact=True))


def choose(person: Visitor, column: str, value: str) -> None:
    """Choose a value in a filter of the bar."""
    box = person.page.get_by_role("combobox", name=f"NATIVE_FILTER-{column}")
    box.focus()
    box.press("ArrowDown")
    # The cells of tables have titles, too.
    person.click(person.page.locator(f'div[title="{value}"]').filter(visible=True).last)
    box.press("Escape")


def test_every_chart_is_drawn(person: Visitor) -> None:
    answers: list[dict[str, Any]] = []
    refused: list[str] = []

    def note(response: Response) -> None:
        if response.status >= 400:
            refused.append(f"{response.status} {response.url} {response.text()}")
        elif "/api/v1/chart/data" in response.url:
            answers.extend(response.json()["result"])

    page = person.page
    page.on("response", note)
    person.open("/superset/dashboard/customer-value/")
    person.sees(TITLE)
    for drawn in CHARTS:
        person.sees(drawn["slice_name"])
        expect(chart(person, drawn["slice_name"]).locator("canvas")).to_have_count(int(drawn["viz_type"] not in WORDS))
    # What the last tables and the first number say.
    person.sees("2,987")
    person.sees("spring")
    person.sees(re.compile("^Serves"))
    page.wait_for_load_state("networkidle")
    picture = person.picture("superset")
    assert refused == []
    assert page.get_by_role("table").count() >= sum(drawn["viz_type"] == "table" for drawn in CHARTS)
    assert page.get_by_role("alert").all_inner_texts() == []
    assert TROUBLE.findall(page.locator("body").inner_text()) == []
    assert len(answers) >= len(CHARTS)
    assert [answer["error"] for answer in answers if answer["error"] or not answer["rowcount"]] == []
    assert picture.stat().st_size < LARGEST_PICTURE


def test_the_filters_of_the_bar_narrow_what_is_shown(person: Visitor, database: Path) -> None:
    person.open("/superset/dashboard/customer-value/")
    expect_tiles(person, published(database, "true", 365))
    choose(person, "segment", "Loyal")
    choose(person, "country", "France")
    choose(person, "channel", "advert")
    choose(person, "horizon_days", "90")
    person.click(person.page.get_by_role("button", name="Apply filters"))
    narrowed = "o.segment = 'Loyal' and o.country = 'France' and d.channel = 'advert'"
    expect_tiles(person, published(database, narrowed, 90))
    choose(person, "value_tier", "high")
    choose(person, "at_risk", "FALSE")
    person.click(person.page.get_by_role("button", name="Apply filters"))
    expect_tiles(person, published(database, f"{narrowed} and o.value_tier = 'high' and not o.at_risk", 90))


def test_a_click_on_a_bar_filters_the_other_charts(person: Visitor, database: Path) -> None:
    person.open("/superset/dashboard/customer-value/")
    expect_tiles(person, published(database, "true", 365))
    bars = chart(person, "Customers by country").locator("canvas")
    person.sees_it(bars)
    person.page.wait_for_load_state("networkidle")
    with duckdb.connect(str(database.resolve()), read_only=True) as client:
        [(largest,)] = client.execute(
            "select country from customer_overview group by all order by count(*) desc limit 1"
        ).fetchall()
    # The first bar stands right of the axis.
    bars.click(position={"x": 110, "y": 180})
    person.sees(largest)
    expect_tiles(person, published(database, f"o.country = '{largest}'", 365))
