"""Bad input that comes in the second night: the incremental load ends as reading everything would."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import duckdb

from clv_pipeline.errors import SourceError
from clv_pipeline.sources import LoadedFile, load_changes, load_records
from clv_pipeline_tests.bad_input.bench import settings_for, write_files
from clv_pipeline_tests.bad_input.case import Case

FIRST_NIGHT = {"0.csv": b"customer,date,amount\n0,2010-05-20,5.25\n"}


def assert_second_night_is_like_a_full_load(con: duckdb.DuckDBPyConnection, case: Case, folder: Path) -> None:
    """After a first night with one good file: the same records in both ways, or the same error."""
    source = settings_for(case.columns, case.format, case.cleaning).source.transactions
    write_files(folder, FIRST_NIGHT)
    first = load_changes(con, "live", source, folder, folder / "work", live="live", known=[])
    write_files(folder, case.files)
    try:
        files = load_records(con, "whole", source, folder, folder / "work")
        expected: object = _records(con, "whole", files)
    except SourceError as error:
        expected = str(error)
    try:
        second = load_changes(con, "new", source, folder, folder / "work", live="live", known=first.files)
        found: object = sorted(
            (_records(con, "live", first.files) if not second.is_whole else []) + _records(con, "new", second.files)
        )
    except SourceError as error:
        found = str(error)
    assert found == expected


def _records(con: duckdb.DuckDBPyConnection, table: str, files: Sequence[LoadedFile]) -> list[tuple[str, ...]]:
    names = {file.source_id: file.source_file for file in files}
    rows = con.execute(
        f"SELECT source_id, source_line, customer_id, ordered_at, amount, attributes, source_text FROM {table}"
    ).fetchall()
    return sorted((names[source_id], *map(str, values)) for source_id, *values in rows)
