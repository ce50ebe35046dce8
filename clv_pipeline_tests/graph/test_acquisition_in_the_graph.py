"""What customers cost and bring, from files to `acquisition_value`; the game's channels against polars."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import duckdb
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from clv_pipeline.cli.verdict_text import verdict_text
from clv_pipeline.errors import SourceError
from clv_pipeline.evaluation.acquisition import REALISED_MONTHS, acquisition_value, backtest
from clv_pipeline.forecasting.ages import age_days, ahead_columns
from clv_pipeline.orchestration.rehearsal import rehearse
from clv_pipeline_tests.helpers.graph_shop import COLUMNS, Shop
from clv_pipeline_tests.helpers.shared_files import DATA

GAME = DATA / "game_revenue.csv.gz"
MARGIN = 0.7


def read(shop: Shop, query: str) -> pl.DataFrame:
    with duckdb.connect(str(shop.folder / "home" / "warehouse" / "clv.duckdb"), read_only=True) as warehouse:
        found: pl.DataFrame = warehouse.sql(query).pl()
    return found


def with_channels(shop: Shop, rows: int) -> pl.DataFrame:
    """Orders with a channel by customer, and a cost that is blank now and then."""
    path = shop.write_orders("orders.csv", rows, seed=1)
    orders = pl.read_csv(path, infer_schema=False)
    named = orders.with_columns(
        utm=pl.when(pl.col("customer_id").hash(7) % 2 == 0).then(pl.lit("search")).otherwise(pl.lit("friend")),
        cost=(pl.col("quantity").cast(pl.Float64) * pl.col("unit_price").cast(pl.Float64) * 0.6).round(2),
    ).with_columns(pl.when(pl.int_range(pl.len()) % 50 != 0).then("cost").alias("cost"))
    named.write_csv(path)
    return named


def source(**blocks: Any) -> dict[str, Any]:
    columns = {**{name: name for name in COLUMNS}, "channel": "utm", "cost": "cost"}
    return {"transactions": {"path": "orders/*.csv", "columns": columns}, **blocks}


def test_costs_channels_and_line_costs_end_in_the_published_table(new_shop: Callable[[], Shop]) -> None:
    shop = new_shop()
    orders = with_channels(shop, 3_000)
    first = orders["ordered_at"].drop_nulls().min()
    assert isinstance(first, str)
    spent = [(first[:10], "search", "120.50"), (first[:7] + "-28", "search", "1.25"), (first[:10], "radio", "30")]
    pl.DataFrame(spent, schema=["day", "what", "paid"], orient="row").write_csv(shop.folder / "costs.csv")
    mapping = {"date": "day", "channel": "what", "amount": "paid"}
    result = shop.night(source=source(costs={"path": "costs.csv", "columns": mapping}))
    assert result.success
    failed = {check.check_name for check in result.failed_checks}
    assert "channels_of_costs_have_customers" in failed, "nobody came by radio"
    assert not failed & {"no_cost_is_lost", "everybody_was_acquired", "ranges_hold_the_projection"}
    with duckdb.connect(str(shop.served), read_only=True) as served:
        value = served.sql("from acquisition_value").pl()
        margins = served.sql("select distinct margin_source from customer_overview").fetchall()
        past = served.sql("select count(*) from acquisition_backtest").fetchall()
    assert margins == [("cost per line",)]
    assert past[0][0] > 0
    [everybody] = value.filter(scope="shop").rows(named=True)
    assert float(everybody["cost"]) == 151.75
    assert everybody["ltv_lower"] <= everybody["ltv"] <= everybody["ltv_upper"]
    assert everybody["ltv"] < everybody["projected_36_months"]
    [radio] = value.filter(scope="month and channel", channel="radio").rows(named=True)
    assert (radio["customers"], float(radio["cost"])) == (0, 30.0)


def test_a_cost_that_cannot_be_read_stops_the_load_and_names_its_line(new_shop: Callable[[], Shop]) -> None:
    shop = new_shop()
    with_channels(shop, 1_000)
    (shop.folder / "costs.csv").write_text("day,what,paid\n2024-01-05,search,10\n2024-02-05,search,much\n")
    mapping = {"date": "day", "channel": "what", "amount": "paid"}
    costs = {"path": "costs.csv", "columns": mapping}
    result = shop.night("key:raw_costs", source=source(costs=costs))
    assert not result.success
    assert "costs.csv, line 3: no amount that can be read" in result.failures["raw_costs"]
    assert shop.night("key:raw_costs", source=source(costs={**costs, "where": "\"paid\" <> 'much'"})).success
    assert read(shop, "select sum(amount) as paid from raw_costs")["paid"].to_list() == [10]


@pytest.mark.parametrize(("credit", "stops"), [("-4", False), ("-10", False), ("-31.69", True)])
def test_a_credit_note_is_netted_within_its_month_and_channel_and_stops_where_it_exceeds_them(
    new_shop: Callable[[], Shop], credit: str, stops: bool
) -> None:
    shop = new_shop()
    with_channels(shop, 1_000)
    # The credit note is in a file of its own, and other channels and months do not make up for it.
    (shop.folder / "costs-1.csv").write_text(
        "day,what,paid\n2024-01-05,search,10\n2024-01-05,radio,99\n2024-02-05,search,99\n"
    )
    (shop.folder / "costs-2.csv").write_text(f"day,what,paid\n2024-01-20,search,{credit}\n")
    mapping = {"date": "day", "channel": "what", "amount": "paid"}
    configured = source(costs={"path": "costs-*.csv", "columns": mapping})
    result = shop.night("+key:acquisition_costs", source=configured)
    if not stops:
        assert result.success, result.failures
        january = "select cast(cost as double) as cost from acquisition_costs where cost_month = '2024-01-01'"
        assert read(shop, f"{january} and channel = 'search'")["cost"].to_list() == [10 + float(credit)]
        return
    assert "costs-2.csv, line 2: -31.6900 is more than was spent in 2024-01-01 on search" in str(
        result.failures["acquisition_costs"]
    )
    with pytest.raises(
        SourceError, match=r"costs-2\.csv, line 2: -31\.6900 is more than was spent in 2024-01 on search"
    ):
        rehearse(shop.settings(source=configured))


@pytest.mark.parametrize("column", ["product_id", "empty"])
def test_a_cost_that_is_no_number_stops_check_as_it_stops_a_run(new_shop: Callable[[], Shop], column: str) -> None:
    shop = new_shop()
    with_channels(shop, 1_000)
    path = shop.folder / "orders" / "orders.csv"
    pl.read_csv(path, infer_schema=False).with_columns(empty=pl.lit(None, pl.String)).write_csv(path)
    configured = source()
    transactions = configured["transactions"]
    columns = transactions["columns"] | {"cost": column}
    configured = {**configured, "transactions": transactions | {"columns": columns}}
    result = shop.night("+key:shop_margin", source=configured)
    assert "most_costs_are_known" in result.failures["shop_margin"]
    found = rehearse(shop.settings(source=configured))
    assert found.stops
    assert [check.check for check in found.failed if check.blocks] == [
        "most_costs_are_known",
        "sales_bring_more_than_they_cost",
    ]
    assert found.survey.readable["cost"] == 0.0
    told = verdict_text(found)
    assert "lines have no cost that can be read" in told
    assert "Look at source.transactions.columns.cost." in told


def independently(raw: pl.DataFrame) -> pl.DataFrame:
    """Margin per customer by channel and age, of the months of first purchase of which everybody is that old."""
    paid = raw.filter(pl.col("item_revenue") > 0).with_columns(pl.col("time").str.to_datetime().dt.date().alias("day"))
    as_of = paid["day"].max()
    customers = (
        paid.sort("time")
        .group_by("player_id")
        .agg(pl.col("day").first().alias("first"), pl.col("acquisition").first().alias("channel"))
    )
    month_end = pl.col("first").dt.month_end()
    parts = []
    for months in REALISED_MONTHS:
        days = pl.duration(days=age_days(months))
        old = customers.filter(month_end + days <= as_of)
        brought = paid.join(old, on="player_id").filter(pl.col("day") <= pl.col("first") + days)
        money = brought.group_by("channel").agg(pl.col("item_revenue").sum() * MARGIN)
        each = old.group_by("channel").len().join(money, on="channel")
        value = (pl.col("item_revenue") / pl.col("len")).alias("value")
        parts.append(each.select("channel", pl.lit(months).alias("months"), value))
    return pl.concat(parts).sort("channel", "months")


@pytest.mark.skipif(not GAME.exists(), reason="the game's log is not beside the repository")
def test_the_game_brings_by_channel_what_polars_says(new_shop: Callable[[], Shop]) -> None:
    shop = new_shop()
    columns = {
        "customer_id": "player_id",
        "ordered_at": "time",
        "product_id": "item_name",
        "amount": "item_revenue",
        "channel": "acquisition",
    }
    cleaning = {"deduplicate": False}
    blocks: dict[str, Any] = {
        "source": {"transactions": {"path": str(GAME), "columns": columns}},
        "forecast": {"margin": MARGIN, "horizons_days": [30]},
        "cleaning": cleaning,
    }
    assert shop.night("+key:cohort_margins or +key:acquisition_costs", **blocks).success
    realised = read(shop, "from cohort_margins")
    keys = realised.select("first_month", "channel", "customers").unique()
    nothing = keys.with_columns(pl.lit(None, pl.Float64).alias(name) for name in ahead_columns())
    groups = pl.DataFrame(
        schema={
            "cutoff": pl.Date,
            "horizon_days": pl.Int32,
            "first_month": pl.Date,
            "channel": pl.String,
            "customers": pl.Int64,
            "expected_purchases": pl.Float64,
            "expected_spend": pl.Float64,
            "actual_spend": pl.Float64,
        }
    )
    as_of = read(shop, "from history_span")["as_of"][0]
    spent = read(shop, "from acquisition_costs")
    value = acquisition_value(realised, nothing, spent, backtest(groups, "hybrid", 0.8), as_of, 0.8)
    found = (
        value.filter(scope="channel")
        .unpivot([f"margin_{months}_months" for months in REALISED_MONTHS], index="channel")
        .select("channel", pl.col("variable").str.extract(r"(\d+)").cast(pl.Int32).alias("months"), pl.col("value"))
        .drop_nulls()
        .sort("channel", "months")
    )
    expected = independently(pl.read_csv(GAME))
    assert expected["channel"].n_unique() > 2
    assert_frame_equal(found, expected, check_dtypes=False, abs_tol=1e-3, rel_tol=1e-6)
