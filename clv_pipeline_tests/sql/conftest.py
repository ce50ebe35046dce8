"""The bench that every test of a SQL model works on."""

from __future__ import annotations

from collections.abc import Iterator

import duckdb
import pytest

from clv_pipeline.warehouse import Session
from clv_pipeline_tests.sql.harness import Bench


@pytest.fixture
def bench() -> Iterator[Bench]:
    """A bench in a warehouse of its own, in memory: hundreds of small tables are built here."""
    with duckdb.connect() as connection:
        yield Bench(Session(connection))
