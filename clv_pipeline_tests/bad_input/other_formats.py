"""JSON lines, Parquet files and workbooks as they should not be."""

from __future__ import annotations

import json

from clv_pipeline_tests.bad_input.case import (
    DATE,
    HEADER,
    NO_CUSTOMER,
    NO_HEADER,
    NUMBER,
    ROWS,
    UNREADABLE,
    Case,
    json_lines,
    parquet,
    workbook,
)
from clv_pipeline_tests.helpers.shop_files import ExcelDate

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
