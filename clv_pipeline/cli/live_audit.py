"""Every live table held against its contract, told line by line; nothing is built."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from clv_pipeline.config.settings import Settings

if TYPE_CHECKING:
    from clv_pipeline.contracts import Contract
    from clv_pipeline.warehouse import Session


def audit_live_tables(settings: Settings, *, wait_minutes: float = 0, echo: Callable[[str], None]) -> int:
    """Audit every promoted table where it stands, print a line per check that failed and one per table.

    Returns:
        The number of failed ERROR checks.

    Raises:
        WarehouseBusyError: another process works on the warehouse, and still does after `wait_minutes`.
        StorageError: the warehouse or its disk cannot be used.
        ClusterError: Spark cannot be used, or its folder of tables is another warehouse's.
    """
    from clv_pipeline.pipeline import Pipeline
    from clv_pipeline.warehouse import storage_faults_told

    pipeline = Pipeline.of(settings)
    try:
        with storage_faults_told(settings.warehouse_path):
            session = pipeline.warehouse.open("clv audit", wait_minutes=wait_minutes, tell=echo)
            return sum(_audit(session, model.contract, echo) for model in pipeline.models.values())
    finally:
        pipeline.warehouse.close()


def _audit(session: Session, contract: Contract, echo: Callable[[str], None]) -> int:
    """The number of failed ERROR checks of one table."""
    table = contract.table
    # The table `publication` exists in publications only.
    if not session.has_table(table):
        return 0
    results = session.auditor.audit(contract, table)
    broken = [result for result in results if not result.passed]
    echo(f"{table:<24}{len(results) - len(broken):>3} of {len(results)} checks passed")
    for result in broken:
        echo(f"        {'FAILED ' if result.blocks else 'warning'} {result.check}: {result.told}")
    return sum(result.blocks for result in broken)
