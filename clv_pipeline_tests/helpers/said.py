"""Sentences of a published database beside what is said from their codes and facts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import duckdb

from clv_pipeline.display import ENGLISH, Display
from clv_pipeline.publication.told import SENTENCES, drivers_told, forecasts_told, told


def sentences(database: Path, display: Display = ENGLISH) -> Iterator[tuple[str, str, str]]:
    """Column, the sentence as it stands in the table, and as it is said: every different one of SENTENCES."""
    with duckdb.connect(str(database), read_only=True) as client:
        for table, column in SENTENCES:
            names = (column, f"{column}_code", f"{column}_facts")
            for row in client.execute(f"select distinct {', '.join(names)} from {table}").fetchall():
                yield f"{table}.{column}", row[0], told(display, table, column, dict(zip(names, row, strict=True)))


def customers(database: Path, display: Display = ENGLISH) -> Iterator[tuple[str, str | None, str | None]]:
    """The same for what is said of every customer; numbers of the tables are written as the display writes them.

    Percents are left out: facts have four decimals of the probability, whose half a percent rounds either way.
    """
    columns = "forecasts_in_words, forecasts_facts, drivers_in_words, drivers_facts, revenue is not null"
    with duckdb.connect(str(database), read_only=True) as client:
        rows = client.execute(f"select {columns} from customer_overview").fetchall()
    for forecasts, forecast_facts, drivers, driver_facts, has_money in rows:
        said = forecasts_told(display, forecast_facts)
        yield "forecasts_in_words", _without_percents(_as_displayed(forecasts)), _without_percents(said)
        driver = drivers_told(display, driver_facts, has_money=has_money)
        yield "drivers_in_words", drivers and _driver_as_displayed(drivers, has_money=has_money), driver


def _as_displayed(words: str) -> str:
    return re.sub(r"\d+\.\d\d", lambda found: ENGLISH.money(float(found[0])), words)


def _without_percents(words: str) -> str:
    return re.sub(r"buys with (under |over |[<>])?\d+ ?%", "buys with …", words)


def _driver_as_displayed(words: str, *, has_money: bool) -> str:
    def displayed(found: re.Match[str]) -> str:
        label, *numbers = found.groups()
        is_money = label.startswith("spend") and has_money
        value, median = (
            ENGLISH.money(float(number)) if is_money else ENGLISH.number(float(number), 2 if "." in number else 0)
            for number in numbers
        )
        return f"expected: {label} {value} (median {median})"

    return re.sub(r"expected: ([^(]+) (-?[\d.]+) \(median (-?[\d.]+)\)", displayed, words)
