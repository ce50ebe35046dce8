"""The audit of every live table against its contract, table by table; nothing is built."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from clv_pipeline.config.settings import Settings
from clv_pipeline.quality import CheckResult


def audit_live_tables(
    settings: Settings, *, wait_minutes: float = 0, tell: Callable[[str], None]
) -> Iterator[tuple[str, list[CheckResult]]]:
    """Audit every live table in place: its name and the results of its checks.

    `tell` receives messages about waiting.

    Raises:
        WarehouseBusyError: another process works on the warehouse, and still does after `wait_minutes`.
        StorageError: the warehouse or its disk cannot be used.
        ClusterError: Spark cannot be used, or its tables belong to another warehouse.
    """
    from clv_pipeline.pipeline import Pipeline
    from clv_pipeline.warehouse import storage_faults_told

    pipeline = Pipeline.of(settings)
    try:
        with storage_faults_told(settings.warehouse_path):
            session = pipeline.warehouse.open("clv audit", wait_minutes=wait_minutes, tell=tell)
            for table, model in pipeline.models.items():
                # The table `publication` exists in publications only.
                if session.has_table(table):
                    yield table, session.auditor.audit(model.contract, table)
            # After all that was read is known to be there: the file may come from a backup.
            session.show_live()
    finally:
        pipeline.warehouse.close()


def audit_lines(table: str, results: Sequence[CheckResult]) -> list[str]:
    """A line for the table, and one for every check that failed."""
    broken = [result for result in results if not result.passed]
    return [
        f"{table:<24}{len(results) - len(broken):>3} of {len(results)} checks passed",
        *(f"        {'FAILED ' if result.blocks else 'warning'} {result.check}: {result.told}" for result in broken),
    ]
