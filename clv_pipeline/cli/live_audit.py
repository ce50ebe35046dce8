"""Every live table held against its contract, told line by line; nothing is built."""

from __future__ import annotations

from collections.abc import Callable

from clv_pipeline.config.settings import Settings


def audit_live_tables(settings: Settings, *, wait_minutes: float = 0, echo: Callable[[str], None]) -> int:
    """Audit every promoted table where it stands, print a line per check that failed and one per table.

    Returns the number of failed ERROR checks. Raises WarehouseBusyError when another process works on the
    warehouse, and still does after `wait_minutes`.
    """
    from clv_pipeline.pipeline import Pipeline

    pipeline = Pipeline.of(settings)
    failed = 0
    try:
        session = pipeline.warehouse.open("clv audit", wait_minutes=wait_minutes, tell=echo)
        for table, model in pipeline.models.items():
            # The table `publication` exists in publications only.
            if not session.has_table(table):
                continue
            results = session.auditor.audit(model.contract, table)
            broken = [result for result in results if not result.passed]
            failed += sum(result.blocks for result in broken)
            echo(f"{table:<24}{len(results) - len(broken):>3} of {len(results)} checks passed")
            for result in broken:
                word = "FAILED " if result.blocks else "warning"
                echo(f"        {word} {result.check}: {result.description} Seen: {result.observed}.")
    finally:
        pipeline.warehouse.close()
    return failed
