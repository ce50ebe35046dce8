"""From raw transactions to promoted rfm the way the pipeline does it: every table stored, audited and promoted.

Without Dagster, whose cost per step does not grow with rows. Great Expectations is imported before the clock
starts, because that happens once per process; everything else is counted, the final checkpoint too.

Run: python -m benchmarks.pipeline --csv benchmarks/work/transactions.csv --out pipeline.json
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl

from benchmarks.commands import in_new_folder, measure_once
from benchmarks.measurement import MEMORY_GB, Stopwatch, report
from clv_pipeline.config.settings import Settings
from clv_pipeline.contracts.loader import SqlModel, TableModel, load_models
from clv_pipeline.orchestration.assets.cleaning import stage_gate_inputs
from clv_pipeline.orchestration.assets.ingestion import load_source, stage_gates_of, stage_load, stage_run_day
from clv_pipeline.pipeline import Refresh
from clv_pipeline.warehouse import Admission, Limits, Session, Warehouse, admit, stage_model, unchanged
from clv_pipeline.warehouse.file_gates import stage_file_gate_inputs
from clv_pipeline.warehouse.settings_table import settings_frame

COLUMNS = ("customer_id", "order_id", "ordered_at", "product_id", "quantity", "unit_price")

NIGHTLY = Refresh()

STEPS = (
    ("parameters",),
    ("run_day",),
    ("file_gate_settings", "passed_files"),
    ("raw_transactions", "source_files", "arrived_files", "file_measures", "file_gates"),
    ("outlier_fence",),
    ("rejected_transactions",),
    ("cleaned_transactions",),
    ("gate_settings", "passed_volumes"),
    ("daily_volumes",),
    ("volume_gates",),
    ("customer_days",),
    ("row_ledger",),
    ("history_span",),
    ("rfm",),
)
"""What lies between the CSV and rfm, in the order of the graph, and the books."""


def night(
    warehouse: Warehouse,
    settings: Settings,
    models: Mapping[str, TableModel],
    *,
    today: date,
    refresh: Refresh = NIGHTLY,
    recipe: str = "benchmark",
) -> dict[str, Admission]:
    """One run of STEPS; what came of each step, by its first table. The warehouse stays open."""

    def stage(table: str, session: Session) -> None:
        model = models[table]
        if isinstance(model, SqlModel):
            stage_model(session, model, models, recipe=recipe, full=refresh.full)
        elif table == "parameters":
            blocks = [dict(settings.cleaning), dict(settings.forecast)]
            session.stage_frame(model.contract, settings_frame(model.contract, blocks))
        elif table == "run_day":
            stage_run_day(session, model.contract, settings, today)
        elif table == "gate_settings":
            stage_gate_inputs(session, [model.contract, models["passed_volumes"].contract], settings.gates)
        elif table == "file_gate_settings":
            stage_file_gate_inputs(session, models, settings.gates)
        else:
            contracts = model.contract, models["source_files"].contract
            source, base_dir, work_dir = settings.source.transactions, settings.base_dir, warehouse.work_dir
            load = load_source(session, contracts, source, base_dir, work_dir, refresh=refresh, recipe=recipe)
            stage_gates_of(session, models, source, base_dir, load)
            stage_load(session, contracts, source, load)

    session = warehouse.open("benchmark")
    admissions = {}
    for tables in STEPS:
        contracts = [models[table].contract for table in tables]
        model = models[tables[0]]
        reads = model.dependencies if isinstance(model, SqlModel) else []
        kept = None if refresh.full else unchanged(session, contracts, reads, recipe)
        admissions[tables[0]] = kept or admit(
            session, contracts, partial(stage, tables[0]), reads=reads, run_id="benchmark", recipe=recipe
        )
    return admissions


def source_of(files: str) -> dict[str, Any]:
    """`source` of clv.yaml for generated files."""
    return {"transactions": {"path": files, "columns": {name: name for name in COLUMNS}}}


def settings_for(files: str, base_dir: Path, **more: Any) -> Settings:
    """Settings for generated files, as if `more` stood in their clv.yaml too."""
    return Settings.from_mapping({"source": source_of(files), **more}, config_file=base_dir / "clv.yaml")


def run(csv: Path, home: Path) -> tuple[dict[str, Any], pl.DataFrame]:
    """The benchmark's report, and frequency, recency (days) and revenue per customer_id; `home` is left behind."""
    import great_expectations  # noqa: F401

    models = load_models()
    warehouse = Warehouse(home / "clv.duckdb", [csv.resolve().parent], Limits(memory_gb=MEMORY_GB))
    watch = Stopwatch()
    with watch.stage("everything"):
        admissions = night(warehouse, settings_for(csv.name, csv.parent), models, today=date.today())
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
