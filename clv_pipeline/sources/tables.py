"""Every kind of file as a table that SQL can scan.

Here belongs one function per kind of file. Each gives `RawTable`s: a FROM clause with bound parameters,
and for each of the file's own column names the expression that yields it. Only headers are read here; the
meaning of values belongs in `typed`. No value of a file or of the user is ever spliced into SQL.
"""

# Only identifiers and expressions that this package wrote itself enter the SQL; values are parameters.
# ruff: noqa: S608

import glob
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import duckdb

from clv_pipeline.config.source import TableSource
from clv_pipeline.database.sql_text import quote_identifier
from clv_pipeline.errors import SourceError
from clv_pipeline.sources.errors import first_line
from clv_pipeline.sources.expressions import own_columns
from clv_pipeline.sources.files import SourceFile
from clv_pipeline.sources.prepare import as_plain_utf8, kind_of, text_facts, unpack
from clv_pipeline.sources.sniff import TextFacts, guess_delimiter, header_of, starts_with_a_record

BUFFER_BYTES = 32_000_000
"""Buffer size of the CSV scan. The default writes fragmented row groups, which costs 2 s at the next UPDATE or
CHECKPOINT of 4 million rows. Twice this size leaves one of two cores idle on files of 200 MB."""

FILE_NUMBER = "CAST(file_index AS BIGINT) + 1"
"""SQL for the position, from 1, of a row's file among those of its scan."""

REJECTS = "clv_reject_errors"
REJECT_SCANS = "clv_reject_scans"
"""Temporary tables into which DuckDB stores the lines that it cannot split."""

MOST_COLUMNS = 10_000
"""Most columns that a file may have. Queries name every column: with six times as many, a load of a few rows takes
minutes and gigabytes."""

ColumnKind = Literal["text", "number", "time", "zoned"]

_NUMBERS = (
    "TINYINT",
    "SMALLINT",
    "INTEGER",
    "BIGINT",
    "HUGEINT",
    "UTINYINT",
    "USMALLINT",
    "UINTEGER",
    "UBIGINT",
)
_NUMBER_STARTS = (*_NUMBERS, "UHUGEINT", "FLOAT", "DOUBLE", "DECIMAL")


@dataclass(frozen=True)
class Column:
    """One column of a raw table: a SQL expression and what kind of value it has."""

    expression: str
    kind: ColumnKind = "text"
    written: str = ""
    """For a computed column, SQL for the fields of the file that it is computed from, as text."""


@dataclass(frozen=True)
class RawTable:
    """Something to scan: `SELECT {columns[name].expression} FROM {scan}` with `parameters`."""

    source_file: str
    scan: str
    parameters: dict[str, Any]
    columns: dict[str, Column]
    format: str
    first_line: int
    """source_line of the first record: 2 below a header line, else 1."""
    unreadable: str = "NULL"
    """SQL expression for the line's text if the record could not be split, else NULL."""
    stores_rejects: bool = False
    csv_width: int = 0
    """Number of columns of a CSV; 0 for other kinds."""
    localised: bool = True
    """Whether text may hold numbers as people write them, with a decimal comma or thousands separators."""
    repeated: frozenset[str] = frozenset()
    """Names that occur more than once in the header."""
    selected: str = "true"
    """SQL condition that is true of the rows that are kept (`where`)."""
    starts_with_data: bool = False
    """Whether the line that is taken for the header looks like a record."""
    file: SourceFile | None = None
    """The file on disk, which is the archive of a member or the workbook of a sheet; None for a query."""
    name: str = ""
    """Label of the file or of the archive member; for a sheet, the label of its workbook; for a part of a table of a
    lakehouse, the table; '' for a query."""
    stamp: str = ""
    """What identifies a table of a lakehouse and its snapshot."""
    scanned_path: Path | None = None
    lines: int | None = None
    """Number of lines of the scanned text file, including header and blank lines; None for other kinds."""
    header_lines: int = 0
    temporary: list[Path] = field(default_factory=list)
    """Copies in the work folder that may be deleted after the load."""
    parts: tuple["RawTable", ...] = ()
    """The tables of several files that this one scans together, in the order of `file_index`."""
    head: "RawTable | None" = None
    """A copy of the first rows of each of the `parts`, while conventions are decided."""
    far: "Callable[[Callable[[duckdb.DuckDBPyConnection, RawTable], Any]], list[Any]] | None" = None
    """Of files that are read elsewhere (`far`): puts a question to each of them. Here are their first values only."""

    @contextmanager
    def at_hand(self) -> Iterator[None]:
        """Keep what is scanned on disk meanwhile: copies are there anyway."""
        with ExitStack() as kept:
            for part in self.parts or (self,):
                if part.file is not None and not part.temporary:
                    kept.enter_context(part.file.at_hand())
            yield


def open_tables(
    con: duckdb.DuckDBPyConnection,
    files: Sequence[SourceFile],
    leave_out: Container[str],
    source: TableSource,
    work_dir: Path,
) -> tuple[list[RawTable], list[SourceError]]:
    """One table per file, zip member or sheet, in order, and one error per file without a table.

    A file has no table if it cannot be opened, is empty, or is of an unknown kind. `work_dir` takes the
    copies. Archive members whose labels are in `leave_out` are not opened.
    """
    from clv_pipeline.sources.json_lines import with_keys

    tables: list[RawTable] = []
    problems: list[SourceError] = []
    work_dir.mkdir(parents=True, exist_ok=True)
    for number, file in enumerate(files):
        try:
            with file.at_hand():
                tables.extend(_tables_of(con, file, source, work_dir / f"{number:05d}", leave_out))
        except SourceError as error:
            problems.append(error)
    tables, without_keys = with_keys(con, tables, source)
    return list(map(_with_partition, tables)), [*problems, *without_keys]


def _with_partition(raw: RawTable) -> RawTable:
    """The table with the columns of the file's partition. A column of the file's own wins over one of the same name."""
    partition = raw.file.partition if raw.file is not None else ()
    added = [(f"partition_{position}", *pair) for position, pair in enumerate(partition) if pair[0] not in raw.columns]
    columns = {name: Column(f"CAST(${parameter} AS VARCHAR)") for parameter, name, _ in added}
    values = {parameter: value for parameter, _, value in added}
    return replace(raw, columns={**raw.columns, **columns}, parameters={**raw.parameters, **values})


def _tables_of(
    con: duckdb.DuckDBPyConnection, file: SourceFile, source: TableSource, copies: Path, leave_out: Container[str]
) -> list[RawTable]:
    from clv_pipeline.sources.json_lines import json_lines

    tables: list[RawTable] = []
    kind, gzipped = kind_of(file.label)
    if kind == "zip":
        copies.mkdir()
    members = unpack(file, copies) if kind == "zip" else [file]
    for position, member in enumerate(members):
        if kind == "zip" and member.label in leave_out:
            continue
        member_kind, member_gzipped = kind_of(member.label) if kind == "zip" else (kind, gzipped)
        copy = copies.with_name(f"{copies.name}_{position:05d}")
        temporary = [member.path] if kind == "zip" else []
        origin = {"file": file, "name": member.label, "temporary": temporary}
        if member_kind == "csv":
            tables.append(_csv(member, member_gzipped, source, copy.with_suffix(".csv"), origin))
        elif member_kind == "jsonl":
            tables.append(json_lines(member, member_gzipped, source, copy.with_suffix(".jsonl"), origin))
        elif member_kind == "parquet":
            tables.append(parquet(con, member, member.path, "Parquet", origin))
        else:
            from clv_pipeline.sources.workbooks import sheets_as_parquet

            for sheet, path in sheets_as_parquet(member, source, copy):
                extra = {**origin, "temporary": [*temporary, path]}
                tables.append(parquet(con, sheet, path, "XLSX", {**extra, "first_line": 2}))
    return tables


# Compression is stated, never guessed: DuckDB takes a ? in a file name for the start of a URL's query and then reads
# the compressed bytes as text. Hive partitioning is off: a folder called amount=5 would replace the file's own column.
# Lines that cannot be split are stored as rejects and do not fail the scan.
SCAN_OPTIONS = (
    "auto_detect = false, hive_partitioning = false, compression = $compression, buffer_size = $buffer, "
    "store_rejects = true, "
    f"rejects_table = '{REJECTS}', rejects_scan = '{REJECT_SCANS}'"
)


def in_place_or_copied(
    file: SourceFile, gzipped: bool, facts: TextFacts, copy: Path, whitespace: bool = False
) -> tuple[Path, dict[str, Any], list[Path], TextFacts]:
    """(path to scan, scan parameters, copies made, facts): the path of a copy if DuckDB would misread the file."""
    needs_copy = whitespace or facts.odd_line_ends or facts.encoding not in ("utf-8", "utf-8-sig", "ascii")
    if needs_copy:
        facts = as_plain_utf8(file, gzipped, facts, whitespace, copy)
    path = copy if needs_copy else file.path
    parameters = {
        "path": glob.escape(str(path)),
        "compression": "gzip" if gzipped and not needs_copy else "none",
        "buffer": BUFFER_BYTES,
    }
    return path, parameters, [path] if needs_copy else [], facts


def _csv(file: SourceFile, gzipped: bool, source: TableSource, copy: Path, origin: dict[str, Any]) -> RawTable:
    facts = text_facts(file, gzipped, source.format.encoding)
    if facts.header_is_cut:
        raise SourceError(
            f"{file.label}: its first line is longer than 64 KB, which is no header",
            to_do="export the columns that are needed, a line for each record",
        )
    given = source.format.names
    width = len(given) if given is not None else None
    delimiter = source.format.delimiter or guess_delimiter(facts.head, own_columns(source), width)
    names, blank_lines = header_of(facts.head, delimiter)
    is_record = source.format.header is None and starts_with_a_record(facts.head, delimiter)
    if given is not None:
        _refuse_other_width(file, names, given, source)
        names = given
    refuse_too_wide(file, len(names))
    whitespace = delimiter == "whitespace"
    path, parameters, copies, facts = in_place_or_copied(file, gzipped, facts, copy, whitespace)
    # Columns are named by position, so that no name of the file enters the SQL. The header is compared with the
    # mapping beforehand.
    shown = {"\t": "tab", "whitespace": "whitespace"}.get(delimiter, repr(delimiter))
    return RawTable(
        source_file=file.label,
        scan=(_damage_apart if facts.has_nul else _text_scan)(len(names), has_header=given is None),
        unreadable="damaged" if facts.has_nul else "NULL",
        csv_width=len(names),
        parameters={**parameters, "skip": blank_lines, "delimiter": "\t" if whitespace else delimiter},
        columns={name: Column(f"c{names.index(name)}") for name in names if name},
        format=f"CSV, delimiter {shown}, {facts.encoding}{', gzip' if gzipped else ''}",
        first_line=2 if given is None else 1,
        stores_rejects=True,
        repeated=frozenset(name for name in names if names.count(name) > 1),
        starts_with_data=is_record,
        scanned_path=path,
        lines=facts.lines,
        header_lines=1 + sum(name.count("\n") for name in names) if given is None else 0,
        **{**origin, "temporary": [*origin["temporary"], *copies]},
    )


def _refuse_other_width(file: SourceFile, fields: Sequence[str], names: Sequence[str], source: TableSource) -> None:
    # A delimiter behind every record makes one field more.
    if len(fields) != len(names) and not (len(fields) == len(names) + 1 and not fields[-1]):
        raise SourceError(
            f"{file.label}: its first line has {len(fields)} fields, and {source.key}.format.names has {len(names)}",
            to_do=f"give {source.key}.format.names a name for every column, or state the delimiter",
        )


def _text_scan(width: int, *, has_header: bool) -> str:
    return _csv_scan(["VARCHAR"] * width, has_header=has_header)


def _csv_scan(types: Sequence[str], *, has_header: bool) -> str:
    struct = ", ".join(f"'c{position}': '{type_}'" for position, type_ in enumerate(types))
    header = "true" if has_header else "false"
    return (
        f"read_csv($path, {SCAN_OPTIONS}, header = {header}, skip = $skip, delim = $delimiter, "
        f"quote = '\"', escape = '\"', columns = {{{struct}}})"
    )


def _damage_apart(width: int, *, has_header: bool) -> str:
    """The scan of a CSV with NULs in it, which no program writes on purpose.

    A record that holds a NUL has no fields; its text is in the column `damaged`.
    """
    columns = [f"c{position}" for position in range(width)]
    has_nul = " OR ".join(f"coalesce(contains({column}, chr(0)), false)" for column in columns)
    fields = ", ".join(f"CASE WHEN NOT has_nul THEN {column} END AS {column}" for column in columns)
    text = f"replace(concat_ws($delimiter, {', '.join(columns)}), chr(0), '\u2400')"
    scanned = f"SELECT *, {has_nul} AS has_nul FROM {_text_scan(width, has_header=has_header)}"
    return f"(SELECT {fields}, CASE WHEN has_nul THEN {text} END AS damaged FROM ({scanned}))"


def text_scan(raw: RawTable) -> str:
    """The scan of a CSV with every field as text."""
    return _text_scan(raw.csv_width, has_header=raw.header_lines > 0)


def typed_by_reader(raw: RawTable, typed: Mapping[str, tuple[str, ColumnKind]]) -> RawTable:
    """The same CSV, with some columns (by name: SQL type, kind) read as that type straight from the file.

    This is a fifth faster than casting text. A line with a value of another form becomes a reject.
    """
    types = ["VARCHAR"] * raw.csv_width
    columns = dict(raw.columns)
    for name, (type_, kind) in typed.items():
        # A column of the partition is none of the file's.
        if (expression := raw.columns[name].expression).startswith("c"):
            types[int(expression.removeprefix("c"))] = type_
            columns[name] = Column(expression, kind)
    return replace(raw, scan=_csv_scan(types, has_header=raw.header_lines > 0), columns=columns)


def refuse_too_wide(file: SourceFile, width: int) -> None:
    """Refuse a file of too many columns.

    Raises:
        SourceError: it has.
    """
    if width > MOST_COLUMNS:
        raise SourceError(
            f"{file.label}: has {width:,} columns, more than the {MOST_COLUMNS:,} that are read",
            to_do="export the columns that are needed, or state another delimiter in the source's format",
        )


def parquet(
    con: duckdb.DuckDBPyConnection, file: SourceFile, path: Path, format_name: str, origin: dict[str, Any]
) -> RawTable:
    """The Parquet file at `path`, labelled as `file`.

    Raises:
        SourceError: it is not a readable Parquet file.
    """
    parameters = {"path": glob.escape(str(path))}
    try:
        tree = con.execute("SELECT name, num_children FROM parquet_schema($path)", parameters).fetchall()
        refuse_too_wide(file, len(tree))
        result = con.execute(f"SELECT * FROM {_PARQUET_SCAN} LIMIT 0", parameters)
        scanned = [(name, str(type_)) for name, type_, *_ in result.description]
    except (duckdb.Error, RuntimeError, UnicodeDecodeError) as error:  # names in damaged files may not be text
        raise SourceError(f"{file.label}: cannot be read as {format_name}", quoted=first_line(error)) from error
    # DuckDB calls a second `amount`, or an `Amount` beside it, amount_1: the file's own names are in its schema.
    names = _top_level(tree)
    return RawTable(
        source_file=file.label,
        scan=_PARQUET_SCAN,
        parameters=parameters,
        columns={
            name: Column(quote_identifier(alias), kind_of_type(type_))
            for name, (alias, type_) in zip(names, scanned, strict=True)
        },
        format=format_name,
        repeated=frozenset(name for name in names if names.count(name) > 1),
        **{"first_line": 1, **origin},
    )


_PARQUET_SCAN = "read_parquet($path, hive_partitioning = false)"


_ROW_NUMBER = "file_row_number"


def row_groups(con: duckdb.DuckDBPyConnection, raw: RawTable) -> list[int]:
    """The numbers of rows of the row groups of a Parquet file; empty if its rows cannot be read in parts."""
    if any(name.lower() == _ROW_NUMBER for name in raw.columns):
        return []
    query = (
        "SELECT any_value(row_group_num_rows) FROM parquet_metadata($path) GROUP BY row_group_id ORDER BY row_group_id"
    )
    return [rows for (rows,) in con.execute(query, {"path": raw.parameters["path"]}).fetchall()]


def some_rows(raw: RawTable, first: int, rows: int) -> RawTable:
    """Rows of a Parquet file from the one at position `first`, where 0 is the first. Only their row groups are read."""
    return replace(
        raw,
        scan=f"(SELECT * FROM read_parquet($path, hive_partitioning = false, {_ROW_NUMBER} = true)"
        f" WHERE {_ROW_NUMBER} >= $first_row AND {_ROW_NUMBER} < $end_row)",
        parameters={**raw.parameters, "first_row": first, "end_row": first + rows},
        first_line=raw.first_line + first,
    )


def _top_level(tree: Sequence[tuple[str, int | None]]) -> list[str]:
    """The names below the root of a Parquet schema, which comes as (name, number of children), depth first."""
    names = []
    below = 0
    for name, children in tree[1:]:
        if below:
            below -= 1
        else:
            names.append(name)
        below += children or 0
    return names


def kind_of_type(type_name: str) -> ColumnKind:
    """What a DuckDB type means to the loader."""
    if type_name == "TIMESTAMP WITH TIME ZONE":
        return "zoned"
    if type_name == "DATE" or type_name.startswith("TIMESTAMP"):
        return "time"
    return "number" if type_name.startswith(_NUMBER_STARTS) and not type_name.endswith("]") else "text"
