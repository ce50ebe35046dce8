"""How fast a model is fitted on a million customers, and how fast ten million are scored.

Customers are simulated (BG/NBD and Gamma-Gamma) and summarized by the pipeline's own `rfm` query, a million at a time,
into a DuckDB file that is kept for the next run. Fit: the distinct histories with their counts, and the spend of at
most as many repeat buyers as the pipeline samples. Score: batches go from DuckDB through the forecast into another
DuckDB file. Each step runs in a process of its own. Columns that the BG/NBD family does not read are 0.

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
from clv_pipeline.forecasting.protocol import CUSTOMER_COLUMNS, DAILY_COLUMNS, TrainingData
from clv_pipeline.forecasting.registry import build_models
from clv_pipeline.simulation import Story
from clv_pipeline.simulation.shop import draw_purchases
from clv_pipeline.sql_models import SqlModel, load_models
from clv_pipeline.warehouse.model_inputs import SPEND_SAMPLE

if TYPE_CHECKING:
    from clv_pipeline.forecasting.protocol import FittedModel

BATCH = 1_000_000
"""Customers that are simulated, and scored, at a time; forecasts of equal histories are shared within a batch."""
START, DAYS = date(2023, 1, 1), 730
CUTOFF = START + timedelta(days=DAYS - 1)
HORIZON_DAYS, DISCOUNT_RATE = 365, 0.1
DUCKDB_MEMORY = "1GB"
PACKAGES = ["duckdb", "polars", "numpy", "lifetimes"]

FIT_SECONDS, SCORE_SECONDS, SCORE_MB = 10.0, 60.0, 4_000.0
"""What is promised for a million fitted and ten million scored customers."""


def prepare(path: Path, customers: int) -> None:
    """Write so many simulated customers into the table `customers` of a DuckDB file at `path`."""
    rfm = load_models()["rfm"]
    if not isinstance(rfm, SqlModel):
        raise TypeError("rfm is expected to be a query")
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".unfinished")
    unfinished.unlink(missing_ok=True)
    with connect(unfinished) as connection:
        connection.execute(f"create table history_span as select date '{CUTOFF}' as as_of")
        for first in range(0, customers, BATCH):
            size = min(BATCH, customers - first)
            drawn = draw_purchases(np.random.default_rng(first), Story(), np.ones(size), START, DAYS, DAYS)
            purchases = pl.DataFrame(
                {
                    "customer_id": first + drawn.customer,
                    "purchase_day": np.datetime64(START) + drawn.day.astype("timedelta64[D]"),
                    "spend": drawn.spend,
                }
            )
            connection.register("purchases", purchases.to_arrow())
            connection.execute(
                "create or replace temp table customer_days as select customer_id, purchase_day, count(*) as orders,"
                " cast(sum(spend) as decimal(18, 4)) as revenue from purchases group by all"
            )
            connection.execute(f"{'insert into customers' if first else 'create table customers as'} {rfm.sql}")
    unfinished.rename(path)


def connect(path: Path, *, read_only: bool = False) -> duckdb.DuckDBPyConnection:
    """Open a database within a bounded share of the memory."""
    connection = duckdb.connect(str(path), read_only=read_only, config={"memory_limit": DUCKDB_MEMORY})
    connection.execute("set enable_progress_bar = false")
    return connection


def fitted_model(path: Path, customers: int, watch: Stopwatch) -> tuple[FittedModel, int]:
    """BG/NBD fitted on the first `customers` of the file, and the number of their distinct histories."""
    with connect(path, read_only=True) as connection, watch.stage("reduce"):
        some = f"(from customers where customer_id < {customers})"
        counts = connection.sql(
            f"select frequency, recency_days, tenure_days, count(*) as customers from {some} group by all order by all"
        ).pl()
        spend = connection.sql(
            "select frequency, cast(monetary_value as double) as monetary_value, count(*) as customers"
            f" from (select * from {some} where frequency > 0 order by md5(customer_id::varchar) limit {SPEND_SAMPLE})"
            " group by all order by all"
        ).pl()
    training = TrainingData(
        cutoff=CUTOFF,
        customer_counts=counts,
        repeat_spend=spend,
        completed_windows=pl.DataFrame(),
        daily_totals=pl.DataFrame(schema={**dict.fromkeys(DAILY_COLUMNS, pl.Float64), "day": pl.Date}),
    )
    [model] = build_models(["bg_nbd"])
    with watch.stage("fit"):
        fitted = model.fit(training, [HORIZON_DAYS])
    return fitted, counts.height


def fit(path: Path, customers: int) -> dict[str, Any]:
    """Fit on so many customers."""
    watch = Stopwatch()
    fitted, distinct = fitted_model(path, customers, watch)
    if fitted.report.verdict != "ok":
        raise SystemExit(f"the fit went wrong: {fitted.report.verdict} {fitted.report.notes}")
    return report("fit", watch, {"customers": customers, "distinct_histories": distinct}, PACKAGES)


def score(path: Path, customers: int) -> dict[str, Any]:
    """Score so many customers by a model that was fitted on a few of them."""
    fitted, _ = fitted_model(path, 20_000, Stopwatch())
    watch = Stopwatch()
    columns = ", ".join(map(_column, CUSTOMER_COLUMNS))
    scored = path.with_name("scored.duckdb")
    scored.unlink(missing_ok=True)
    with connect(path, read_only=True) as source, connect(scored) as target, watch.stage("score"):
        for first in range(0, customers, BATCH):
            some = f"customer_id >= {first} and customer_id < {min(first + BATCH, customers)}"
            batch = source.sql(f"select {columns} from customers where {some}").pl()
            target.register("forecast", fitted.forecast(batch, HORIZON_DAYS, DISCOUNT_RATE).to_arrow())
            target.execute(f"{'insert into clv' if first else 'create table clv as'} from forecast")
        rows, spend = target.sql("select count(*), sum(expected_spend) from clv").fetchall()[0]
    scored.unlink()
    if rows != customers:
        raise SystemExit(f"{rows} of {customers} customers were scored")
    return report("score", watch, {"customers": rows, "expected_spend": round(spend)}, PACKAGES)


def _column(name: str) -> str:
    kept = {"customer_id": "customer_id::varchar", "revenue": "revenue::double"}
    kept |= {"monetary_value": "monetary_value::double", "cutoff": "as_of", "horizon_days": str(HORIZON_DAYS)}
    same = {"frequency", "recency_days", "tenure_days", "days_since_last", "orders", "first_purchase_date"}
    return f"{kept.get(name, name if name in same else 0)} as {name}"


def alone(step: Callable[..., Any], *arguments: object) -> Any:
    """What a step returns from a fresh process: peak memory is a property of a process."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as fresh:
        return fresh.submit(step, *arguments).result()


def table(fits: dict[str, Any], scores: dict[str, Any]) -> str:
    """Both results as Markdown."""
    fit_seconds, score_seconds = fits["seconds"]["fit"], scores["seconds"]["score"]
    return "\n".join(
        [
            "| BG/NBD with Gamma-Gamma | customers | seconds | customers per second | peak memory, MB |",
            "|---|---:|---:|---:|---:|",
            f"| fit ({fits['distinct_histories']:,} distinct histories) | {fits['customers']:,} | {fit_seconds:.1f} "
            f"| {fits['customers'] / fit_seconds:,.0f} | {fits['peak_rss_mb']:,.0f} |",
            f"| score, {HORIZON_DAYS} days | {scores['customers']:,} | {score_seconds:.1f} "
            f"| {scores['customers'] / score_seconds:,.0f} | {scores['peak_rss_mb']:,.0f} |",
        ]
    )


def main() -> None:
    """Prepare the customers if they are not there, fit, score, print the table."""
    parser = argparse.ArgumentParser(description=str(main.__doc__))
    parser.add_argument("--fit", type=int, default=1_000_000, help="customers to fit on")
    parser.add_argument("--score", type=int, default=10_000_000, help="customers to score")
    options = parser.parse_args()
    customers = max(options.fit, options.score)
    path = WORK / f"customers_{customers}.duckdb"
    if not path.exists():
        alone(prepare, path, customers)
    fits, scores = alone(fit, path, options.fit), alone(score, path, options.score)
    print(table(fits, scores))
    DOCUMENT.write_text(replace_block(DOCUMENT.read_text(), "fit_and_score", table(fits, scores)))
    print(f"\npromised: fit {FIT_SECONDS:.0f} s; score {SCORE_SECONDS:.0f} s within {SCORE_MB:,.0f} MB")


if __name__ == "__main__":
    main()
