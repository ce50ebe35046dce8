"""A campaign through the nights: measured as days pass, kept whatever is built anew, and without who is forgotten."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import duckdb
import polars as pl
import pytest

from clv_pipeline.orchestration.gated_step import KEPT
from clv_pipeline.orchestration.resources import RefreshOptions
from clv_pipeline.pipeline import Pipeline
from clv_pipeline.publication.campaign import TABLES, start
from clv_pipeline.publication.campaign_request import Request
from clv_pipeline_tests.helpers.graph_shop import COLUMNS, Night, Shop, erased
from clv_pipeline_tests.helpers.published_customers import serve_customers

START = date(2024, 6, 30)
MEASURED = "+key:campaign_results or +key:rfm"
"""What is needed to measure; the forecasts are not."""


def night(shop: Shop, as_of: date | None, refresh: RefreshOptions | None = None, **blocks: Any) -> Night:
    """As of a day, or of the latest."""
    stated = "latest" if as_of is None else as_of.isoformat()
    result = shop.night(MEASURED, refresh, forecast={"horizons_days": [30, 90], "as_of": stated}, **blocks)
    assert result.success, result.failures
    return result


def read(shop: Shop, query: str) -> pl.DataFrame:
    with duckdb.connect(str(shop.folder / "home" / "warehouse" / "clv.duckdb"), read_only=True) as warehouse:
        frame: pl.DataFrame = warehouse.sql(query).pl()
    return frame


def results(shop: Shop) -> dict[int, dict[str, Any]]:
    """The results of the campaign by horizon."""
    return {row["horizon_days"]: row for row in read(shop, "from campaign_results").iter_rows(named=True)}


@pytest.fixture(scope="module")
def shop(new_shop: Callable[[], Shop]) -> Shop:
    """A shop that has started a campaign with all of its customers, half of them left out."""
    shop = new_shop()
    shop.write_orders("2024.csv", 2_500, seed=5)
    night(shop, START)
    settings = shop.settings()
    customers = read(shop, "select customer_id from rfm order by revenue desc, customer_id")["customer_id"].to_list()
    serve_customers(settings, customers, START, champions=30)
    pipeline = Pipeline.of(settings)
    request = Request("spring", START, shop.folder / "lists", top=len(customers), holdout=0.5)
    start(
        settings,
        pipeline.warehouse,
        [pipeline.contract(table) for table in TABLES],
        pipeline.recipe_of(TABLES[0]),
        request,
    )
    return shop


def bought(shop: Shop, first: date, last: date) -> dict[bool, int]:
    """Orders of the members between two days, by whether they were left out; counted from the files."""
    lines = pl.concat(pl.read_csv(path, infer_schema=False) for path in (shop.folder / "orders").iterdir())
    # What cleaning rejects is no order.
    sales = lines.filter(pl.col("quantity").cast(pl.Int64) > 0, pl.col("unit_price").cast(pl.Float64) > 0)
    orders = sales.select("customer_id", "order_id", day=pl.col("ordered_at").str.to_datetime().dt.date())
    members = read(shop, "select customer_id, is_control from campaign_members")
    counted = orders.unique().filter(pl.col("day").is_between(first, last)).join(members, on="customer_id")
    return dict(counted.group_by("is_control").len().iter_rows())


def told(row: dict[str, Any]) -> dict[bool, int]:
    """Orders of both groups as the results have them."""
    return {
        False: round(row["orders_per_contact"] * row["contacts"]),
        True: round(row["orders_per_control"] * row["controls"]),
    }


def test_on_the_day_of_the_start_nothing_is_measured_and_the_next_night_keeps_all(shop: Shop) -> None:
    night(shop, START)
    [row] = results(shop).values()
    assert (row["horizon_days"], row["verdict_code"]) == (90, "not_started")
    members = read(shop, "from campaign_members order by all")
    kept = night(shop, START)
    # Kept without being built, by the record of what it was built from.
    assert all(KEPT in kept.shown[table] for table in TABLES)
    assert read(shop, "from campaign_members order by all").equals(members)


def test_as_days_pass_what_both_groups_bought_is_counted(shop: Shop) -> None:
    night(shop, START + timedelta(days=45))
    found = results(shop)
    assert set(found) == {30, 90}
    assert told(found[30]) == bought(shop, START + timedelta(days=1), START + timedelta(days=30))
    assert told(found[90]) == bought(shop, START + timedelta(days=1), START + timedelta(days=45))
    assert (found[30]["is_over"], found[90]["days_measured"], found[90]["is_over"]) == (True, 45, False)
    assert (found[30]["verdict_code"], found[90]["verdict_code"]) == ("on_the_way", "not_yet")


def test_an_order_that_arrives_late_is_counted_when_it_comes(shop: Shop) -> None:
    night(shop, START + timedelta(days=100))
    before = results(shop)
    left_out = read(shop, "select customer_id from campaign_members where is_control order by 1")["customer_id"][0]
    day = START + timedelta(days=3)
    late = f"{left_out},late-1,{day} 10:00:00,P0001,1,7.77"
    (shop.folder / "orders" / "late.csv").write_text("\n".join([",".join(COLUMNS), late, ""]), encoding="utf-8")
    night(shop, START + timedelta(days=100), gates={"files": "ignore", "rows": "ignore", "kept": "ignore"})
    after = results(shop)
    for horizon in (30, 90):
        assert told(after[horizon])[True] == told(before[horizon])[True] + 1
        assert told(after[horizon])[False] == told(before[horizon])[False]
    assert after[90]["verdict_code"] == "not_found"


def test_a_campaign_survives_whatever_is_built_anew(shop: Shop) -> None:
    kept = {table: read(shop, f"from {table} order by all") for table in TABLES}
    night(shop, START + timedelta(days=100), RefreshOptions(full_refresh=True), cleaning={"outliers": "cap"})
    assert {table: read(shop, f"from {table} order by all") for table in TABLES}.keys() == kept.keys()
    for table, rows in kept.items():
        assert read(shop, f"from {table} order by all").equals(rows), table


def test_a_table_of_an_earlier_version_is_kept_with_its_missing_column_empty(shop: Shop) -> None:
    members = read(shop, "from campaign_members order by all")
    with duckdb.connect(str(shop.folder / "home" / "warehouse" / "clv.duckdb")) as warehouse:
        warehouse.execute("alter table campaign_members drop expected_deviation")
    night(shop, START + timedelta(days=100), RefreshOptions(full_refresh=True))
    after = read(shop, "from campaign_members order by all")
    assert after.drop("expected_deviation").equals(members.drop("expected_deviation"))
    assert after["expected_deviation"].is_null().all()


def test_who_is_forgotten_is_in_no_campaign_and_the_others_are_measured_on(shop: Shop) -> None:
    before = results(shop)[90]
    gone = read(shop, "select customer_id from campaign_members where is_control order by 1")["customer_id"][0]
    erasure = erased(shop.settings(), [gone])
    assert erasure.rows["campaign_members"] == 1
    assert erasure.lists == [str((shop.folder / "lists").resolve())]
    for table in ("campaign_members", "campaign_outcomes"):
        assert gone not in set(read(shop, f"select customer_id from {table}")["customer_id"])
    night(shop, START + timedelta(days=100))
    after = results(shop)[90]
    assert (after["contacts"], after["controls"]) == (before["contacts"], before["controls"] - 1)


LAST = START + timedelta(days=90)


def as_of(shop: Shop) -> date:
    found: date = read(shop, "select as_of from history_span").item()
    return found


@pytest.fixture(scope="module")
def finished(new_shop: Callable[[], Shop]) -> Shop:
    """A shop whose campaign of 90 days is over by the only customer of the last day."""
    shop = new_shop()
    shop.write_orders("2024.csv", 2_500, seed=5)
    path = shop.folder / "orders" / "2024.csv"
    lines = pl.read_csv(path, infer_schema=False)
    before = lines.filter(pl.col("ordered_at").str.to_datetime(strict=False).dt.date() < LAST)
    before.write_csv(path)
    last = ["the last,last-1,2024-09-28 10:00:00,P0001,1,7.77"]
    (path.parent / "last.csv").write_text("\n".join([",".join(COLUMNS), *last, ""]), encoding="utf-8")
    night(shop, START)
    settings = shop.settings()
    customers = read(shop, "select customer_id from rfm order by revenue desc, customer_id")["customer_id"].to_list()
    serve_customers(settings, customers, START, champions=30)
    pipeline = Pipeline.of(settings)
    request = Request("spring", START, shop.folder / "lists", top=len(customers), holdout=0.5)
    contracts = [pipeline.contract(table) for table in TABLES]
    start(settings, pipeline.warehouse, contracts, pipeline.recipe_of(TABLES[0]), request)
    night(shop, None)
    return shop


def test_forgetting_the_only_customer_of_the_last_day_turns_neither_as_of_nor_a_verdict_back(finished: Shop) -> None:
    before = results(finished)[90]
    assert (as_of(finished), before["is_over"]) == (LAST, True)
    erased(finished.settings(), ["the last"])
    night(finished, None)
    after = results(finished)[90]
    assert as_of(finished) == LAST
    assert {name: after[name] for name in before} == before


def test_a_verdict_stays_when_the_rows_of_the_last_day_disappear_from_the_source(finished: Shop) -> None:
    before = results(finished)[90]
    (finished.folder / "orders" / "last.csv").unlink()
    night(finished, None, gates={"files": "ignore", "rows": "ignore", "kept": "ignore"})
    assert as_of(finished) < LAST
    after = results(finished)[90]
    assert (after["is_over"], after["days_measured"], after["verdict"]) == (True, 90, before["verdict"])
    # Whoever states a day asks what was known then.
    night(finished, START + timedelta(days=80))
    assert results(finished)[90]["verdict_code"] == "not_yet"
