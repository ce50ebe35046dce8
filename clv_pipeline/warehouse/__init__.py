"""Where tables live and how they get there: they are staged, audited, promoted and finally published.

The warehouse file is private to the pipeline; what others read is a publication. No Dagster here.
"""

from clv_pipeline.warehouse.daily import stage_model
from clv_pipeline.warehouse.database_file import Limits, NewSession, Warehouse
from clv_pipeline.warehouse.duckdb_engine import Session
from clv_pipeline.warehouse.gate import Admission, admit, unchanged
from clv_pipeline.warehouse.storage_faults import storage_error, storage_faults_told

__all__ = [
    "Admission",
    "Limits",
    "NewSession",
    "Session",
    "Warehouse",
    "admit",
    "stage_model",
    "storage_error",
    "storage_faults_told",
    "unchanged",
]
