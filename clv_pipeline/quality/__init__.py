"""A table held against its contract by Great Expectations, pushed down to the engine that holds it.

No Dagster here, and no decision about what a failed check means: that is the gate's.
"""

from clv_pipeline.quality.audit import Auditor, CheckResult

__all__ = ["Auditor", "CheckResult"]
