"""A bad night: the contract goes red, downstream is skipped, yesterday's publication stays served."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import duckdb
import pytest

from clv_pipeline.contracts.loader import load_models
from clv_pipeline.database.connections import open_read_only
from clv_pipeline.orchestration.gated_step import KEPT
from clv_pipeline_tests.helpers.graph_shop import Shop
from clv_pipeline_tests.helpers.runs import failure, materialized, metadata


@pytest.fixture(scope="module")
def shop(new_shop: Callable[[], Shop]) -> Shop:
    """A shop whose first night went well."""
    shop = new_shop()
    shop.write_orders("2010.csv", 4_000, seed=1)
    result = shop.materialize()
    assert result.success, failure(result)
    return shop


def published_bytes(shop: Shop) -> tuple[Path, bytes]:
    return shop.served.resolve(), shop.served.read_bytes()


def test_a_good_night_promotes_and_publishes_everything(shop: Shop) -> None:
    with duckdb.connect(str(shop.served.resolve()), read_only=True) as client:
        tables = {name for (name,) in client.execute("select table_name from duckdb_tables()").fetchall()}
        assert {
            "rfm",
            "segments",
            "clv_forecasts",
            "evaluation_metrics",
            "row_ledger",
            "publication",
        } <= tables
        assert "raw_transactions" not in tables
        assert client.execute(
            "select count(*) from duckdb_tables() where comment is null and not internal"
        ).fetchone() == (0,)
        assert client.execute(
            "select count(*) from duckdb_columns() where comment is null and not internal"
        ).fetchone() == (0,)


def test_only_columns_whose_description_says_so_hold_nulls(shop: Shop) -> None:
    contracts = [model.contract for table, model in load_models().items() if table != "publication"]
    with open_read_only(shop.folder / "home" / "warehouse" / "clv.duckdb") as warehouse:
        missing = {
            f"{contract.table}.{column.name}"
            for contract in contracts
            for column in contract.columns
            if not column.nullable
            if warehouse.execute(f"select 1 from {contract.table} where {column.name} is null limit 1").fetchone()
        }
    assert missing == set(), "say in the contract when the column is NULL"


def test_every_table_shows_its_rows_and_no_more_than_fits_on_a_screen(shop: Shop) -> None:
    shown = {table: metadata(shop, table) for table in load_models() if table != "publication"}
    assert all("dagster/row_count" in what for what in shown.values())
    assert {table: len(what) for table, what in shown.items() if len(what) > 12} == {}
    totals = shown["clv_forecasts"]["totals"]
    assert isinstance(totals, dg.TableMetadataValue)
    assert [row.data["horizon_days"] for row in totals.records] == [30, 90]
    assert all(row.data["expected_spend"] and row.data["expected_buyers"] for row in totals.records)
    spend = shown["evaluation_metrics"]["spend at the latest cutoff"]
    assert isinstance(spend, dg.TableMetadataValue)
    assert {(row.data["horizon_days"], row.data["model"]) for row in spend.records} == {
        (horizon, model) for horizon in (30, 90) for model in ("own_rate", "pareto_nbd", "hybrid")
    }


def test_half_unreadable_files_turn_the_contract_red_and_leave_the_publication(shop: Shop) -> None:
    before = published_bytes(shop)
    bad = shop.folder / "orders" / "2011.csv"
    good_lines = (shop.folder / "orders" / "2010.csv").read_text().splitlines()
    bad.write_text("\n".join([good_lines[0], *(line.replace("20", "xx") for line in good_lines[1:])]))
    try:
        result = shop.materialize()
    finally:
        bad.unlink()
    assert not result.success
    assert "raw_transactions" not in materialized(result)
    assert "published_marts" not in materialized(result)
    assert "most_dates_can_be_read" in failure(result)
    assert "Mend the input" in failure(result)
    red = [check for check in result.get_asset_check_evaluations() if not check.passed]
    assert ("raw_transactions", "most_dates_can_be_read") in {
        (check.asset_key.to_user_string(), check.check_name) for check in red
    }
    assert published_bytes(shop) == before


def test_a_file_without_a_mapped_column_is_named_with_the_cause(shop: Shop) -> None:
    before = published_bytes(shop)
    bad = shop.folder / "orders" / "2012.csv"
    bad.write_text("customer_id,order_id,ordered,product_id,quantity,unit_price\n1,1,2012-01-01,P1,1,1\n")
    try:
        result = shop.materialize()
    finally:
        bad.unlink()
    assert not result.success
    assert "2012.csv" in failure(result)
    assert "ordered_at" in failure(result)
    assert published_bytes(shop) == before


def test_publishing_alone_does_not_bypass_the_gate(shop: Shop) -> None:
    bad = shop.folder / "orders" / "2011.csv"
    bad.write_text("customer_id,order_id,ordered_at,product_id,quantity,unit_price\n" + "1,1,never,P1,1,1\n" * 5_000)
    try:
        assert not shop.materialize("raw_transactions").success
    finally:
        bad.unlink()
    before = published_bytes(shop)
    alone = shop.materialize("published_marts")
    assert not alone.success
    assert "last audit of raw_transactions failed" in failure(alone)
    assert published_bytes(shop) == before


def part_with_a_late_file(shop: Shop, part: str) -> dg.ExecuteInProcessResult:
    """Build a part of the graph after a file came and only raw_transactions was built anew."""
    late = shop.write_orders("2009.csv", 1_000, seed=2)
    try:
        assert shop.materialize("raw_transactions").success
        return shop.materialize(part)
    finally:
        late.unlink()


def test_publishing_a_mix_of_old_and_new_tables_is_refused(shop: Shop) -> None:
    mixed = part_with_a_late_file(shop, "published_marts")
    assert not mixed.success
    assert re.search("converted_transactions is older than [a-z_, ]*raw_transactions", failure(mixed))


def test_the_next_good_night_heals_everything_and_gives_the_same_content(shop: Shop) -> None:
    def content() -> dict[str, str]:
        with duckdb.connect(str(shop.served.resolve()), read_only=True) as client:
            ((tables,),) = client.execute("select tables from publication").fetchall()
        return {table["table"]: table["content_hash"] for table in json.loads(tables)}

    before = content()
    result = shop.materialize()
    assert result.success, failure(result)
    assert content() == before
    served = published_bytes(shop)
    assert shop.materialize().success
    assert published_bytes(shop) == served
    # Nothing was built, and the page of the table still has its picture.
    assert {KEPT, "plot"} <= set(metadata(shop, "segment_profiles"))


def test_a_campaign_is_planned_without_building_anything_else_anew(shop: Shop) -> None:
    def versions() -> set[tuple[str, int]]:
        with duckdb.connect(str(shop.folder / "home" / "warehouse" / "clv.duckdb"), read_only=True) as warehouse:
            return set(warehouse.execute("select table_name, version from gate.promotions").fetchall())

    before = versions()
    assert "none is planned" in str(metadata(shop, "campaign_plan")["campaign"].value)
    result = shop.materialize(campaign={"budget": 20, "cost_per_contact": 2, "assumed_uplift": 0.5})
    assert result.success, failure(result)
    assert {table for table, _ in versions() - before} == {"campaign_settings", "segment_uplifts", "campaign_plan"}
    shown = metadata(shop, "campaign_plan")
    assert "ASSUMPTION, not a measurement" in str(shown["campaign"].value)
    with duckdb.connect(str(shop.served.resolve()), read_only=True) as client:
        plan = client.execute("select count(*), max(cumulative_cost), max(cumulative_return) from campaign_plan")
        [(contacts, cost, assumed)] = plan.fetchall()
    assert 0 < contacts <= 10
    assert (shown["cost"].value, shown["expected return"].value) == (float(cost), float(assumed))


def test_where_countries_are_not_mapped_the_table_says_so(shop: Shop) -> None:
    assert "maps no country" in str(metadata(shop, "country_performance")["countries"].value)
    assert metadata(shop, "product_performance")["products"].value > 100


def test_row_order_and_file_layout_do_not_matter(new_shop: Callable[[], Shop], shop: Shop) -> None:
    other = new_shop()
    other.write_orders("2010.csv", 4_000, seed=1)
    lines = (other.folder / "orders" / "2010.csv").read_text().splitlines()
    (other.folder / "orders" / "2010.csv").write_text("\n".join([lines[0], *reversed(lines[1:])]))
    assert other.materialize("*rfm").success

    def customers(of: Shop) -> list[tuple[object, ...]]:
        with duckdb.connect(str(of.folder / "home" / "warehouse" / "clv.duckdb"), read_only=True) as client:
            return client.execute("from rfm order by customer_id").fetchall()

    assert customers(other) == customers(shop)


def test_a_part_of_the_graph_that_fails_on_outdated_tables_says_to_run_everything(shop: Shop) -> None:
    part = part_with_a_late_file(shop, "row_ledger")
    assert not part.success
    assert re.search(
        r"then run again\.\nIt is built from outdated tables \(\w+ is older than [a-z_, ]+, and \d+ more like it\):"
        r" run everything first \(clv run\)\.$",
        failure(part),
    )
