"""The load: every record of a source becomes one row of one typed table.

Here belongs the order of events: find the files, compare every header with the mapping, decide the
conventions, and only then write. Lines that cannot be split into fields become rows too, with their text
and the reason. `incremental` decides which files must be read.
"""

# Only identifiers and expressions that this package wrote itself enter the SQL; values are parameters.

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from itertools import count
from pathlib import Path

import duckdb

from clv_pipeline.config.source import CustomerSource, TableSource
from clv_pipeline.database.sql_text import quote_identifier
from clv_pipeline.errors import SourceError, did_you_mean
from clv_pipeline.sources.batches import batches
from clv_pipeline.sources.catalog import list_files
from clv_pipeline.sources.changes import Content, distinct, named
from clv_pipeline.sources.conventions import Conventions, decide
from clv_pipeline.sources.databases import query_table
from clv_pipeline.sources.errors import first_line, listed, one_error
from clv_pipeline.sources.expressions import computed, condition, own_columns
from clv_pipeline.sources.files import SourceFile
from clv_pipeline.sources.identity import names_of
from clv_pipeline.sources.lake_rows import Rows
from clv_pipeline.sources.lakehouse import described_rows, forget_lake, open_snapshot, staged
from clv_pipeline.sources.loaded import LoadedFile
from clv_pipeline.sources.prepared_rows import to_be_judged
from clv_pipeline.sources.sniff import is_like_a_value
from clv_pipeline.sources.tables import Column, RawTable, open_tables
from clv_pipeline.sources.typed import UNCOMPRESSED, target_columns
from clv_pipeline.sources.unmapped_money import refuse_unmapped_money
from clv_pipeline.sources.written_rows import Target, write_rows


def create_table(con: duckdb.DuckDBPyConnection, table: str, kind: type[TableSource]) -> None:
    """Create or replace `table` without rows, with the columns of a source of this kind."""
    columns = ", ".join(
        f"{name} {type_}{' USING COMPRESSION uncompressed' if name in UNCOMPRESSED else ''}"
        for name, type_ in target_columns(kind).items()
    )
    con.execute(f"CREATE OR REPLACE TABLE {quote_identifier(table)} ({columns})")


def load_records(
    con: duckdb.DuckDBPyConnection, table: str, source: TableSource, base_dir: Path, work_dir: Path
) -> list[LoadedFile]:
    """Create or replace `table` with one row per record of `source`, in the order of files and records.

    The columns are those of `typed.target_columns`. Text is trimmed of spaces, and '' is NULL. A value that cannot
    be read as a date or number is NULL, and `source_text` then holds the original mapped fields as a JSON
    object. `source_line` is the number of the record, where the header is 1. It equals the number of the line
    unless a blank line or a quoted line break comes before it. Files without a header line (JSON lines,
    Parquet) and queries count from 1.

    Temporary copies go into the folder `sources` below `work_dir`, which is removed before and after. Nothing is
    written to `table` before every header agrees with the mapping. The function may be called inside a transaction.

    Raises:
        SourceError: whatever is wrong with the source.
    """  # noqa: DOC501  (`no_record` makes the error)
    with prepared(con, work_dir) as copies:
        files = list_files(source, base_dir, copies)
        with held_still(files):
            contents = list(distinct(names_of(files)).values())
            source, tables = open_source(con, source, contents, contents, base_dir, copies)
            conventions = conventions_of(con, tables, source)
            loaded = load_tables(con, table, source, tables, conventions, first_id=1, contents=contents)
    if not any(file.rows for file in loaded):
        raise no_record(loaded[0].source_file)
    return loaded


def no_record(label: str) -> SourceError:
    """The error for a source whose files, `label` and all others, hold no record."""
    return SourceError(f"{label}: holds no record below its header, and so does every other file")


@contextmanager
def prepared(con: duckdb.DuckDBPyConnection, work_dir: Path) -> Iterator[Path]:
    """Give an empty folder for copies, removed at the end, and make the connection keep the order of lines."""
    copies = work_dir / "sources"
    if copies.exists():  # of a load that was killed
        shutil.rmtree(copies)
    copies.mkdir(parents=True)
    # Line numbers depend on it. It is the default, and a locked configuration refuses even setting the default.
    if con.execute("SELECT current_setting('preserve_insertion_order')").fetchone() != (True,):
        con.execute("SET preserve_insertion_order = true")
    try:
        yield copies
        forget_lake(con)
    except BaseException:
        # An error within the caller's transaction has aborted it, and its end drops the table, too.
        with suppress(duckdb.TransactionException):
            forget_lake(con)
        raise
    finally:
        shutil.rmtree(copies)


@contextmanager
def held_still(files: Sequence[SourceFile]) -> Iterator[None]:
    """Make sure that no file is written to or removed meanwhile, when half of it may have been read.

    Raises:
        SourceError: a file was written to or removed.
    """
    before = [file.state() for file in files]
    try:
        yield
        after = [file.state() for file in files]
    except FileNotFoundError as error:
        raise SourceError(f"{error.filename}: was removed while it was read", to_do="run again") from error
    for file, state, now in zip(files, before, after, strict=True):
        if now != state:
            raise SourceError(
                f"{file.label}: was written to while it was read",
                to_do="run again when it is complete (best written under another name and renamed at the end)",
            )


def load_tables(
    con: duckdb.DuckDBPyConnection,
    table: str,
    source: TableSource,
    tables: Sequence[RawTable],
    conventions: Conventions,
    first_id: int,
    contents: Sequence[Content] = (),
) -> list[LoadedFile]:
    """Create or replace `table` with the records of `tables`, whose sources are numbered from `first_id`.

    `contents` are the contents that the tables of files were opened from.
    """
    create_table(con, table, type(source))
    target = Target(quote_identifier(table), source, conventions)
    by_name = {content.name.label: content for content in contents}
    source_ids = count(first_id)
    loaded: list[LoadedFile] = []
    for raw in batches(tables, source):
        parts = {next(source_ids): part for part in raw.parts or (raw,)}
        for part, one in zip(parts.values(), write_rows(con, target, parts), strict=True):
            loaded.append(identified(one, by_name[part.name]) if part.file is not None else one)
        for path in raw.temporary:
            path.unlink(missing_ok=True)  # the sheets of a packed workbook share a copy
    return apart_where_empty(loaded, by_name)


def identified(loaded: LoadedFile, content: Content) -> LoadedFile:
    """What was loaded, with the hashes and the other names of its content."""
    hashed = replace(loaded, sha256=content.name.sha256, content=content.name.content)
    return hashed.with_copies(content.copies)


def apart_where_empty(loaded: Sequence[LoadedFile], contents: Mapping[str, Content]) -> list[LoadedFile]:
    """List copies of files without records as files of their own, because copies of nothing double nothing."""
    filled = {file.name for file in loaded if file.rows}
    number = max((file.source_id for file in loaded), default=0)
    found: list[LoadedFile] = []
    for file in loaded:
        if file.is_query or file.name in filled:
            found.append(file)
            continue
        found.append(file.with_copies([]))
        for name in contents[file.name].names[1:]:
            number += 1
            found.append(replace(named(file, Content((name,))), source_id=number))
    return found


def open_source(
    con: duckdb.DuckDBPyConnection,
    source: TableSource,
    contents: Sequence[Content],
    there: Sequence[Content],
    base_dir: Path,
    work_dir: Path,
) -> tuple[TableSource, list[RawTable]]:
    """The raw tables of `contents`, or of the source's query or table, after every header has matched the mapping.

    `there` are all contents of the source. Members of an archive that are not in `contents` are not opened.

    If a customer source maps only the customer, the returned source has every column as an attribute.

    Raises:
        SourceError: it names every file that cannot be opened and every mapped column that is missing; or columns that
            look like money where none is mapped.
    """
    own_columns(source)  # an expression that is not allowed is told once, before any file is read
    if source.table is not None:
        return with_every_column(source, [lake_table(con, source, open_snapshot(source.table, base_dir).whole())])
    tables, problems = (
        ([query_table(con, source.url, source.query, base_dir, work_dir)], [])
        if source.url is not None and source.query is not None
        else open_tables(con, *_to_open(contents, there), source, work_dir)
    )
    tables = agreeing(con, tables, source, problems)
    refuse_unmapped_money(con, tables, source)
    return with_every_column(source, tables)


def lake_table(con: duckdb.DuckDBPyConnection, source: TableSource, rows: Rows) -> RawTable:
    """The staged `rows` of a table of a lakehouse, whose columns are compared with the mapping before any is read."""
    refuse_disagreements([described_rows(rows)], source)
    table = to_be_judged(con, staged(con, rows, source), source)
    refuse_unmapped_money(con, [table], source)
    return table


def _to_open(contents: Sequence[Content], there: Sequence[Content]) -> tuple[list[SourceFile], set[str]]:
    """The files of `contents`, and the labels of the other contents of these files."""
    files = list(dict.fromkeys(content.name.file for content in contents))
    wanted = {content.name.label for content in contents}
    return files, {name.label for content in there for name in content.names} - wanted


def agreeing(
    con: duckdb.DuckDBPyConnection,
    tables: list[RawTable],
    source: TableSource,
    problems: Sequence[SourceError] = (),
) -> list[RawTable]:
    """Return `tables` after checking that all of them have the columns that the source names.

    Raises:
        SourceError: there are `problems`, or a table lacks a column.
    """
    refuse_disagreements(tables, source, problems)
    return [to_be_judged(con, raw, source) for raw in tables]


def refuse_disagreements(tables: Sequence[RawTable], source: TableSource, problems: Sequence[SourceError] = ()) -> None:
    """Refuse tables that lack a column that the source names, or that have one twice.

    Raises:
        SourceError: there are `problems`, or such a table.
    """  # noqa: DOC501  (`one_error` makes the error)
    if found := [*problems, *(problem for raw in tables for problem in _disagreements(raw, source))]:
        raise one_error(found)


def conventions_of(con: duckdb.DuckDBPyConnection, tables: Sequence[RawTable], source: TableSource) -> Conventions:
    """How dates and numbers are written in `tables`.

    Raises:
        SourceError: the values are ambiguous, or a date format is not valid.
    """
    conventions = decide(con, tables, source)
    try:
        con.execute("SELECT try_strptime('', $formats)", {"formats": conventions.date_formats or ["%Y"]})
    except duckdb.InvalidInputException as error:
        raise SourceError(
            f"{tables[0].source_file}: cannot be read",
            quoted=first_line(error),
            to_do=f"state other {source.key}.format.date_formats",
        ) from error
    return conventions


def with_every_column(source: TableSource, tables: list[RawTable]) -> tuple[TableSource, list[RawTable]]:
    """If a customer source maps only the customer: the mapping with all columns of all tables as attributes.

    A column is NULL in a table that lacks it.
    """
    if not isinstance(source, CustomerSource) or source.attributes:
        return source, tables
    names = {name: name for table in tables for name in table.columns if name not in source.columns.values()}
    complete = source.model_copy(update={"columns": {**names, **source.columns}})
    absent = dict.fromkeys(names, Column("NULL"))
    return complete, [replace(table, columns={**absent, **table.columns}) for table in tables]


def _disagreements(raw: RawTable, source: TableSource) -> list[SourceError]:
    found = f"columns found: {listed(raw.columns)}"
    without_header = f"{source.key}.format: {{header: false, names: [a name for every column]}}"
    if raw.starts_with_data and _mapped_by_values(source):
        return [
            SourceError(
                f"{raw.source_file}: its first line looks like a record, not like a header, and would be lost",
                quoted=found,
                to_do=f"state {without_header} and map these names, or {source.key}.format.header: true",
            )
        ]
    if not set(own_columns(source)) & set(raw.columns):
        return [
            SourceError(
                f"{raw.source_file}: holds none of the columns of {source.key}.columns"
                f" ({listed(source.columns.values())})",
                quoted=found,
                to_do="the header should be the first line: correct it, the mapping, or the delimiter or encoding in"
                f" {source.key}.format"
                + (f"; of a file without a header, state {without_header}" if raw.csv_width else ""),
            )
        ]
    problems = []
    for key, theirs in _named(source):
        if theirs not in raw.columns:
            mapped = f" (mapped to {key.removeprefix('columns.')})" if key.startswith("columns.") else f" of {key}"
            problems.append(
                SourceError(
                    f"{raw.source_file}: the column {theirs!r}{mapped} is missing",
                    quoted=f"{found}{did_you_mean(theirs, raw.columns)}",
                    to_do=f"correct {source.key}.{key}",
                )
            )
    where = condition(source)
    for expression in [*computed(source).values(), *([where] if where is not None else [])]:
        problems += expression.missing(raw.source_file, raw.columns, found)
    ours = {theirs: ours for ours, theirs in source.columns.items()}
    for theirs in own_columns(source):
        if theirs in raw.repeated:
            mapped = f" (mapped to {ours[theirs]})" if theirs in ours else ""
            problems.append(
                SourceError(f"{raw.source_file}: the header holds {theirs!r}{mapped} twice", to_do="rename one")
            )
    return problems


def _mapped_by_values(source: TableSource) -> bool:
    """Whether most of the names in a mapping can only be values of a first line that was taken for the header."""
    names = own_columns(source)
    return sum(map(is_like_a_value, names)) > len(names) / 2


def _named(source: TableSource) -> list[tuple[str, str]]:
    """The columns of the file that a source names outside expressions, with their places in `clv.yaml`."""
    named = [(f"columns.{ours}", theirs) for ours, theirs in source.columns.items() if theirs not in computed(source)]
    if source.fill_down is not None:
        named.append(("fill_down.by", source.fill_down.by))
        named += [("fill_down.columns", name) for name in source.fill_down.columns]
    return named
