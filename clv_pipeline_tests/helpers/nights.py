"""Nights from order files to rfm and the books, step by step as the graph takes them, but without Dagster.

For tests that need many of them, and for benchmarks.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from functools import partial

from clv_pipeline.config.settings import Settings
from clv_pipeline.contracts.loader import SqlModel, load_models
from clv_pipeline.orchestration.bare_steps import STEPS, stage_step
from clv_pipeline.pipeline import Refresh
from clv_pipeline.warehouse import Admission, Session, Warehouse, admit, unchanged

MODELS = load_models()
NEWS = Refresh()
RECIPE = "test"


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

    def stage(session: Session, table: str) -> None:
        stage_step(session, table, MODELS, settings, warehouse.work_dir, today=today, refresh=refresh, recipe=recipe)

    for tables in steps:
        contracts = [MODELS[table].contract for table in tables]
        model = MODELS[tables[0]]
        reads = model.dependencies if isinstance(model, SqlModel) else []
        kept = None if refresh.full else unchanged(session, contracts, reads, recipe)
        build = partial(stage, table=tables[0])
        admissions[tables[0]] = kept or admit(session, contracts, build, reads=reads, run_id="test", recipe=recipe)
    return admissions
