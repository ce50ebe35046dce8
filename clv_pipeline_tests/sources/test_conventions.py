"""Dates and numbers as people write them, and the refusal to guess where they do not tell."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from pathlib import Path

import pytest

from clv_pipeline.errors import SourceError
from clv_pipeline_tests.helpers.shop_files import load, write


def dates_of(tmp_path: Path, *values: str, **file_format: object) -> list[datetime | None]:
    write(tmp_path, "a.csv", "customer|date|amount\n" + "".join(f"1|{value}|1\n" for value in values))
    return load(tmp_path, path="a.csv", format=file_format).column("ordered_at")


def amounts_of(tmp_path: Path, *values: str, **file_format: object) -> list[Decimal | None]:
    write(tmp_path, "a.csv", "customer|date|amount\n" + "".join(f"1|2010-05-01|{value}\n" for value in values))
    return load(tmp_path, path="a.csv", format=file_format).column("amount")


MAY_1 = datetime(2010, 5, 1)
AT_8_26 = datetime(2010, 5, 1, 8, 26)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2010-05-01", MAY_1),
        ("2010-5-1", MAY_1),
        ("2010/05/01", MAY_1),
        ("2010.05.01", MAY_1),
        ("20100501", MAY_1),
        ("20100501082600", AT_8_26),
        ("20100501 08:26", AT_8_26),
        ("2010-05-01T08:26:00", AT_8_26),
        ("2010-05-01T08:26:00Z", AT_8_26),
        ("2010-05-01T08:26:00+02:00", AT_8_26),
        ("2010-05-01 08:26:00.250", datetime(2010, 5, 1, 8, 26, 0, 250_000)),
        ("1 May 2010", MAY_1),
        ("01-MAY-10", MAY_1),
        ("May 1, 2010 8:26 AM", AT_8_26),
    ],
)
def test_dates_that_cannot_be_mistaken_are_read_without_being_asked(
    tmp_path: Path, value: str, expected: datetime
) -> None:
    assert dates_of(tmp_path, value) == [expected]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (("1/5/2010", "13/5/2010"), [MAY_1, datetime(2010, 5, 13)]),
        (("5/1/2010", "5/13/2010"), [MAY_1, datetime(2010, 5, 13)]),
        (("01.05.10 08:26", "13.05.10 20:00:30"), [AT_8_26, datetime(2010, 5, 13, 20, 0, 30)]),
        (("5/1/2010 8:26 AM", "5/13/2010 8:00 PM"), [AT_8_26, datetime(2010, 5, 13, 20)]),
        (("1/5/2010", "13/5/10"), [MAY_1, datetime(2010, 5, 13)]),
        (("1-5-2010", "2010-05-13", "13-5-2010"), [MAY_1, datetime(2010, 5, 13), datetime(2010, 5, 13)]),
    ],
)
def test_one_day_above_twelve_tells_which_part_is_the_day(
    tmp_path: Path, values: tuple[str, ...], expected: list[datetime]
) -> None:
    assert dates_of(tmp_path, *values) == expected


def test_the_evidence_may_be_far_below_the_sampled_head(tmp_path: Path) -> None:
    dates = dates_of(tmp_path, *["03/04/2010"] * 5_000, "13/04/2010")
    assert set(dates) == {datetime(2010, 4, 3), datetime(2010, 4, 13)}


def test_the_evidence_may_be_in_another_file(tmp_path: Path) -> None:
    write(tmp_path, "0304.csv", "customer,date,amount\n1,03/04/2010,1\n")
    write(tmp_path, "1304.csv", "customer,date,amount\n1,13/04/2010,1\n")
    assert load(tmp_path, path="*.csv").column("ordered_at") == [datetime(2010, 4, 3), datetime(2010, 4, 13)]


def test_dates_that_are_ambiguous_throughout_are_asked_about(tmp_path: Path) -> None:
    with pytest.raises(SourceError) as caught:
        dates_of(tmp_path, "03/04/2010", "05/06/2010")
    for part in ("a.csv", "'03/04/2010' and '05/06/2010'", "format.date_formats", "%d/%m/%Y", "'date'"):
        assert part in str(caught.value)
    assert dates_of(tmp_path, "03/04/2010", date_formats=["%m/%d/%Y"]) == [datetime(2010, 3, 4)]


def test_dates_that_contradict_each_other_are_asked_about(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="day first in some rows, month first in others"):
        dates_of(tmp_path, "13/04/2010", "04/13/2010")


def test_a_column_without_any_date_is_an_error_but_single_odd_values_are_not(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"no date format is known for the column 'date' \(values like 'aaaa' and"):
        dates_of(tmp_path, "soon", "today")
    assert dates_of(tmp_path, "soon", "2010-05-01", "31/02/2010", "2010-13-01") == [None, MAY_1, None, None]


@pytest.mark.parametrize("value", ["infinity", "0010-05-01", "10-5-1", "99999-01-01", "2010-05-01 (BC)"])
def test_what_only_a_database_takes_for_a_date_is_none(tmp_path: Path, value: str) -> None:
    assert dates_of(tmp_path, "2010-05-01", value) == [MAY_1, None]


def test_a_format_that_strptime_does_not_know_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"%Q.*date_formats"):
        dates_of(tmp_path, "x", date_formats=["%Q"])


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (("12,50", "3"), ["12.5", "3"]),
        (("1.234,50", "1.234", "12,5"), ["1234.5", "1234", "12.5"]),
        (("1,234.50", "1,234", "12.5"), ["1234.5", "1234", "12.5"]),
        (("1.234.567", "2"), ["1234567", "2"]),
        (("-0,5", "+1,25"), ["-0.5", "1.25"]),
        (("12,50", "1.2"), ["12.5", None]),
        (("12.50", "1,2"), ["12.5", None]),
        (("7", "8"), ["7", "8"]),
    ],
)
def test_the_decimal_separator_is_found_out_and_thousands_only_count_in_groups_of_three(
    tmp_path: Path, values: tuple[str, ...], expected: list[str | None]
) -> None:
    if values == ("12,50", "1.2") or values == ("12.50", "1,2"):
        with pytest.raises(SourceError, match="decimal point and with a decimal comma"):
            amounts_of(tmp_path, *values)
        decimal = "," if "," in values[0] else "."
        found = amounts_of(tmp_path, *values, decimal=decimal)
    else:
        found = amounts_of(tmp_path, *values)
    assert found == [None if value is None else Decimal(value) for value in expected]


@pytest.mark.parametrize("value", ["1,234", "1.234"])
def test_a_number_that_may_be_either_is_asked_about(tmp_path: Path, value: str) -> None:
    with pytest.raises(SourceError, match=r"a.csv: numbers may have .*\('1.234'\); state .*format.decimal"):
        amounts_of(tmp_path, value, "7")
    assert amounts_of(tmp_path, value, "7", decimal=value[1]) == [Decimal("1.234"), Decimal(7)]
    assert amounts_of(tmp_path, value, "7", thousands=value[1]) == [Decimal(1234), Decimal(7)]


@pytest.mark.parametrize("space", [" ", "\u00a0", "\u202f"])
def test_spaces_and_apostrophes_separate_thousands_where_configured(tmp_path: Path, space: str) -> None:
    french = {"decimal": ",", "thousands": " "}
    assert amounts_of(tmp_path, f"1{space}234,5", "7", **french) == [Decimal("1234.5"), Decimal(7)]
    assert amounts_of(tmp_path, "1'234.5", thousands="'", decimal=".") == [Decimal("1234.5")]
