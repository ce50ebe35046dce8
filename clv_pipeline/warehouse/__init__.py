"""Where tables live and how they get there: staged, audited, promoted, and at last published.

The warehouse file is private to the pipeline; what others read is a publication. No Dagster here.
"""

from clv_pipeline.warehouse.daily import stage_model
from clv_pipeline.warehouse.database_file import Limits, NewSession, Warehouse
from clv_pipeline.warehouse.duckdb_engine import Session
from clv_pipeline.warehouse.gate import Admission, GateError, admit, unchanged
from clv_pipeline.warehouse.lock import WarehouseBusyError
from clv_pipeline.warehouse.storage_faults import StorageError, storage_error

__all__ = [
    "Admission",
    "GateError",
    "Limits",
    "NewSession",
    "Session",
    "StorageError",
    "Warehouse",
    "WarehouseBusyError",
    "admit",
    "stage_model",
    "storage_error",
    "unchanged",
]
