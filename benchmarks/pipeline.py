"""From raw transactions to promoted rfm the way the pipeline does it: every table stored, audited and promoted.

Without Dagster, whose cost per step does not grow with rows. Great Expectations is imported before the clock
starts, because that happens once per process; everything else is counted, the final checkpoint too.

Run: python -m benchmarks.pipeline --csv benchmarks/work/transactions.csv --out pipeline.json
"""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import polars as pl

from benchmarks.commands import in_new_folder, measure_once
from benchmarks.measurement import MEMORY_GB, Stopwatch, report
from clv_pipeline.config.settings import Settings
from clv_pipeline.warehouse import Limits, Warehouse
from clv_pipeline_tests.helpers.nights import night

COLUMNS = ("customer_id", "order_id", "ordered_at", "product_id", "quantity", "unit_price")


def source_of(files: str) -> dict[str, Any]:
    """`source` of clv.yaml for generated files."""
    return {"transactions": {"path": files, "columns": {name: name for name in COLUMNS}}}


def settings_for(files: str, base_dir: Path, **more: Any) -> Settings:
    """Settings for generated files, as if `more` stood in their clv.yaml too. What is compared drops returns."""
    blocks = {"source": source_of(files), "cleaning": {"returns": "drop"}, **more}
    return Settings.from_mapping(blocks, config_file=base_dir / "clv.yaml")


def run(csv: Path, home: Path) -> tuple[dict[str, Any], pl.DataFrame]:
    """The benchmark's report, and frequency, recency (days) and revenue per customer_id; `home` is left behind.

    Raises:
        SystemExit: a table was refused.
    """
    import great_expectations  # noqa: F401

    warehouse = Warehouse(home / "clv.duckdb", [csv.resolve().parent], Limits(memory_gb=MEMORY_GB))
    watch = Stopwatch()
    with watch.stage("everything"):
        admissions = night(warehouse, settings_for(csv.name, csv.parent), today=date.today())
        session = warehouse.open("benchmark")
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
    measure_once(in_new_folder(run), main.__doc__)


if __name__ == "__main__":
    main()
