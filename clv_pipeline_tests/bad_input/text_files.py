"""CSV files as they should not be: encodings, delimiters, headers, structure, and what changes from night to night."""

from __future__ import annotations

import gzip

from clv_pipeline_tests.bad_input.case import (
    BOTH,
    DATE,
    DUPLICATE,
    HEADER,
    NO_CUSTOMER,
    NO_HEADER,
    NUMBER,
    ROWS,
    UNREADABLE,
    Case,
    csv,
    drift,
    zipped,
)

ZOE = HEADER + "Zoë,2010-05-01,1.5\n"
ZOE_KEPT = "Zoë 2010-05-01 1.5"
ASKS_ENCODING = "format.encoding"

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
    csv("no header", ROWS, error="the header should be the first line"),
    csv("a title above the header", "Sales in May\n\n" + HEADER + ROWS, error="the header should be the first line"),
    csv("a line of units below the header", HEADER + "id,day,EUR\n" + ROWS, *BOTH, rejected={2: DATE}),
    csv("a header of a megabyte", "x" * 1_000_000 + "," + HEADER + "9," + ROWS, error="longer than 64 KB"),
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
    Case(
        "an archive of a compressed file",
        {"a.zip": zipped(**{"a.csv": b"id,day,money\n", "b.csv.gz": b"x"})},
        error="a member is compressed itself",
    ),
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
