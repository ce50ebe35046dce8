"""The first steps of a run, from the source to rfm and the margin, without Dagster.

Here belongs which steps these are, and what stages each. `clv check` rehearses them; tests and benchmarks spend nights
with them, because what Dagster costs per step does not grow with rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from clv_pipeline.config.settings import Settings
from clv_pipeline.contracts.loader import SqlModel, TableModel
from clv_pipeline.orchestration.assets.cleaning import stage_gate_inputs
from clv_pipeline.orchestration.assets.ingestion import load_source, stage_gates_of, stage_load, stage_run_day
from clv_pipeline.pipeline import Refresh
from clv_pipeline.warehouse import Session, stage_model
from clv_pipeline.warehouse.currency import stage_currency
from clv_pipeline.warehouse.file_gates import stage_file_gate_inputs
from clv_pipeline.warehouse.settings_table import settings_frame

if TYPE_CHECKING:
    from clv_pipeline.sources import Load, LoadedFile

STEPS = (
    ("parameters",),
    ("run_day",),
    ("currency_settings", "currency_rates"),
    ("file_gate_settings", "passed_files"),
    ("raw_transactions", "source_files", "arrived_files", "file_measures", "file_gates"),
    ("currencies",),
    ("daily_rates",),
    ("converted_transactions",),
    ("outlier_fence",),
    ("rejected_at_sight",),
    ("matched_returns",),
    ("rejected_transactions",),
    ("cleaned_transactions",),
    ("gate_settings", "passed_volumes"),
    ("daily_volumes",),
    ("volume_gates",),
    ("customer_days",),
    ("row_ledger",),
    ("currency_ledger",),
    ("history_span",),
    ("known_days",),
    ("rfm",),
    ("shop_margin",),
)
"""What each step builds, in the order of the graph."""


def stage_step(
    session: Session,
    table: str,
    models: Mapping[str, TableModel],
    settings: Settings,
    work_dir: Path,
    *,
    today: date,
    refresh: Refresh,
    recipe: str,
    loaded: Callable[[Load], None] = lambda _: None,
    is_judged: Callable[[LoadedFile], bool] = lambda _: True,
) -> None:
    """Stage the tables of one step.

    Args:
        session: the open warehouse.
        table: the first table of the step.
        models: all tables.
        settings: the settings of the run.
        work_dir: holds temporary copies.
        today: the day of the run.
        refresh: what to build although nothing has changed.
        recipe: today's recipe.
        loaded: is told what was read, before any of it goes further.
        is_judged: whether a file that was read is judged by the file gates.

    Raises:
        SourceError: the source cannot be read.
    """
    model = models[table]
    if isinstance(model, SqlModel):
        stage_model(session, model, models, recipe=recipe, full=refresh.full)
    elif table == "parameters":
        session.stage_frame(model.contract, settings_frame(model.contract, settings.parameters))
    elif table == "run_day":
        stage_run_day(session, model.contract, settings, today)
    elif table == "currency_settings":
        stage_currency(session, models, settings)
    elif table == "file_gate_settings":
        stage_file_gate_inputs(session, models, settings.gates)
    elif table == "gate_settings":
        stage_gate_inputs(session, [model.contract, models["passed_volumes"].contract], settings.gates)
    else:
        contracts = model.contract, models["source_files"].contract
        source, base_dir = settings.source.transactions, settings.base_dir
        load = load_source(session, contracts, source, base_dir, work_dir, refresh=refresh, recipe=recipe)
        loaded(load)
        stage_gates_of(session, models, source, base_dir, load, is_judged)
        stage_load(session, contracts, source, load)
