"""Failures of Dagster steps for errors that a user can fix, and the part of their text that may leave the machine."""

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg
import duckdb

from clv_pipeline.errors import ClvError, SourceError
from clv_pipeline.text import displayed
from clv_pipeline.warehouse import Warehouse, storage_error

WHAT, TO_DO = "what is wrong", "what to do"
"""Metadata of a failure that a user can fix: the fields of its error that may leave the machine."""


@contextmanager
def expected_failures(warehouse: Warehouse) -> Iterator[None]:
    """Turn errors that a user can fix into a Dagster failure with their text and without a retry.

    Raises:
        duckdb.Error: an error of DuckDB that is not about storage, unchanged.
        OSError: an error of the operating system that is not about storage, unchanged.
    """  # noqa: DOC501  (`failure` makes the error)
    try:
        yield
    except ClvError as error:
        # The disk may become full while a file is loaded, which is not the fault of the file.
        cause = error.__cause__ if isinstance(error, SourceError) else None
        raise failure(storage_error(cause, warehouse.path) or error) from error
    except (duckdb.Error, OSError) as error:
        if (told := storage_error(error, warehouse.path)) is None:
            raise
        raise failure(told) from error


def failure(error: ClvError) -> dg.Failure:
    """`error` as a Dagster failure without a retry: its text, and the part that may leave the machine as metadata."""
    told = {WHAT: displayed(error.what), TO_DO: displayed(error.remedy)}
    return dg.Failure(displayed(str(error)), metadata=told, allow_retries=False)
