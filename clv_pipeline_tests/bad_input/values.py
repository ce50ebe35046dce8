"""Values in CSV files that may be read in no way, in several, or in one only with care: dates, numbers, ids."""

from __future__ import annotations

from clv_pipeline_tests.bad_input.case import (
    AMOUNT,
    BOTH,
    DATE,
    DUPLICATE,
    FUTURE,
    HEADER,
    NO_CUSTOMER,
    NUMBER,
    PRICE,
    QUANTITY,
    ROWS,
    UNREADABLE,
    amounts,
    column,
    csv,
    customers,
    dates,
)

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
    dates("Unix seconds", {"1272672000": ""}, error="ordered_at: {sql: 'to_timestamp(\"date\")'}"),
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
    csv("NUL in a customer", HEADER + "1\0,2010-05-01,1\n" + ROWS, *BOTH, rejected={2: UNREADABLE}),
    csv("NUL in a number", HEADER + "1,2010-05-01,1\0.5\n" + ROWS, *BOTH, rejected={2: UNREADABLE}),
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
