"""No future can leak: whatever rows come after a day, nothing that is computed as of that day changes.

Through the whole graph, on a simulated shop with demographics and browsing events: the shop is materialized as of a
day, then rows after it are deleted, changed and added, all rows are shuffled, and it is materialized again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import duckdb
import numpy as np
import polars as pl
import pytest

from clv_pipeline import simulation
from clv_pipeline.warehouse import Session
from clv_pipeline_tests.helpers.graph_shop import COLUMNS, Shop
from clv_pipeline_tests.helpers.sql_bench import Bench, sale

AS_OF = date(2023, 3, 31)
EARLIER = AS_OF - timedelta(days=60)
"""A cutoff of the backtest."""
BLOCKS: dict[str, Any] = {
    "source": {
        "transactions": {"path": "orders.csv", "columns": {name: name for name in (*COLUMNS, "country")}},
        "customers": {"path": "people.csv", "columns": {"customer_id": "customer_id"}},
        "events": {"path": "events.csv", "columns": {name: name for name in ("customer_id", "occurred_at", "event")}},
    },
    "forecast": {"as_of": AS_OF.isoformat(), "horizons_days": [60]},
    "models": ["own_rate", "hybrid"],
    "backtest": {"origins": 2},
    "campaign": {"budget": 100, "cost_per_contact": 1, "assumed_uplift": 0.5},
}
EVERYTHING = (
    "+key:revenue_outlook or +group:insights or +key:segment_flows or +key:forecast_scatter or"
    " +key:tracking_by_frequency"
)
FEATURES = "+key:rfm or +key:customer_features or +key:customer_events or +key:past_segments"
TABLES = (
    "rfm",
    "customer_clusters",
    "segments",
    "segment_profiles",
    "forecast_windows",
    "customer_features",
    "customer_rhythms",
    "customer_windows",
    "customer_events",
    "customer_outcomes",
    "backtest_forecasts",
    "evaluation_metrics",
    "model_leaderboard",
    "past_segments",
    "served_accuracy",
    "served_bins",
    "forecast_scatter",
    "fitted_models",
    "clv_forecasts",
    "customer_outlook",
    "tracking",
    "tracking_by_frequency",
    "revenue_outlook",
    "revenue_outlook_backtest",
    "sold_days",
    "dim_customer",
    "fact_customer_month",
    "fact_orders",
    "customer_month_states",
    "month_end_segments",
    "segment_history",
    "segment_flows",
    "order_profile",
    "order_values",
    "order_sizes",
    "order_hours",
    "order_gaps",
    "sales_trends",
    "revenue_distribution",
    "cohorts",
    "product_performance",
    "country_performance",
    "customer_overview",
    "segment_actions",
    "campaign_plan",
)
"""Everything that is computed as of a day."""

Tables = dict[str, pl.DataFrame]
Future = Callable[[pl.DataFrame, np.random.Generator], pl.DataFrame]
"""From the rows after a day to the rows that come instead."""


@pytest.fixture(scope="module")
def story() -> simulation.Shop:
    buyers = replace(simulation.Story().buyers, season=0.3)
    several = simulation.Story(buyers, visits_before_purchase=1.0)
    return simulation.simulate_shop(400, several, seed=11, days=600, acquisition_days=400)


@pytest.fixture(scope="module")
def shop(new_shop: Callable[[], Shop]) -> Shop:
    return new_shop()


@pytest.fixture(scope="module")
def untouched(shop: Shop, story: simulation.Shop) -> Tables:
    return computed(shop, story, as_it_was)


def computed(
    shop: Shop, story: simulation.Shop, future: Future, *, after: date = AS_OF, selection: str = EVERYTHING
) -> Tables:
    """The tables when `future` came after a day; those that are not selected stay as they were."""
    rng = np.random.default_rng(after.toordinal())
    for frame, time, file in (
        (story.transactions, "ordered_at", "orders.csv"),
        (story.events, "occurred_at", "events.csv"),
    ):
        known = pl.col(time).dt.date() <= after
        later = frame.filter(~known)
        assert min(frame.filter(known).height, later.height) > 100
        rows = pl.concat([frame.filter(known), future(later, rng)])
        rows[rng.permutation(rows.height)].write_csv(shop.folder / file, datetime_format="%Y-%m-%d %H:%M:%S")
    story.customers.write_csv(shop.folder / "people.csv")
    result = shop.night(selection, **BLOCKS)
    assert result.success, result.failures
    with duckdb.connect(str(shop.folder / "home" / "warehouse" / "clv.duckdb"), read_only=True) as warehouse:
        return {table: warehouse.sql(f"from {table} order by all").pl() for table in TABLES}


def changed(one: Tables, other: Tables) -> set[str]:
    assert all(table.height > 0 for table in one.values())
    return {name for name in TABLES if not one[name].equals(other[name])}


def as_it_was(future: pl.DataFrame, _: np.random.Generator) -> pl.DataFrame:
    return future


def nothing(future: pl.DataFrame, _: np.random.Generator) -> pl.DataFrame:
    return future.clear()


def another(future: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    """Half of the rows deleted, the others with changed values, and twice as many new ones.

    The new rows are of known and unknown customers, products, countries and types of event, dear, and half of them
    fall into the first minute. Beside them, known customers send back what they bought.
    """
    kept = future.sample(fraction=0.5, seed=int(rng.integers(1_000)))
    customers = kept["customer_id"].gather(rng.permutation(kept.height))
    factors = pl.Series("factor", rng.integers(1, 50, kept.height))
    altered = kept.with_columns(customers, pl.col("^quantity|unit_price$") * factors)
    added = future.with_columns(
        pl.col("customer_id") + pl.Series("shift", rng.integers(-200, 200, future.height)),
        pl.col("^order_id|product_id|country|event$") + " new",
        pl.col("^unit_price$") * 1_000,
    )
    first_minute = added.with_columns(pl.col(pl.Datetime).dt.date().min().cast(pl.Datetime("ms")))
    returned = future.with_columns(pl.col("^order_id$") + " back", pl.col("^quantity$") * -1)
    return pl.concat([altered, added, first_minute, returned])


@pytest.mark.parametrize("future", [nothing, another])
def test_whatever_comes_after_as_of_changes_nothing(
    shop: Shop, story: simulation.Shop, untouched: Tables, future: Future
) -> None:
    assert changed(untouched, computed(shop, story, future)) == set()


def test_whatever_comes_between_a_cutoff_and_as_of_changes_no_feature_as_of_the_cutoff(
    shop: Shop, story: simulation.Shop, untouched: Tables
) -> None:
    poisoned = computed(shop, story, another, after=EARLIER, selection=FEATURES)
    by_cutoff = {"customer_features", "customer_events", "customer_rhythms", "past_segments"}
    with duckdb.connect(str(shop.folder / "home" / "warehouse" / "clv.duckdb"), read_only=True) as warehouse:
        late = "select count(*) from matched_returns where purchase_day <= $1 and returned_on > $1"
        assert warehouse.execute(late, [EARLIER]).fetchall() != [(0,)], "nobody returned what was bought by then"
    assert changed(untouched, poisoned) == {"rfm", "sold_days", *by_cutoff}
    for table in by_cutoff:
        known = pl.col("cutoff") <= EARLIER
        assert untouched[table].filter(known)["cutoff"].max() == EARLIER
        assert poisoned[table].filter(known).equals(untouched[table].filter(known))


def test_what_counts_as_an_outlier_is_not_learned_from_the_future() -> None:
    bench = Bench(Session(duckdb.connect()))
    bench.given_parameters(outliers="cap", as_of=AS_OF)
    known = [sale(line, ordered_at=f"{AS_OF} 12:00:00", amount=str(2**line)) for line in range(5)]
    later = [sale(line, ordered_at=f"{AS_OF + timedelta(days=1)} 00:00:00", amount="1000") for line in range(5, 20)]
    fences = []
    for rows in (known, known + later):
        bench.given_raw(rows)
        fences.append(bench.run("outlier_fence"))
    assert fences[0] == fences[1]
