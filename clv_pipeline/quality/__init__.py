"""Checking a table against its contract with Great Expectations, pushed down to the table's engine.

No Dagster here. The gate decides what a failed check means.
"""

from clv_pipeline.quality.audit import Auditor, CheckResult

__all__ = ["Auditor", "CheckResult"]
