"""How fast the model that serves is fitted on a million customers, and how fast ten million are scored.

Customers are simulated (BG/NBD and Gamma-Gamma) and described by the pipeline's own queries, a million at a time, into
a DuckDB file that is kept for the next run. The first million also has what a fit learns from: earlier windows, days
and cohorts. Fit: reading these, and the fit. Score: the paths over all horizons with ranges and
outlook, batch by batch from DuckDB into another DuckDB file. Each step runs in a process of its own.

Run: python -m benchmarks.fit_and_score (`make bench`)
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from datetime import date, timedelta
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import numpy as np
import polars as pl

from benchmarks.generated_blocks import replace_block
from benchmarks.measurement import DOCUMENT, WORK, Stopwatch, report
from clv_pipeline.contracts.loader import SqlModel, load_models
from clv_pipeline.evaluation.backtest import plan_windows
from clv_pipeline.evaluation.ranges import PAST_COLUMNS, SpendRanges
from clv_pipeline.features import model_inputs
from clv_pipeline.features.optional_columns import OptionalColumns
from clv_pipeline.forecasting.ages import AHEAD_DAYS
from clv_pipeline.forecasting.ground import Ground, one_thread
from clv_pipeline.forecasting.registry import models_of
from clv_pipeline.forecasting.serving import Scorer
from clv_pipeline.orchestration.assets.forecasting import scored_contract
from clv_pipeline.simulation.buyers import Buyers, Exposure, Streams, draw_purchases
from clv_pipeline.simulation.processes import BgNbdProcess
from clv_pipeline.simulation.purchases import NO_SEASON
from clv_pipeline.simulation.spend import GammaGammaSpend
from clv_pipeline.warehouse import Session
from clv_pipeline.warehouse.duckdb_engine import staged_name

if TYPE_CHECKING:
    from clv_pipeline.forecasting.protocol import FittedModel

BATCH = 1_000_000
"""Customers that are simulated at a time. The model is fitted on the first batch."""
START, DAYS = date(2023, 1, 1), 730
CUTOFF = START + timedelta(days=DAYS - 1)
MODEL = "hybrid"
HORIZONS_DAYS, DISCOUNT_RATE, LEVEL = (30, 90, 180, 365), 0.1, 0.8
DUCKDB_MEMORY = "1GB"
PACKAGES = ["duckdb", "polars", "numpy", "lifetimes"]

FIT_SECONDS, SCORE_SECONDS, SCORE_MB = 10.0, 60.0, 4_000.0
"""What is promised for a million fitted and ten million scored customers."""

_DETAILS = """
select customer_id, purchase_day, 1 as new_products, cast(null as varchar) as country from customer_days
"""
"""Baskets are not simulated: every day brings a product, nobody has a country."""
_NONE_OF = {
    "customer_attributes": "customer_id varchar, attribute_name varchar, kind varchar",
    "customer_events": "customer_id varchar, cutoff date, event_type varchar, events integer",
}


def prepare(path: Path, customers: int) -> None:
    """Write so many simulated customers into the table `customers` of a DuckDB file at `path`.

    Beside it stand the tables that models are trained from (`model_inputs.TABLES`), of the first BATCH.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".unfinished")
    unfinished.unlink(missing_ok=True)
    windows = plan_windows(START, CUTOFF, HORIZONS_DAYS, origins=1)
    # No window is backtested here, so all are sampled but the one that is scored.
    windows = windows.with_columns(is_sampled=pl.col("cutoff") < CUTOFF)
    with connect(unfinished) as connection:
        for table, columns in _NONE_OF.items():
            connection.execute(f"create table {table} ({columns})")
        connection.execute("create table parameters as select true as has_money")
        for first in range(0, customers, BATCH):
            size = min(BATCH, customers - first)
            connection.register("planned", windows if first == 0 else windows.filter(cutoff=CUTOFF))
            connection.execute("create or replace table forecast_windows as from planned")
            _draw_days(connection, first, size)
            connection.execute(f"create or replace temp table purchase_day_details as {_DETAILS}")
            if first == 0:
                for table in ("customer_epochs", "customer_features", "customer_outcomes", "cohort_days"):
                    connection.execute(f"create table {table} as {_query_of(table)}")
                connection.execute(f"create table customers as from customer_features where cutoff = '{CUTOFF}'")
                connection.execute("create table kept_days as from customer_days")
                connection.execute("create table kept_windows as from forecast_windows")
            else:
                connection.execute(f"insert into customers by name {_query_of('customer_features')}")
        for kept, table in (("kept_days", "customer_days"), ("kept_windows", "forecast_windows")):
            connection.execute(f"drop table {table}")
            connection.execute(f"alter table {kept} rename to {table}")
    unfinished.rename(path)


def _draw_days(connection: duckdb.DuckDBPyConnection, first: int, customers: int) -> None:
    """Replace `customer_days` by those of so many customers who are simulated anew."""
    of_times, of_spend = np.random.default_rng(first).spawn(2)
    streams, exposure = Streams(of_times, of_times, of_times, of_spend), Exposure(0.0, DAYS, DAYS, np.ones(customers))
    drawn = draw_purchases(streams, Buyers(BgNbdProcess(), GammaGammaSpend()), NO_SEASON, exposure)
    purchases = pl.DataFrame(
        {
            "customer_id": first + drawn.customer,
            "purchase_day": np.datetime64(START) + drawn.day.astype("timedelta64[D]"),
            "spend": drawn.spend,
        }
    )
    connection.register("purchases", purchases)
    connection.execute(
        "create or replace table customer_days as select cast(customer_id as varchar) as customer_id, purchase_day,"
        " purchase_day as known_from, cast(null as date) as superseded_on, count(*) as orders,"
        " count(*) as transaction_lines, cast(sum(spend) as decimal(18, 4)) as revenue"
        " from purchases group by all"
    )
    connection.unregister("purchases")


def _query_of(table: str) -> str:
    model = load_models()[table]
    if not isinstance(model, SqlModel):
        raise TypeError(f"{table} is expected to be a query")
    return model.sql


def connect(path: Path, *, read_only: bool = False) -> duckdb.DuckDBPyConnection:
    """Open a database within a bounded share of the memory."""
    connection = duckdb.connect(str(path), read_only=read_only, config={"memory_limit": DUCKDB_MEMORY})
    connection.execute("set enable_progress_bar = false")
    return connection


def fitted_model(path: Path, watch: Stopwatch) -> tuple[FittedModel, int, int]:
    """The model fitted on the customers of the training tables, their number and that of their distinct histories."""
    with connect(path, read_only=True) as connection, watch.stage("reduce"):
        training = model_inputs.training_data(Session(connection), CUTOFF)
    [model] = models_of([MODEL])
    with watch.stage("fit"), one_thread():
        fitted = model.fit(Ground(training))
    return fitted, training.customers, training.customer_counts.height


def fit(path: Path) -> dict[str, Any]:
    """Fit on the customers of the training tables.

    Raises:
        SystemExit: the verdict of the fit is not ok.
    """
    watch = Stopwatch()
    fitted, customers, distinct = fitted_model(path, watch)
    if fitted.report.verdict != "ok":
        raise SystemExit(f"the fit went wrong: {fitted.report.verdict} {fitted.report.notes}")
    return report("fit", watch, {"customers": customers, "distinct_histories": distinct}, PACKAGES)


def score(path: Path, customers: int) -> dict[str, Any]:
    """Score this many customers over all horizons, as the pipeline does.

    Raises:
        SystemExit: rows are missing.
    """
    fitted, _, _ = fitted_model(path, Stopwatch())
    past = pl.DataFrame(schema={**dict.fromkeys(PAST_COLUMNS, pl.Float64), "cutoff": pl.Date})
    scorer = Scorer(
        fitted, SpendRanges.learn(past, LEVEL), HORIZONS_DAYS, DISCOUNT_RATE, 1.0, {}, ahead_days=AHEAD_DAYS
    )
    models = load_models()
    contract = scored_contract(*(models[table].contract for table in ("clv_forecasts", "customer_outlook")))
    scored = path.with_name("scored.duckdb")
    scored.unlink(missing_ok=True)
    watch = Stopwatch()
    with connect(scored) as target:
        target.execute(f"attach '{path}' as described (read_only)")
        target.execute(f"create view customer_features as from described.customers limit {customers}")
        query, parameters = model_inputs.customers_query(CUTOFF, OptionalColumns({}, {}, {}, {}))
        with watch.stage("score"):
            Session(target).map_batches(contract, query, scorer, parameters)
        rows, horizons, spend = target.sql(
            "select count(distinct customer_id), count(distinct horizon_days), sum(expected_spend)"
            f" from {staged_name(contract.table)}"
        ).fetchall()[0]
    scored.unlink()
    if (rows, horizons) != (customers, len(HORIZONS_DAYS)):
        raise SystemExit(f"{rows} of {customers} customers were scored over {horizons} horizons")
    return report("score", watch, {"customers": rows, "expected_spend": round(spend)}, PACKAGES)


def alone(step: Callable[..., Any], *arguments: object) -> Any:
    """What a step returns from a fresh process: peak memory is a property of a process."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as fresh:
        return fresh.submit(step, *arguments).result()


def table(fits: dict[str, Any], scores: dict[str, Any]) -> str:
    """Both results as Markdown."""
    fit_seconds, score_seconds = fits["seconds"]["fit"], scores["seconds"]["score"]
    return "\n".join(
        [
            f"| {MODEL} | customers | seconds | customers per second | peak memory, MB |",
            "|---|---:|---:|---:|---:|",
            f"| fit ({fits['distinct_histories']:,} distinct histories) | {fits['customers']:,} | {fit_seconds:.1f} "
            f"| {fits['customers'] / fit_seconds:,.0f} | {fits['peak_rss_mb']:,.0f} |",
            f"| score, {len(HORIZONS_DAYS)} horizons up to {max(HORIZONS_DAYS)} days | {scores['customers']:,} "
            f"| {score_seconds:.1f} | {scores['customers'] / score_seconds:,.0f} | {scores['peak_rss_mb']:,.0f} |",
        ]
    )


def main() -> None:
    """Prepare the customers if they are not there, fit, score, print the table."""
    parser = argparse.ArgumentParser(description=str(main.__doc__))
    parser.add_argument("--score", type=int, default=10_000_000, help="customers to score")
    options = parser.parse_args()
    path = WORK / f"described_customers_{options.score}.duckdb"
    if not path.exists():
        alone(prepare, path, options.score)
    fits, scores = alone(fit, path), alone(score, path, options.score)
    print(table(fits, scores))
    DOCUMENT.write_text(replace_block(DOCUMENT.read_text(), "fit_and_score", table(fits, scores)))
    print(f"\npromised: fit {FIT_SECONDS:.0f} s; score {SCORE_SECONDS:.0f} s within {SCORE_MB:,.0f} MB")


if __name__ == "__main__":
    main()
