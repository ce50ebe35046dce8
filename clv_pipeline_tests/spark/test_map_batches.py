"""A function over a table: it sees every row once, a bounded number at a time, and returns declared columns."""

from __future__ import annotations

import polars as pl
import pytest

from clv_pipeline.warehouse import Session, duckdb_engine
from clv_pipeline_tests.helpers.doubled_numbers import double, doubled


def staged(session: Session) -> list[tuple[int, float]]:
    return session.read("select * from things__staged order by n").rows()


def test_every_row_is_mapped_once_in_bounded_batches(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duckdb_engine, "BATCH_ROWS", 5_000)
    sizes = []

    def noted(frame: pl.DataFrame) -> pl.DataFrame:
        sizes.append(frame.height)
        return double(frame)

    session.map_batches(doubled(), "select n from range(?) as numbers (n)", noted, [12_000])

    assert staged(session) == [(n, 2.0 * n) for n in range(12_000)]
    assert sum(sizes) == 12_000
    assert max(sizes) <= 5_000


def test_a_second_query_adds_to_what_is_staged(session: Session) -> None:
    for first in (0, 3):
        session.map_batches(doubled(), "select n from range(?, ?) as numbers (n)", double, [first, first + 2])
    assert staged(session) == [(n, 2.0 * n) for n in (0, 1, 3, 4)]


def test_without_rows_there_is_an_empty_table_of_the_declared_types(session: Session) -> None:
    session.map_batches(doubled(), "select n from range(0) as numbers (n)", double)
    described = session.read("describe things__staged").select("column_name", "column_type").rows()
    assert described == [("n", "INTEGER"), ("twice", "DOUBLE")]
    assert staged(session) == []


def test_it_reads_what_the_session_has_staged_before(session: Session) -> None:
    session.map_batches(doubled("others"), "select n from range(3) as numbers (n)", double)
    session.map_batches(doubled(), "select n from others__staged", double)
    assert staged(session) == [(0, 0.0), (1, 2.0), (2, 4.0)]


def test_columns_that_are_not_declared_are_refused(session: Session) -> None:
    with pytest.raises(ValueError, match=r"things: columns \['n'\] do not match the contract's \['n', 'twice'\]"):
        session.map_batches(doubled(), "select n from range(3) as numbers (n)", pl.DataFrame.clone)
