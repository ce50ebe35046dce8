"""Nights from order files to rfm and the books, step by step as the graph takes them, but without Dagster.

For tests that need many of them, and for benchmarks: what Dagster costs per step does not grow with rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from functools import partial

from clv_pipeline.config.settings import Settings
from clv_pipeline.contracts.loader import SqlModel, load_models
from clv_pipeline.orchestration.assets.cleaning import stage_gate_inputs
from clv_pipeline.orchestration.assets.ingestion import load_source, stage_gates_of, stage_load, stage_run_day
from clv_pipeline.pipeline import Refresh
from clv_pipeline.warehouse import Admission, Session, Warehouse, admit, stage_model, unchanged
from clv_pipeline.warehouse.file_gates import stage_file_gate_inputs
from clv_pipeline.warehouse.settings_table import settings_frame

MODELS = load_models()
NEWS = Refresh()
RECIPE = "test"

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
"""What each step builds, in the order of the graph."""


def night(
    warehouse: Warehouse,
    settings: Settings,
    *,
    today: date,
    refresh: Refresh = NEWS,
    steps: Sequence[Sequence[str]] = STEPS,
    recipe: str = RECIPE,
) -> dict[str, Admission]:
    """What came of each step, by its first table. The warehouse stays open."""
    session = warehouse.open("test")
    admissions = {}
    for tables in steps:
        contracts = [MODELS[table].contract for table in tables]
        model = MODELS[tables[0]]
        reads = model.dependencies if isinstance(model, SqlModel) else []
        kept = None if refresh.full else unchanged(session, contracts, reads, recipe)
        stage = partial(
            _stage, tables=tables, settings=settings, warehouse=warehouse, today=today, refresh=refresh, recipe=recipe
        )
        admissions[tables[0]] = kept or admit(session, contracts, stage, reads=reads, run_id="test", recipe=recipe)
    return admissions


def _stage(
    session: Session,
    tables: Sequence[str],
    settings: Settings,
    warehouse: Warehouse,
    today: date,
    refresh: Refresh,
    recipe: str,
) -> None:
    contracts = [MODELS[table].contract for table in tables]
    model = MODELS[tables[0]]
    if isinstance(model, SqlModel):
        stage_model(session, model, MODELS, recipe=recipe, full=refresh.full)
    elif model.name == "parameters":
        blocks = [dict(settings.cleaning), dict(settings.forecast)]
        session.stage_frame(model.contract, settings_frame(model.contract, blocks))
    elif model.name == "run_day":
        stage_run_day(session, model.contract, settings, today)
    elif model.name == "gate_settings":
        stage_gate_inputs(session, contracts, settings.gates)
    elif model.name == "file_gate_settings":
        stage_file_gate_inputs(session, MODELS, settings.gates)
    else:
        source, (raw, files, *_) = settings.source.transactions, contracts
        load = load_source(
            session, (raw, files), source, settings.base_dir, warehouse.work_dir, refresh=refresh, recipe=recipe
        )
        stage_gates_of(session, MODELS, source, settings.base_dir, load)
        stage_load(session, (raw, files), source, load)
