"""Tables of a lakehouse (Delta, Iceberg) at a snapshot, read by the Python libraries of their formats.

Rows come in Arrow batches, one data file after the other, into a temporary table. Where commits since the snapshot that
was read last have only added files, those files alone are read. Credentials come from the environment; of Iceberg's
catalog, also from the file of settings that its library reads.
"""

# Only identifiers that are quoted here enter the SQL.
# ruff: noqa: S608

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from clv_pipeline.config.source import CustomerSource, LakeTable, TableSource, is_object_url
from clv_pipeline.database.sql_text import quote_identifier
from clv_pipeline.errors import SourceError
from clv_pipeline.sources.errors import first_line, without_secrets
from clv_pipeline.sources.expressions import own_columns
from clv_pipeline.sources.lake_rows import Rows, Snapshot
from clv_pipeline.sources.tables import Column, RawTable, kind_of_type
from clv_pipeline.sources.unmapped_money import may_be_money

_STAGE = "clv_lake_rows"
_LIBRARIES = {"delta": "deltalake", "iceberg": "pyiceberg"}


def open_snapshot(table: LakeTable, base_dir: Path) -> Snapshot:
    """The configured snapshot of a table, or the newest one. A relative path starts at `base_dir`.

    Raises:
        SourceError: the library of the format is not installed, or the table cannot be read.
    """
    library = _LIBRARIES[table.format]
    try:
        importlib.import_module(library)
    except ImportError as error:
        raise SourceError(
            f"{table.label}: tables of format {table.format} are read by the package {library}, which is not installed",
            to_do=f"`pip install 'clv_pipeline[{table.format}]'`",
        ) from error
    with told(table.label):
        if table.format == "delta":
            from clv_pipeline.sources.delta import DeltaSnapshot

            address = table.path if is_object_url(table.path) else str(base_dir / Path(table.path).expanduser())
            return DeltaSnapshot(address, table.label, table.version)
        from clv_pipeline.sources.iceberg import IcebergSnapshot

        return IcebergSnapshot(table.catalog, table.name, table.label, table.snapshot)


def staged(con: duckdb.DuckDBPyConnection, rows: Rows, source: TableSource) -> RawTable:
    """The mapped columns of `rows` in a temporary table of `con`.

    Of demographics without attributes it holds all columns, and of transactions without money those that may be money.

    Raises:
        SourceError: the table cannot be read.
    """
    is_whole = isinstance(source, CustomerSource) and not source.attributes
    needed = {*own_columns(source), *may_be_money(rows.columns, source)}
    columns = [name for name in rows.columns if is_whole or name in needed]
    forget_lake(con)
    described = described_rows(rows)
    with told(rows.table, rows.reading):
        con.register("clv_lake_batches", rows.read(columns))
        try:
            fields = ", ".join(f"{quote_identifier(name)} AS c{position}" for position, name in enumerate(columns))
            con.execute(f"CREATE TEMP TABLE {_STAGE} AS SELECT {fields} FROM clv_lake_batches")
        finally:
            con.unregister("clv_lake_batches")
    types = [str(type_) for _, type_, *_ in con.execute(f"SELECT * FROM {_STAGE} LIMIT 0").description]
    found = {
        name: Column(f"c{position}", kind_of_type(type_))
        for position, (name, type_) in enumerate(zip(columns, types, strict=True))
    }
    described.columns.update(found)
    return described


def described_rows(rows: Rows) -> RawTable:
    """The table before any row of it is read."""
    return RawTable(
        source_file=f"{rows.table}#{rows.shown}",
        scan=_STAGE,
        parameters={},
        columns={name: Column("NULL") for name in rows.columns},
        format=rows.format,
        first_line=1,
        name=rows.table,
        stamp=rows.stamp,
    )


def forget_lake(con: duckdb.DuckDBPyConnection) -> None:
    """Drop the temporary table of a table's rows, if there is one."""
    con.execute(f"DROP TABLE IF EXISTS {_STAGE}")


@contextmanager
def told(label: str, reading: str = "") -> Iterator[None]:
    """Turn the errors of a library into one that names the table, and who was reading it.

    Raises:
        SourceError: the table cannot be read.
    """
    try:
        yield
    except SourceError:
        raise
    except Exception as error:
        # Libraries raise any exception, and some put an address with a signature into its text.
        raise SourceError(
            f"{label}: the table cannot be read{f' by {reading}' if reading else ''}",
            quoted=without_secrets(first_line(error), label),
            to_do="mount its folder at the same path there, or give it the credentials that the run's process has"
            if reading
            else "correct the source's `table`, or the credentials in the environment",
        ) from None
