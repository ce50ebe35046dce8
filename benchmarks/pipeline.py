"""From raw transactions to promoted rfm the way the pipeline does it: every table stored, audited and promoted.

Without Dagster, whose cost per step does not grow with rows. Great Expectations is imported before the clock
starts, because that happens once per process; everything else is counted, the final checkpoint too.

Run: python -m benchmarks.pipeline --csv benchmarks/work/transactions.csv --out pipeline.json
"""

from __future__ import annotations

import tempfile
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl

from benchmarks.measurement import Stopwatch, arguments, report, save
from clv_pipeline.assets.ingestion import parameter_frame, source_file_frame
from clv_pipeline.settings import Settings
from clv_pipeline.sources import load_records
from clv_pipeline.sql_models import SqlModel, load_models
from clv_pipeline.warehouse import Session, Warehouse, admit
from clv_pipeline.warehouse.duckdb_engine import staged_name

COLUMNS = ("customer_id", "order_id", "ordered_at", "product_id", "quantity", "unit_price")

STEPS = (
    ("parameters",),
    ("raw_transactions", "source_files"),
    ("outlier_fence",),
    ("rejected_transactions",),
    ("cleaned_transactions",),
    ("customer_days",),
    ("history_span",),
    ("rfm",),
)
"""What lies between the CSV and rfm, in the order of the graph."""


def run(csv: Path, home: Path) -> tuple[dict[str, Any], pl.DataFrame]:
    """The benchmark's report, and frequency, recency (days) and revenue per customer_id; `home` is left behind."""
    import great_expectations  # noqa: F401

    settings = Settings.from_mapping(
        {"source": {"transactions": {"path": csv.name, "columns": {name: name for name in COLUMNS}}}}
    )
    models = load_models()
    warehouse = Warehouse(home / "clv.duckdb", [csv.resolve().parent])
    watch = Stopwatch()

    def stage(table: str, session: Session) -> None:
        model = models[table]
        if isinstance(model, SqlModel):
            session.stage_query(model.contract, model.sql)
        elif table == "parameters":
            session.stage_frame(model.contract, parameter_frame(settings, date.today()))
        else:
            source = settings.source.transactions
            files = load_records(session.connection, staged_name(table), source, csv.parent, warehouse.work_dir)
            session.stage_frame(models["source_files"].contract, source_file_frame(files))

    with watch.stage("everything"):
        session = warehouse.open("benchmark")
        admissions = {
            tables[0]: admit(
                session,
                [models[table].contract for table in tables],
                partial(stage, tables[0]),
                reads=[],
                run_id="benchmark",
            )
            for tables in STEPS
        }
        customers = session.read("select customer_id, frequency, recency_days, revenue from rfm order by 1")
        warehouse.close()
    refused = [str(failure) for admission in admissions.values() for failure in admission.failures]
    if refused:
        raise SystemExit("\n".join(refused))
    audits = sum(admission.audit_seconds for admission in admissions.values())
    watch.seconds["engine"] = round(watch.seconds.pop("everything") - audits, 3)
    watch.seconds["audits"] = round(audits, 3)
    counts = {
        "customers": customers.height,
        "database_mb": round((home / "clv.duckdb").stat().st_size / 1e6, 1),
        "engine_seconds": {t: round(a.build_seconds, 3) for t, a in admissions.items()},
        "audit_seconds": {t: round(a.audit_seconds, 3) for t, a in admissions.items()},
    }
    return report("clv_pipeline", watch, counts, ["duckdb", "great-expectations"]), customers


def main() -> None:
    """Measure the pipeline from a CSV of transactions to promoted rfm."""
    options = arguments(str(main.__doc__))
    with tempfile.TemporaryDirectory(dir=options.csv.parent) as home:
        result, _ = run(options.csv, Path(home))
    save(result, options.out)


if __name__ == "__main__":
    main()
