"""What a person sees in the Dagster UI: the graph, the tables, a green run by a click, a red check that says why.

A real headless Chromium on the real webserver and daemon, with the CDNOW transactions and few models.
`make screenshots` runs this with CLV_SCREENSHOTS=docs/images, where the pictures of the documentation are.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import dagster as dg
import pytest
from playwright.sync_api import Locator

from clv_pipeline.contracts.contract import SCHEMA_CHECK
from clv_pipeline.contracts.loader import load_models
from clv_pipeline_tests.acceptance.browser import Visitor, visitor
from clv_pipeline_tests.acceptance.dagster_site import Site, dagster_site

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(900)]

CONFIGURATION = """
source:
  transactions:
    path: orders/*.txt
    columns: {customer_id: customer_id, ordered_at: date, quantity: number_of_cds, amount: dollar_value}
cleaning: {deduplicate: false}
models: [own_rate, last_window, bg_nbd]
forecast: {horizons_days: [90]}
backtest: {origins: 13}
"""
CUSTOMERS = 23_502
CDNOW_ROWS, BAD_ROWS = 69_659, 5_000
LAYERS = ("ingestion", "cleaning", "segmentation", "features", "forecasting", "evaluation", "insights", "serving")
LARGEST_PICTURE = 300_000
"""Bytes; the pictures are part of the repository."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Dagster on a folder of its own, before its first run."""
    folder = tmp_path_factory.mktemp("shop")
    (folder / "orders").mkdir()
    (folder / "clv.yaml").write_text(CONFIGURATION)
    package = find_spec("lifetimes")
    assert package is not None
    assert package.origin is not None
    cdnow = Path(package.origin).parent / "datasets" / "CDNOW_master.txt"
    shutil.copyfile(cdnow, folder / "orders" / "1997-01_to_1998-06.txt")
    with dagster_site(folder) as running:
        yield running


@pytest.fixture(scope="module")
def person(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Visitor]:
    """Somebody who opens it in a browser."""
    kept = os.environ.get("CLV_SCREENSHOTS")
    with visitor(site.url, Path(kept) if kept else tmp_path_factory.mktemp("pictures")) as someone:
        yield someone


@pytest.fixture(scope="module")
def first_run(site: Site, person: Visitor) -> dg.DagsterRun:
    """The first run, by a click."""
    return materialize_all(site, person)


@pytest.fixture(scope="module")
def bad_night(site: Site, person: Visitor, first_run: dg.DagsterRun) -> tuple[dg.DagsterRun, Path]:
    """A run after a file arrived whose dates cannot be read; and the version that was served before."""
    served_before = site.served.resolve()
    rows = "".join(f" {row:05} July{row % 31:02}  1   10.00\n" for row in range(BAD_ROWS))
    (site.folder / "orders" / "1998-07.txt").write_text(f" customer_id  date number_of_cds  dollar_value\n{rows}")
    return materialize_all(site, person), served_before


def materialize_all(site: Site, person: Visitor) -> dg.DagsterRun:
    """Click the button of the lineage page, follow the link to the run, and wait for its end."""
    person.open("/asset-groups")
    person.click(person.page.get_by_role("button", name="Materialize all"))
    person.click(person.page.get_by_role("link", name="View", exact=True))
    person.sees_address(re.compile("/runs/[0-9a-f-]{36}"))
    return site.finished(person.page.url.rsplit("/", 1)[-1])


@pytest.mark.usefixtures("first_run")
def test_the_lineage_page_shows_the_layers_and_opens_them(person: Visitor) -> None:
    person.open("/asset-groups")
    for layer in LAYERS:
        person.sees_it(drawn(person, layer))
    person.click(drawn(person, "segmentation"))
    # An open layer is larger than the screen; these are at its beginning.
    for table in ("rfm", "cluster_names", "cluster_profiles"):
        person.sees_it(drawn(person, table))
    person.picture("lineage")


def drawn(person: Visitor, name: str) -> Locator:
    """A node of the graph; the names stand in a list beside it, too."""
    return person.page.locator("foreignObject").get_by_text(name, exact=True).filter(visible=True).first


def test_materialize_all_ends_green_and_serves_the_result(
    site: Site, person: Visitor, first_run: dg.DagsterRun
) -> None:
    assert first_run.status == dg.DagsterRunStatus.SUCCESS
    person.open(f"/runs/{first_run.run_id}")
    person.sees("Success")
    # The log of a run is longer than the page keeps in view.
    person.writes(person.page.get_by_placeholder("Filter…"), "type:RUN_SUCCESS")
    person.sees("RUN_SUCCESS")
    person.writes(person.page.get_by_placeholder("Filter…"), "step:segment_profiles")
    person.sees(re.compile("Check [a-z_]+ succeeded for materialization of segment_profiles"))
    person.picture("run")
    assert site.customers_served() == CUSTOMERS


@pytest.mark.usefixtures("first_run")
def test_an_asset_page_says_what_the_table_is_and_shows_its_plot(person: Visitor) -> None:
    contract = load_models()["segment_profiles"].contract
    person.open("/assets/segment_profiles")
    person.sees(contract.description)
    person.sees(f"Grain: {contract.grain}.")
    person.sees("Row count")
    for column in contract.columns:
        row = person.page.get_by_role("row").filter(has_text=column.name).filter(has_text=column.type)
        person.sees_it(row.filter(has_text=column.description).first)
    person.picture("asset")
    plot = person.page.get_by_role("row").filter(has_text=re.compile("^plot"))
    person.click(plot.get_by_text("[Show Markdown]"))
    picture = person.page.get_by_role("dialog").get_by_role("img", name="Who the customers are")
    person.sees_it(picture)
    assert picture.evaluate("image => image.complete && image.naturalWidth") > 600
    person.picture("plot")


@pytest.mark.usefixtures("first_run")
def test_the_checks_of_a_table_are_listed_and_green(person: Visitor) -> None:
    person.open("/assets/rfm?view=checks")
    contract = load_models()["rfm"].contract
    for name in (SCHEMA_CHECK, *(expectation.name for expectation in contract.expectations)):
        person.sees(name)
    person.sees("Passed")
    person.picture("checks")


def test_the_schedules_are_there_to_be_switched_on(person: Visitor) -> None:
    person.open("/automation")
    for automation in ("nightly_refresh_schedule", "model_review_schedule"):
        person.sees(automation)
    person.picture("automation")


def test_a_broken_file_turns_its_check_red_and_the_page_says_why(
    site: Site, person: Visitor, bad_night: tuple[dg.DagsterRun, Path]
) -> None:
    run, served_before = bad_night
    assert run.status == dg.DagsterRunStatus.FAILURE
    person.open("/assets/raw_transactions?view=checks&checkDetail=most_dates_can_be_read")
    person.sees("Failed")
    person.sees(re.compile("At least 95 % of the dates can be read; fewer means a wrong mapping or date format"))
    person.sees(f"1 unexpected row: {BAD_ROWS} of {CDNOW_ROWS + BAD_ROWS} dates cannot be read")
    person.sees(re.compile("unexpected_rows_expectation.*ordered_at.*0.95"))
    person.picture("red_check")
    person.open(f"/runs/{run.run_id}")
    person.sees("Failure")
    person.sees(re.compile("the last good version stays"))
    assert site.served.resolve() == served_before
    assert site.customers_served() == CUSTOMERS


@pytest.mark.usefixtures("bad_night")
def test_the_list_of_runs_shows_both(person: Visitor) -> None:
    person.open("/runs")
    person.sees("Failure")
    person.sees("Success")


def test_pictures_are_small_enough_for_the_repository(person: Visitor) -> None:
    sizes = {path.name: path.stat().st_size for path in person.taken}
    assert sizes
    assert {name: size for name, size in sizes.items() if size > LARGEST_PICTURE} == {}
