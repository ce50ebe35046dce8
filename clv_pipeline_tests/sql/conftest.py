"""The bench that every test of a SQL model works on."""

from __future__ import annotations

from collections.abc import Iterator

import duckdb
import pytest

from clv_pipeline.database.sql_text import quote_identifier
from clv_pipeline.warehouse import Session
from clv_pipeline_tests.helpers.sql_bench import Bench


@pytest.fixture(scope="session")
def memory() -> Iterator[Session]:
    """One warehouse in memory: opening one takes longer than most of these tests."""
    session = Session(duckdb.connect())
    yield session
    session.close()


@pytest.fixture
def bench(memory: Session) -> Iterator[Bench]:
    """A bench that is cleared at the end."""
    yield Bench(memory)
    for (table,) in memory.execute("select table_name from duckdb_tables()").fetchall():
        memory.execute(f"drop table {quote_identifier(table)}")
