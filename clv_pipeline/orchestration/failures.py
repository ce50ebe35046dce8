"""How errors that a user can mend become failures of a Dagster step, and which of their words may leave the machine."""

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg
import duckdb

from clv_pipeline.errors import ClvError, SourceError
from clv_pipeline.text import displayed
from clv_pipeline.warehouse import Warehouse, storage_error

WHAT, TO_DO = "what is wrong", "what to do"
"""Metadata of a failure that a user can mend: the fields of its error that may leave the machine."""


@contextmanager
def expected_failures(warehouse: Warehouse) -> Iterator[None]:
    """Turn errors that a user can mend into a Dagster failure: their text, no retry."""
    try:
        yield
    except ClvError as error:
        # A disk may become full while a file is loaded; that is nothing to blame the file for.
        cause = error.__cause__ if isinstance(error, SourceError) else None
        raise failure(storage_error(cause, warehouse.path) or error) from error
    except (duckdb.Error, OSError) as error:
        if (told := storage_error(error, warehouse.path)) is None:
            raise
        raise failure(told) from error


def failure(error: ClvError) -> dg.Failure:
    """`error` as Dagster tells it, without a retry: its text, and what may leave the machine as metadata."""
    told = {WHAT: displayed(error.what), TO_DO: displayed(error.remedy)}
    return dg.Failure(displayed(str(error)), metadata=told, allow_retries=False)
