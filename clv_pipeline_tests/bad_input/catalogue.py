"""What people and systems deliver instead of clean files, and what must come of each.

One entry per case: the bytes as they arrive, and one of three outcomes. Right numbers (`kept`), rows refused with their
reason (`rejected`, by line), or an error that says what to do (`error`, a part of its text). Nothing else may happen.
"""

from __future__ import annotations

import gzip
import io
import json
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb

from clv_pipeline_tests.sources.shop_files import ExcelDate, write_xlsx

Files = Mapping[str, bytes | Callable[[Path], None]]
"""Name: content, or what writes it."""

HEADER = "customer,date,amount\n"
ROWS = "1,2010-05-01,1.5\n2,2010-05-02,2.5\n"
BOTH = ("1 2010-05-01 1.5", "2 2010-05-02 2.5")

UNREADABLE, NO_CUSTOMER, DUPLICATE = "unreadable line", "no customer", "exact duplicate"
DATE, NUMBER, FUTURE = "unparsable date", "unparsable number", "future date"
PRICE, QUANTITY, AMOUNT = "non-positive price", "non-positive quantity", "non-positive amount"
REASONS = {UNREADABLE, NO_CUSTOMER, DUPLICATE, DATE, NUMBER, FUTURE, PRICE, QUANTITY, AMOUNT}


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


def column(name: str, header: str, outcomes: Mapping[str, str], row: Callable[[str], str], **more: Any) -> Case:
    """A case of values below each other in one column; the customer of each is the number of its line."""
    text = f"customer|{header}\n" + "".join(f"{line}|{row(value)}\n" for line, value in enumerate(outcomes, start=2))
    kept = [f"{line} {found}" for line, found in enumerate(outcomes.values(), start=2) if found not in REASONS]
    rejected = {line: found for line, found in enumerate(outcomes.values(), start=2) if found in REASONS}
    return Case(name, {"a.csv": text.encode()}, kept, rejected, **more)


def amounts(name: str, outcomes: Mapping[str, str], **more: Any) -> Case:
    """Amounts as written: as read, or the reason of the refusal."""
    found = {value: read if read in REASONS else f"2010-05-01 {read}" for value, read in outcomes.items()}
    return column(name, "date|amount", found, lambda v: f"2010-05-01|{v}", cleaning={"returns": "net"}, **more)


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


ZOE = HEADER + "Zoë,2010-05-01,1.5\n"
ZOE_KEPT = "Zoë 2010-05-01 1.5"
ASKS_ENCODING = "format.encoding"
NO_HEADER = "holds none of the columns of source.transactions.columns"

ENCODINGS = [
    csv("UTF-8 with byte-order mark", ZOE.encode("utf-8-sig"), ZOE_KEPT),
    csv("UTF-16 with byte-order mark", ZOE.encode("utf-16"), ZOE_KEPT),
    csv("UTF-16 without byte-order mark", ZOE.encode("utf-16-le"), error=ASKS_ENCODING),
    csv("UTF-16 without mark, stated", ZOE.encode("utf-16-le"), ZOE_KEPT, format={"encoding": "utf-16-le"}),
    csv("UTF-16 cut inside a character", ZOE.encode("utf-16")[:-1], error=ASKS_ENCODING),
    csv("UTF-32", ZOE.encode("utf-32"), error=ASKS_ENCODING),
    csv("Windows-1252", ZOE.encode("cp1252"), ZOE_KEPT),
    csv("DOS code page, stated", ZOE.encode("cp437"), ZOE_KEPT, format={"encoding": "cp437"}),
    csv("bytes of no known encoding", HEADER.encode() + b"\x81\x8d\x8f,2010-05-01,1\n", error=ASKS_ENCODING),
    csv(
        "UTF-8 with one damaged line",
        (ZOE + "Åsa,2010-05-02,2\n").encode() + b"Ren\xe9,2010-05-03,3\n",
        ZOE_KEPT,
        "Åsa 2010-05-02 2",
        rejected={4: UNREADABLE},
    ),
    csv("stated UTF-8, but it is not", ZOE.encode("cp1252"), rejected={2: UNREADABLE}, format={"encoding": "utf-8"}),
    csv("gzip without its ending", gzip.compress(ZOE.encode()), error="is no text but a .gz file"),
    csv("workbook called .csv", zipped(x=b""), error="is no text but a .zip or .xlsx file"),
    csv("web page called .csv", "<html><body>Session expired</body></html>\n", error=NO_HEADER),
    Case("plain text called .gz", {"a.csv.gz": ZOE.encode()}, error="is truncated or damaged"),
    Case("gzip cut short", {"a.csv.gz": gzip.compress(ZOE.encode())[:-9]}, error="is truncated or damaged"),
    Case("gzip padded with zeros", {"a.csv.gz": gzip.compress(ZOE.encode()) + bytes(99)}, error="cannot be sampled"),
    Case(
        "two gzips in one",
        {"a.csv.gz": gzip.compress(HEADER.encode()) + gzip.compress(ROWS.encode())},
        BOTH,
    ),
]

DELIMITERS = [
    csv("semicolons", (HEADER + ROWS).replace(",", ";"), *BOTH),
    csv("tabs", (HEADER + ROWS).replace(",", "\t"), *BOTH),
    csv("pipes", (HEADER + ROWS).replace(",", "|"), *BOTH),
    csv("double pipes", (HEADER + ROWS).replace(",", "||"), *BOTH),
    csv("spaces", (HEADER + ROWS).replace(",", "   "), *BOTH),
    csv("an unknown delimiter", (HEADER + ROWS).replace(",", "^"), error="format"),
    csv("an unknown delimiter, stated", (HEADER + ROWS).replace(",", "^"), *BOTH, format={"delimiter": "^"}),
    csv("another delimiter stated than used", HEADER + ROWS, error="format", format={"delimiter": ";"}),
    csv(
        "header and rows disagree",
        HEADER.replace(",", ";") + ROWS,
        rejected={2: UNREADABLE, 3: UNREADABLE},
    ),
    csv("decimal commas between commas", HEADER + "1,2010-05-01,1,50\n", rejected={2: UNREADABLE}),
    csv("decimal commas in quotes", HEADER + '1,2010-05-01,"1,50"\n', "1 2010-05-01 1.5"),
    csv("Excel's first line sep=;", "sep=;\n" + (HEADER + ROWS).replace(",", ";"), error=NO_HEADER),
]

HEADERS = [
    csv("a renamed column", "client,date,amount\n" + ROWS, error="'customer' (mapped to customer_id) is missing"),
    csv("another case", "Customer,date,amount\n" + ROWS, error="did you mean 'Customer'?"),
    csv("another order", "amount,customer,date\n1.5,1,2010-05-01\n", "1 2010-05-01 1.5"),
    csv(
        "a mapped column twice", "customer,date,amount,amount\n1,2010-05-01,1,2\n", error="'amount' (mapped to amount)"
    ),
    csv("another column twice", "customer,date,amount,x,x\n1,2010-05-01,1.5,2,3\n", "1 2010-05-01 1.5"),
    csv("a missing column", "customer,date\n1,2010-05-01\n", error="columns found: 'customer', 'date'"),
    csv("a further column", "x,customer,date,amount\n9,1,2010-05-01,1.5\n", "1 2010-05-01 1.5"),
    csv("spaces around names", " customer , date\u00a0, amount \n" + ROWS, *BOTH),
    csv("quotes behind a byte-order mark", '\ufeff"customer","date","amount"\n' + ROWS, *BOTH),
    csv("blank names", ",customer,date,,amount\n0,1,2010-05-01,x,1.5\n", "1 2010-05-01 1.5"),
    csv("an invisible character in a name", "customer\u200b,date,amount\n" + ROWS, error=r"'customer\u200b'"),
    csv("a line break in a name", '"cust\nomer",date,amount\n' + ROWS, error=r"'cust\nomer'"),
    csv("NUL in a name", "cust\0omer,date,amount\n" + ROWS, error="first line holds NUL"),
    csv("no header", ROWS, error="The header should be the first line"),
    csv("a title above the header", "Sales in May\n\n" + HEADER + ROWS, error="The header should be the first line"),
    csv("a line of units below the header", HEADER + "id,day,EUR\n" + ROWS, *BOTH, rejected={2: DATE}),
    csv("a header of a megabyte", "x" * 1_000_000 + "," + HEADER + "9," + ROWS, error=NO_HEADER),
    csv(
        "five hundred columns",
        ",".join(f"x{n}" for n in range(500)) + "," + HEADER + "," * 500 + "1,2010-05-01,1.5\n",
        "1 2010-05-01 1.5",
    ),
    Case(
        "a folder named like a column",
        {"amount=99/a.csv": (HEADER + ROWS).encode(), "c0=99/a.csv": (HEADER + "3,2010-05-03,3\n").encode()},
        (*BOTH, "3 2010-05-03 3"),
    ),
]

DATES = [
    dates("several forms mixed", {"2010-05-01": "2010-05-01", "13/05/2010": "2010-05-13", "May 3, 2010": "2010-05-03"}),
    dates("separators mixed", {"13/05/2010": "2010-05-13", "13.05.2010": "2010-05-13", "13-05-2010": "2010-05-13"}),
    dates("day or month first", {"03/04/2010": ""}, error="may be day first or month first"),
    dates("day and month first", {"13/04/2010": "", "04/13/2010": ""}, error="day first in some rows"),
    dates("day first, stated", {"03/04/2010": "2010-04-03"}, format={"date_formats": ["%d/%m/%Y"]}),
    dates("month first beyond doubt", {"12/31/1999": "1999-12-31", "01/02/2000": "2000-01-02"}),
    dates("the far future", {"2010-05-01": "2010-05-01", "2999-01-01": FUTURE, "9999-12-31": DATE, "10000-1-1": DATE}),
    dates("the year 0", {"2010-05-01": "2010-05-01", "0000-00-00": DATE, "0000-01-01": DATE, "0001-01-01": DATE}),
    dates(
        "zeros of Excel, Windows and SQL Server", {"2010-05-01": "2010-05-01", "1899-12-30": DATE, "1900-01-01": DATE}
    ),
    dates("before Christ", {"2010-05-01": "2010-05-01", "0044-03-15 (BC)": DATE, "-2010-05-01": DATE}),
    dates(
        "time zones are not applied: the shop's day counts",
        {
            "2010-05-01T23:30:00Z": "2010-05-01 23:30:00",
            "2010-05-01T23:30:00-05:00": "2010-05-01 23:30:00",
            "2010-05-01 23:30:00+0530": "2010-05-01 23:30:00",
            "2010-05-01 23:30:00 Europe/Berlin": "2010-05-01 23:30:00",
        },
    ),
    dates("an hour that daylight saving skips", {"2010-03-28 02:30:00": "2010-03-28 02:30:00"}),
    dates("Excel's day numbers as text", {"40299": "", "40300.5": ""}, error="export them as dates"),
    dates("a day number among dates", {"2010-05-01": "2010-05-01", "40299": DATE}),
    dates("Unix seconds", {"1272672000": ""}, error="export them as dates"),
    dates("two-digit years", {"13/05/10": "2010-05-13", "13/05/69": "1969-05-13", "13/05/68": FUTURE}),
    dates("24:00 is the next day's midnight", {"2010-05-01 24:00:00": "2010-05-02", "2010-05-01 24:30:00": DATE}),
    dates(
        "hours, minutes and seconds that are none",
        {"2010-05-01 08:00:00": "2010-05-01 08:00:00", "2010-05-01 8:61": DATE},
    ),
    dates(
        "leap days", {"2012-02-29": "2012-02-29", "2011-02-29": DATE, "1900-02-29": DATE, "2000-02-29": "2000-02-29"}
    ),
    dates(
        "days that are none", {"31/05/2010": "2010-05-31", "31/06/2010": DATE, "32/05/2010": DATE, "00/05/2010": DATE}
    ),
    dates(
        "afternoons",
        {
            "13/05/2010 12:00 AM": "2010-05-13",
            "13/05/2010 12:30 PM": "2010-05-13 12:30:00",
            "2010-05-13 08:26 PM": "2010-05-13 20:26:00",
            "13/05/2010 13:00 PM": DATE,
        },
    ),
    dates("spaces around", {" 2010-05-01 ": "2010-05-01", " 13/05/2010 ": "2010-05-13"}),
    dates("month names of another language", {"1-May-2010": "2010-05-01", "2-Mai-2010": DATE}),
    dates("words", {"2010-05-01": "2010-05-01", "today": DATE, "now": DATE, "infinity": DATE, "n/a": DATE, "": DATE}),
    dates("weeks, quarters, months", {"2010-05-01": "2010-05-01", "2010-W17-6": DATE, "2010Q2": DATE, "2010-05": DATE}),
    dates("full-width digits", {"2010-05-01": "2010-05-01", "２０１０-05-02": DATE}),
    dates("no date at all", {"soon": "", "later": ""}, error="no date format is known for the column 'date'"),
]

NUMBERS = [
    amounts("a currency sign", {"$12.50": "12.5", "$1,234.00": "1234", "-$3.00": "-3", "$-4": "-4", "5": "5"}),
    amounts("a currency behind", {"12,50 €": "12.5", "1.234,50\u00a0€": "1234.5", "-3 €": "-3"}),
    amounts("a currency code", {"EUR 12.50": "12.5", "3.25 EUR": "3.25"}),
    amounts("two currencies", {"$12.50": "", "€12.50": ""}, error="amounts are in several currencies"),
    amounts("a unit that is no currency", {"12.50": "12.5", "3 pcs": NUMBER}),
    amounts("parentheses", {"(12.50)": "-12.5", "($1,000.00)": "-1000", "$(3)": "-3", "(-3)": NUMBER, "(3": NUMBER}),
    amounts("a minus behind", {"12.50-": "-12.5", "-12.50-": NUMBER, "-": NUMBER}),
    amounts("a typographic minus", {"−12.50": "-12.5", "12.50": "12.5"}),
    amounts("thousands", {"1,234.50": "1234.5", "1,234,567": "1234567", "12,34.5": NUMBER, "1,00,000.50": NUMBER}),
    amounts("thousands by spaces and apostrophes", {"1 234.50": "1234.5", "1\u202f234": "1234", "1'234.5": "1234.5"}),
    amounts("decimal commas, thousands by points", {"1.234,50": "1234.5", "1.234": "1234", "12,5": "12.5"}),
    amounts(
        "a comma or a point in doubt", {"1,234": "", "5,678": ""}, error="may have a decimal or a thousands separator"
    ),
    amounts(
        "points and commas mixed", {"12.50": "", "12,50": ""}, error="with a decimal point and with a decimal comma"
    ),
    csv(
        "decimal commas only far below the head",
        "customer;date;amount\n" + "1;2010-05-01;7\n" * 1_500 + "2;2010-05-02;1.234\n2;2010-05-02;12,5\n",
        "1 2010-05-01 7",
        "2 2010-05-02 1234",
        "2 2010-05-02 12.5",
        rejected=dict.fromkeys(range(3, 1_502), DUPLICATE),
    ),
    amounts("1e400", {"1e400": NUMBER, "-1e400": NUMBER, "1.5": "1.5"}),
    amounts("exponents", {"1e2": "100", "1.5E+3": "1500", "1e-9": AMOUNT}),
    amounts("NaN and infinity", {"NaN": NUMBER, "inf": NUMBER, "-Infinity": NUMBER, "1.5": "1.5"}),
    amounts("huge integers", {"9" * 30: NUMBER, "99999999999999": "99999999999999", "100000000000000": NUMBER}),
    amounts("many digits", {"1.23455": "1.2346", "0.1000000000000000055": "0.1"}),
    amounts("zeros", {"0": AMOUNT, "-0": AMOUNT, "-0.00": AMOUNT, "1.5": "1.5"}),
    amounts("percent", {"12.5%": NUMBER, "12.5": "12.5"}),
    amounts("full-width and Arabic digits", {"１２.５": NUMBER, "١٢": NUMBER, "12.5": "12.5"}),
    amounts("other notations", {"0x10": NUMBER, "1/2": NUMBER, "12.5.3": NUMBER, "true": NUMBER, "1 2": NUMBER}),
    amounts("formulas and error cells", {"=1+1": NUMBER, "#DIV/0!": NUMBER, "#REF!": NUMBER, "1.5": "1.5"}),
    amounts("words for nothing", {"": NUMBER, "null": NUMBER, "n/a": NUMBER, "1.5": "1.5"}),
    amounts("signs and bare points", {"+5": "5", ".5": "0.5", "12.": "12", "+": NUMBER, ".": NUMBER}),
    column(
        "quantities and prices that cannot be",
        "date|quantity|price",
        {
            "1|2.5": "2010-05-01 2.5",
            "0|1": QUANTITY,
            "1|0": PRICE,
            "x|1": NUMBER,
            "99999999999999|99999999999999": NUMBER,
        },
        lambda value: f"2010-05-01|{value}",
        columns={"customer_id": "customer", "ordered_at": "date", "quantity": "quantity", "unit_price": "price"},
    ),
]

TEXT = [
    customers("NUL is a character like others", {"1\0": "1\0", "1": "1"}),
    csv("NUL in a number", HEADER + "1,2010-05-01,1\0.5\n" + ROWS, *BOTH, rejected={2: NUMBER}),
    csv("a block of NULs, as after a crash", HEADER + ROWS + "\0" * 4_096, *BOTH, rejected={4: UNREADABLE}),
    csv("line breaks in quotes", HEADER + '"a\nb",2010-05-01,1.5\n2,2010-05-02,2.5\n', "a\nb 2010-05-01 1.5", BOTH[1]),
    customers(
        "formulas stay text",
        {'=HYPERLINK("http://evil")': '=HYPERLINK("http://evil")', "@SUM(A1)": "@SUM(A1)", "+1": "+1", "-1": "-1"},
    ),
    csv("a field of a megabyte", HEADER + "x" * 1_000_000 + ",2010-05-01,1.5\n", "x" * 1_000_000 + " 2010-05-01 1.5"),
    customers("emoji and right-to-left text", {"👩\u200d👧": "👩\u200d👧", "\u202eabc": "\u202eabc", "שלום": "שלום"}),
    customers("zero-width characters make another customer", {"a\u200b": "a\u200b", "a": "a"}),
    customers("composed and decomposed letters are two customers", {"\u00e9": "\u00e9", "e\u0301": "e\u0301"}),
    customers("upper and lower case are two customers", {"a": "a", "A": "A"}),
    customers("spaces around make no other customer", {"a": "a", " a ": "a", "\u00a0a\u2003": "a"}),
    customers("leading zeros stay", {"007": "007", "7": "7", "7.0": "7", "7.00": "7.00"}),
    customers("ids that Excel rounded", {"1.23457E+15": NO_CUSTOMER, "1,23457E+15": NO_CUSTOMER, "1E5": "1E5"}),
    customers(
        "words for nobody",
        {
            "null": NO_CUSTOMER,
            "NaN": NO_CUSTOMER,
            "n/a": NO_CUSTOMER,
            " ": NO_CUSTOMER,
            "Nan": NO_CUSTOMER,
            "nano": "nano",
        },
    ),
    customers("SQL is text", {"'; DROP TABLE raw_transactions; --": "'; DROP TABLE raw_transactions; --"}),
    csv("backslashes escape nothing", HEADER + r"a\,b,2010-05-01,1" + "\n" + ROWS, *BOTH, rejected={2: UNREADABLE}),
    csv("single quotes quote nothing", HEADER + "'1,5',2010-05-01,1\n" + ROWS, *BOTH, rejected={2: UNREADABLE}),
]

STRUCTURE = [
    csv("nothing", "", error="is empty"),
    csv("blank lines only", "\n \n\n", error="is empty"),
    csv("a header alone", HEADER, error="holds no record below its header"),
    csv("one row without a line end", HEADER + "1,2010-05-01,1.5", BOTH[0]),
    csv("one customer", HEADER + "1,2010-05-01,1.5\n1,2010-05-02,2.5\n", BOTH[0], "1 2010-05-02 2.5"),
    csv("all rejected", HEADER + ",2010-05-01,1\n,2010-05-02,1\n", rejected={2: NO_CUSTOMER, 3: NO_CUSTOMER}),
    csv("equal rows", HEADER + "1,2010-05-01,1.5\n" * 2, BOTH[0], rejected={3: DUPLICATE}),
    csv(
        "ragged rows",
        HEADER + "1,2010-05-01\n9,2010-05-02,2,9\n" + ROWS,
        *BOTH,
        rejected={2: UNREADABLE, 3: UNREADABLE},
    ),
    csv("a delimiter behind every row", HEADER + ROWS.replace("\n", ",\n"), *BOTH),
    csv("a delimiter behind every line", (HEADER + ROWS).replace("\n", ",\n"), *BOTH),
    csv("a delimiter behind the header", "customer,date,amount,\n" + ROWS, rejected={2: UNREADABLE, 3: UNREADABLE}),
    csv("comment lines", HEADER + "# made by hand\n" + ROWS, *BOTH, rejected={2: UNREADABLE}),
    csv("a line of totals", HEADER + ROWS + "Total,,4.00\n", *BOTH, rejected={4: DATE}),
    csv("the number of rows below", HEADER + ROWS + "(2 rows affected)\n", *BOTH, rejected={4: UNREADABLE}),
    csv("empty records", HEADER + ",,\n" + ROWS, *BOTH, rejected={2: NO_CUSTOMER}),
    csv("blank lines between", HEADER + "\n1,2010-05-01,1.5\n\n\n2,2010-05-02,2.5\n\n", *BOTH),
    csv("the header again", HEADER + ROWS + HEADER + "3,2010-05-03,3\n", *BOTH, "3 2010-05-03 3", rejected={4: DATE}),
    csv(
        "files joined with their byte-order marks",
        f"\ufeff{HEADER}{ROWS}\ufeff{HEADER}3,2010-05-03,3\n",
        *BOTH,
        "3 2010-05-03 3",
        rejected={4: DATE},
    ),
    csv(
        "files joined without a line end",
        HEADER + ROWS[:-1] + HEADER + ROWS,
        BOTH[0],
        *BOTH,
        rejected={3: UNREADABLE},
        cleaning={"deduplicate": False},
    ),
    csv("a quote that is never closed", HEADER + '1,2010-05-01,"1.5\n' + ROWS, error="a quote opened near line 2"),
    csv("a stray quote in a name", HEADER + '"O"Neil",2010-05-01,1.5\n' + ROWS, *BOTH, rejected={2: UNREADABLE}),
    csv("a quote inside a name", HEADER + '5" pipe,2010-05-01,1.5\n', '5" pipe 2010-05-01 1.5'),
    csv("old Macintosh line ends", (HEADER + ROWS).replace("\n", "\r"), *BOTH),
    csv("Windows line ends", (HEADER + ROWS).replace("\n", "\r\n"), *BOTH),
    csv("line ends converted twice", (HEADER + ROWS).replace("\n", "\r\r\n"), *BOTH),
    csv("mixed line ends", HEADER + ROWS.replace("\n", "\r\n", 1), *BOTH),
    csv("all three line ends", HEADER.replace("\n", "\r\n") + ROWS.replace("\n", "\r", 1), *BOTH),
    csv(
        "a stray carriage return",
        HEADER + "1\r9,2010-05-01,1.5\n" + ROWS,
        "9 2010-05-01 1.5",
        *BOTH,
        rejected={2: UNREADABLE},
    ),
    csv("end of file as in DOS", HEADER + ROWS + "\x1a", *BOTH, rejected={4: UNREADABLE}),
    csv("JSON called .csv", '[{"customer": 1}]\n', error=NO_HEADER),
    Case("an unknown kind of file", {"a.xls": b"\xd0\xcf\x11\xe0"}, error="this kind of file is not read"),
    Case("an archive of nothing readable", {"a.zip": zipped(readme=b"x")}, error="holds no file that is read"),
    Case("an archive with a way out", {"a.zip": zipped(**{"../a.csv": b"x"})}, error="leads out of the archive"),
    Case("a damaged archive", {"a.zip": zipped(**{"a.csv": b"x"})[:40]}, error="is truncated or damaged"),
]

DRIFT = [
    drift("a column renamed", "client,date,amount\n3,2010-05-03,3\n", error="night2.csv: the column 'customer'"),
    drift("a column added", "customer,channel,date,amount\n3,web,2010-05-03,3\n", *BOTH, "3 2010-05-03 3"),
    drift("a column dropped", "customer,amount\n3,3\n", error="night2.csv: the column 'date' (mapped to ordered_at)"),
    drift("columns reordered", "amount,date,customer\n3,2010-05-03,3\n", *BOTH, "3 2010-05-03 3"),
    drift("another delimiter", "customer;date;amount\n3;2010-05-03;3\n", *BOTH, "3 2010-05-03 3"),
    drift("numbers became words", HEADER + "3,2010-05-03,three\n", *BOTH, rejected={2: NUMBER}),
    drift("dates became times", HEADER + "3,2010-05-03T08:26:00Z,3\n", *BOTH, "3 2010-05-03 08:26:00 3"),
    drift("dates became ambiguous", HEADER + "3,05/03/2010,3\n", error="may be day first or month first"),
    drift(
        "points became commas", HEADER + '3,2010-05-03,"3,25"\n', error="with a decimal point and with a decimal comma"
    ),
    drift("a currency was added", HEADER + "3,2010-05-03,$3.00\n", *BOTH, "3 2010-05-03 3"),
    drift("an empty delivery", "", error="night2.csv: is empty"),
    drift("a header and no rows", HEADER, *BOTH),
    Case(
        "JSON lines beside decimal commas",
        {
            "a.csv": b"customer;date;amount\n1;2010-05-01;12,50\n",
            "b.jsonl": b'{"customer":"2","date":"2010-05-02","amount":2.5}\n'
            b'{"customer":"3","date":"2010-05-03","amount":"1.234"}\n',
        },
        ("1 2010-05-01 12.5", "2 2010-05-02 2.5", "3 2010-05-03 1.234"),
    ),
]

GOOD = {"customer": "g", "date": "2010-05-09", "amount": 2}
GOOD_KEPT = "g 2010-05-09 2"

JSON_LINES = [
    json_lines(
        "nested values",
        {**GOOD, "amount": {"value": 1}},
        {**GOOD, "amount": [1]},
        GOOD,
        kept=[GOOD_KEPT],
        rejected={1: NUMBER, 2: NUMBER},
    ),
    json_lines(
        "booleans and nulls",
        {**GOOD, "amount": True},
        {**GOOD, "date": None},
        GOOD,
        kept=[GOOD_KEPT],
        rejected={1: NUMBER, 2: DATE},
    ),
    json_lines(
        "a missing key",
        {"customer": 1, "date": "2010-05-01"},
        {},
        GOOD,
        kept=[GOOD_KEPT],
        rejected={1: NUMBER, 2: NO_CUSTOMER},
    ),
    json_lines(
        "long numbers keep their digits",
        {**GOOD, "customer": 12345678901234567890123},
        kept=["12345678901234567890123 2010-05-09 2"],
    ),
    json_lines(
        "numbers that are none",
        '{"customer":"a","date":"2010-05-01","amount":1e400}',
        '{"customer":"a","date":"2010-05-01","amount":NaN}',
        GOOD,
        kept=[GOOD_KEPT],
        rejected={1: NUMBER, 2: NUMBER},
    ),
    json_lines(
        "broken lines",
        '{"customer":',
        "[1]",
        json.dumps(GOOD) * 2,
        GOOD,
        kept=[GOOD_KEPT],
        rejected={1: UNREADABLE, 2: UNREADABLE, 3: UNREADABLE},
    ),
    json_lines(
        "half a surrogate pair",
        r'{"customer":"\ud800","date":"2010-05-01","amount":1}',
        GOOD,
        kept=[GOOD_KEPT],
        rejected={1: UNREADABLE},
    ),
    json_lines(
        "an array instead of lines",
        *("[", json.dumps(GOOD) + ",", json.dumps(GOOD), "]"),
        kept=[GOOD_KEPT],
        rejected={1: UNREADABLE, 2: UNREADABLE, 4: UNREADABLE},
    ),
    json_lines("an indented document", json.dumps(GOOD, indent=1), error="write one object per line"),
    json_lines("milliseconds", {**GOOD, "date": 1272672000000}, GOOD, kept=[GOOD_KEPT], rejected={1: DATE}),
    json_lines(
        "five thousand brackets",
        '{"customer":' + "[" * 5_000 + "]" * 5_000 + ',"date":"x","amount":1}',
        GOOD,
        kept=[GOOD_KEPT],
        rejected={1: DATE},
    ),
    json_lines(
        "a dressed amount",
        {**GOOD, "amount": "$1234.50"},
        {**GOOD, "amount": "(3)"},
        kept=["g 2010-05-09 1234.5", "g 2010-05-09 -3"],
        cleaning={"returns": "net"},
    ),
]

GOOD_SQL = "SELECT 'g' AS customer, TIMESTAMP '2010-05-09' AS date, 2.0 AS amount"

PARQUET = [
    parquet("nested values", "SELECT 'a' customer, DATE '2010-05-01' date, {'v': 1.5} amount", rejected={1: NUMBER}),
    parquet("lists", "SELECT 'a' customer, DATE '2010-05-01' date, [1.5] amount", rejected={1: NUMBER}),
    parquet(
        "wide decimals",
        "SELECT 'a' customer, DATE '2010-05-01' date, 1234567.123456789::DECIMAL(38,9) amount UNION ALL "
        "SELECT 'b', DATE '2010-05-01', 12345678901234567890::DECIMAL(38,9)",
        "a 2010-05-01 1234567.1235",
        rejected={2: NUMBER},
    ),
    parquet(
        "unsigned integers",
        "SELECT 18446744073709551615::UBIGINT customer, DATE '2010-05-01' date, 2::UBIGINT amount UNION ALL "
        "SELECT 1::UBIGINT, DATE '2010-05-01', 18446744073709551615::UBIGINT",
        "18446744073709551615 2010-05-01 2",
        rejected={2: NUMBER},
    ),
    parquet(
        "ids as floating point",
        "SELECT 13085::DOUBLE customer, DATE '2010-05-01' date, 1.5::FLOAT amount "
        "UNION ALL SELECT 1e17, DATE '2010-05-01', 1",
        "13085 2010-05-01 1.5",
        rejected={2: NO_CUSTOMER},
    ),
    parquet(
        "numbers that are none",
        f"{GOOD_SQL} UNION ALL SELECT 'a', DATE '2010-05-01', 'nan'::DOUBLE "
        "UNION ALL SELECT 'b', DATE '2010-05-01', 'inf'::DOUBLE",
        GOOD_KEPT,
        rejected={2: NUMBER, 3: NUMBER},
    ),
    parquet(
        "a dictionary of values",
        "SELECT 'a'::ENUM('a', 'b') customer, DATE '2010-05-01' date, 1.5 amount",
        "a 2010-05-01 1.5",
    ),
    parquet(
        "nanoseconds",
        "SELECT 'a' customer, TIMESTAMP_NS '2010-05-01 01:02:03.123456789' date, 1.5 amount",
        "a 2010-05-01 01:02:03 1.5",
    ),
    parquet(
        "zoned times are in UTC",
        "SELECT 'a' customer, TIMESTAMPTZ '2010-05-01 23:30:00-05:00' date, 1.5 amount",
        "a 2010-05-02 04:30:00 1.5",
    ),
    parquet(
        "dates beyond all bounds",
        f"{GOOD_SQL} UNION ALL SELECT 'a', 'infinity', 1 UNION ALL SELECT 'b', DATE '0001-01-01', 1",
        GOOD_KEPT,
        rejected={2: DATE, 3: DATE},
    ),
    parquet(
        "times without a date", "SELECT 'a' customer, TIME '01:02:03' date, 1.5 amount", error="no date format is known"
    ),
    parquet("booleans", "SELECT 'a' customer, DATE '2010-05-01' date, true amount", rejected={1: NUMBER}),
    parquet("text", "SELECT ' a ' customer, '13/05/2010' date, '$1,234.50' amount", "a 2010-05-13 1234.5"),
    parquet(
        "names that differ in case only",
        "SELECT 'a' customer, DATE '2010-05-01' date, 9 \"Amount\", 1.5 amount_1",
        error="did you mean 'Amount'?",
    ),
    parquet("no rows", f"{GOOD_SQL} LIMIT 0", error="holds no record"),
    parquet("a folder named like a column", GOOD_SQL, GOOD_KEPT, file="amount=99/a.parquet"),
    Case("no Parquet at all", {"a.parquet": (HEADER + ROWS).encode()}, error="a.parquet: cannot be read as Parquet"),
]

HEAD = ["customer", "date", "amount"]
MAY_1, MAY_2 = ExcelDate(40299), ExcelDate(40300)


def cell(text: str) -> str:
    """How the writer of workbooks writes a text."""
    return f'<c t="inlineStr"><is><t>{text}</t></is></c>'


WORKBOOKS = [
    workbook("days as numbers", {"S": [HEAD, ["a", 40299, 1.5]]}, error="export them as dates"),
    workbook(
        "a day number among dates",
        {"S": [HEAD, ["a", MAY_1, 1.5], ["b", 40300, 2]]},
        "a 2010-05-01 1.5",
        rejected={3: DATE},
    ),
    workbook(
        "dates as text and as dates",
        {"S": [HEAD, ["a", MAY_1, 1.5], ["b", "13/05/2010", 2]]},
        "a 2010-05-01 1.5",
        "b 2010-05-13 2",
    ),
    workbook(
        "times without a date",
        {"S": [HEAD, ["a", MAY_1, 1.5], ["b", ExcelDate(0.5), 2]]},
        "a 2010-05-01 1.5",
        rejected={3: DATE},
    ),
    workbook(
        "days counted from 1904",
        {"S": [HEAD, ["a", ExcelDate(38837), 1.5]]},
        "a 2010-05-01 1.5",
        xml={"<sheets>": '<workbookPr date1904="1"/><sheets>'},
    ),
    workbook(
        "error cells",
        {"S": [HEAD, ["a", MAY_1, 1.5], ["b", MAY_2, "@"]]},
        "a 2010-05-01 1.5",
        rejected={3: NUMBER},
        xml={cell("@"): '<c t="e"><f>1/0</f><v>#DIV/0!</v></c>'},
    ),
    workbook(
        "formulas with their values",
        {"S": [HEAD, ["a", MAY_1, "@"]]},
        "a 2010-05-01 2",
        xml={cell("@"): "<c><f>1+1</f><v>2</v></c>"},
    ),
    workbook(
        "formulas never computed",
        {"S": [HEAD, ["a", MAY_1, 1.5], ["b", MAY_2, "@"]]},
        "a 2010-05-01 1.5",
        rejected={3: NUMBER},
        xml={cell("@"): "<c><f>1+1</f></c>"},
    ),
    workbook(
        "merged cells",
        {"S": [HEAD, ["a", MAY_1, 1.5], [None, MAY_2, 2]]},
        "a 2010-05-01 1.5",
        rejected={3: NO_CUSTOMER},
        xml={"</sheetData>": '</sheetData><mergeCells><mergeCell ref="A2:A3"/></mergeCells>'},
    ),
    workbook(
        "a hidden sheet",
        {"S": [HEAD, ["a", MAY_1, 1.5]], "Old": [HEAD, ["z", MAY_1, 9]]},
        "a 2010-05-01 1.5",
        xml={'name="Old"': 'name="Old" state="hidden"'},
    ),
    workbook(
        "a sheet of notes", {"S": [HEAD, ["a", MAY_1, 1.5]], "Notes": [["see Bob"]]}, error=f"a.xlsx#Notes: {NO_HEADER}"
    ),
    workbook("a title above the header", {"S": [["Sales"], HEAD, ["a", MAY_1, 1.5]]}, error=NO_HEADER),
    workbook(
        "numbers as text",
        {"S": [HEAD, ["a", MAY_1, 1.5], ["b", MAY_2, "$1,234.50"], ["c", MAY_2, "n/a"]]},
        "a 2010-05-01 1.5",
        "b 2010-05-02 1234.5",
        rejected={4: NUMBER},
    ),
    workbook(
        "ids too long for Excel",
        {"S": [HEAD, [1234567890123456789, MAY_1, 1.5], [13085, MAY_1, 1.5]]},
        "13085 2010-05-01 1.5",
        rejected={2: NO_CUSTOMER},
    ),
    workbook(
        "empty rows",
        {"S": [HEAD, ["a", MAY_1, 1.5], [None, None, None], ["b", MAY_2, 2]]},
        "a 2010-05-01 1.5",
        "b 2010-05-02 2",
        rejected={3: NO_CUSTOMER},
    ),
    workbook("a header alone", {"S": [HEAD]}, error="holds no record below its header"),
    Case(
        "no workbook at all",
        {"a.xlsx": (HEADER + ROWS).encode()},
        error="a.xlsx: is truncated or damaged, or not what its name says",
    ),
]

CATALOGUE = {
    "encodings": ENCODINGS,
    "delimiters": DELIMITERS,
    "headers": HEADERS,
    "dates": DATES,
    "numbers": NUMBERS,
    "text": TEXT,
    "structure": STRUCTURE,
    "drift": DRIFT,
    "JSON lines": JSON_LINES,
    "Parquet": PARQUET,
    "workbooks": WORKBOOKS,
}
