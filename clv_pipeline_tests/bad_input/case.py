"""A case of bad input with its outcome, the words of outcomes, and short ways to write cases of each format."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb

from clv_pipeline_tests.helpers.shop_files import write_xlsx

Files = Mapping[str, bytes | Callable[[Path], None]]
"""Name: content, or what writes it."""

HEADER = "customer,date,amount\n"
ROWS = "1,2010-05-01,1.5\n2,2010-05-02,2.5\n"
BOTH = ("1 2010-05-01 1.5", "2 2010-05-02 2.5")

UNREADABLE, NO_CUSTOMER, DUPLICATE = "unreadable line", "no customer", "exact duplicate"
DATE, NUMBER, FUTURE = "unparsable date", "unparsable number", "future date"
PRICE, QUANTITY, AMOUNT = "non-positive price", "non-positive quantity", "non-positive amount"
REASONS = {UNREADABLE, NO_CUSTOMER, DUPLICATE, DATE, NUMBER, FUTURE, PRICE, QUANTITY, AMOUNT}

NO_HEADER = "holds none of the columns of source.transactions.columns"
"""What is said of a file without a header."""


@dataclass(frozen=True)
class Case:
    """One kind of bad input with its outcome."""

    name: str
    files: Files
    kept: Sequence[str] = ()
    """`customer day amount` or `customer day time amount`, in the order of files and lines."""
    rejected: Mapping[int, str] = field(default_factory=dict)
    """Line: reason."""
    error: str = ""
    columns: Mapping[str, str] = field(default_factory=dict)
    """Ours: theirs; without it, customer, date and amount."""
    format: Mapping[str, Any] = field(default_factory=dict)
    cleaning: Mapping[str, Any] = field(default_factory=dict)


def csv(name: str, content: str | bytes, *kept: str, rejected: Mapping[int, str] | None = None, **more: Any) -> Case:
    """A case of one CSV file."""
    data = content if isinstance(content, bytes) else content.encode()
    return Case(name, {"a.csv": data}, kept, rejected or {}, **more)


def column(
    name: str,
    header: str,
    outcomes: Mapping[str, str],
    row: Callable[[str], str],
    purchases_of: Sequence[int] = (),
    **more: Any,
) -> Case:
    """A case of values below each other in one column; the customer of each is the number of its line.

    Below them are purchases of the customers `purchases_of`, from which their returns are taken.
    """
    text = f"customer|{header}\n" + "".join(f"{line}|{row(value)}\n" for line, value in enumerate(outcomes, start=2))
    text += "".join(f"{customer}|2010-05-01|9000\n" for customer in purchases_of)
    kept = [f"{line} {found}" for line, found in enumerate(outcomes.values(), start=2) if found not in REASONS]
    kept += [f"{customer} 2010-05-01 9000" for customer in purchases_of]
    rejected = {line: found for line, found in enumerate(outcomes.values(), start=2) if found in REASONS}
    return Case(name, {"a.csv": text.encode()}, kept, rejected, **more)


def amounts(name: str, outcomes: Mapping[str, str], **more: Any) -> Case:
    """Amounts as written: as read, or the reason of the refusal."""
    found = {value: read if read in REASONS else f"2010-05-01 {read}" for value, read in outcomes.items()}
    returned = [line for line, read in enumerate(outcomes.values(), start=2) if read.startswith("-")]
    cleaning = {"returns": "net"}
    return column(
        name, "date|amount", found, lambda v: f"2010-05-01|{v}", purchases_of=returned, cleaning=cleaning, **more
    )


def dates(name: str, outcomes: Mapping[str, str], **more: Any) -> Case:
    """Dates as written: as read, or the reason of the refusal."""
    found = {value: read if read in REASONS else f"{read} 1" for value, read in outcomes.items()}
    return column(name, "date|amount", found, lambda v: f"{v}|1", **more)


def customers(name: str, outcomes: Mapping[str, str], **more: Any) -> Case:
    """Customer ids as written: as read, or the reason of the refusal."""
    text = "customer|date|amount\n" + "".join(f"{value}|2010-05-01|1\n" for value in outcomes)
    kept = [f"{read} 2010-05-01 1" for read in outcomes.values() if read not in REASONS]
    rejected = {line: read for line, read in enumerate(outcomes.values(), start=2) if read in REASONS}
    return Case(name, {"a.csv": text.encode()}, kept, rejected, cleaning={"deduplicate": False}, **more)


def json_lines(name: str, *lines: object, kept: Sequence[str] = (), **more: Any) -> Case:
    """A case of JSON lines; a text is a line as it stands."""
    text = "".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in lines)
    return Case(name, {"a.jsonl": text.encode()}, kept, **more)


def parquet(name: str, select: str, *kept: str, file: str = "a.parquet", **more: Any) -> Case:
    """A case of one Parquet file with the result of a DuckDB query."""

    def write(path: Path) -> None:
        with duckdb.connect() as con:
            con.sql(select).write_parquet(str(path))

    return Case(name, {file: write}, kept, **more)


def workbook(
    name: str,
    sheets: Mapping[str, Sequence[Sequence[object]]],
    *kept: str,
    xml: Mapping[str, str] | None = None,
    **more: Any,
) -> Case:
    """A case of one XLSX file; `xml` replaces texts in it, for what the writer does not know."""

    def write(path: Path) -> None:
        write_xlsx(path, dict(sheets))
        with zipfile.ZipFile(path) as book:
            parts = {member: book.read(member).decode() for member in book.namelist()}
        with zipfile.ZipFile(path, "w") as book:
            for member, text in parts.items():
                for old, new in (xml or {}).items():
                    text = text.replace(old, new)
                book.writestr(member, text)

    return Case(name, {"a.xlsx": write}, kept, **more)


def drift(name: str, second_night: str, *kept: str, **more: Any) -> Case:
    """A good file of one night, and one of the next night that is made otherwise."""
    return Case(name, {"night1.csv": (HEADER + ROWS).encode(), "night2.csv": second_night.encode()}, kept, **more)


def zipped(**members: bytes) -> bytes:
    """A zip archive."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()
