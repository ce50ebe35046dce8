"""A file answers for itself: 118 good daily files do not hide one that cannot be read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pytest

from clv_pipeline.config.settings import Settings
from clv_pipeline.errors import GateError
from clv_pipeline.warehouse import Admission, Warehouse
from clv_pipeline_tests.helpers.nights import STEPS, night

FIRST = date(2024, 1, 1)
GOOD_DAYS = 118
BAD_DAY = FIRST + timedelta(days=GOOD_DAYS)
BAD = f"orders/{BAD_DAY}.csv"
COLUMNS = {name: name for name in ("customer_id", "order_id", "ordered_at", "product_id", "amount")}

Line = dict[str, Any]
Change = Callable[[Line], Mapping[str, Any]]


def unchanged(_: Line) -> Mapping[str, Any]:
    return {}


@dataclass
class Shop:
    """A folder of daily files and the warehouse that they are loaded into."""

    folder: Path
    warehouse: Warehouse

    def write(self, day: date, change: Change = unchanged, lines: int = 40) -> None:
        """The file of a day: a line every quarter of an hour, wobbling in number and in money."""
        wobble = day.toordinal() * 7 % 5
        text = []
        for number in range(lines + wobble):
            at = datetime.combine(day, time(8)) + timedelta(minutes=15 * number)
            line = {
                "customer_id": f"C{number * (wobble + 3) % 60}",
                "order_id": f"{day}-{number}",
                "ordered_at": f"{at}",
                "product_id": f"P{number % 12}",
                "amount": f"{5 + number % 9}.50",
            }
            text.append(",".join(str(value) for value in {**line, **change(line)}.values()))
        path = self.folder / "orders" / f"{day}.csv"
        path.parent.mkdir(exist_ok=True)
        path.write_text("\n".join([",".join(COLUMNS), *text]) + "\n")

    def night(self, today: date, **blocks: Any) -> dict[str, Admission]:
        """What came of every step; those behind a refused one are not tried."""
        settings = Settings.from_mapping(
            {"source": {"transactions": {"path": "orders/*.csv", "columns": COLUMNS}}, **blocks},
            config_file=self.folder / "clv.yaml",
        )
        admissions: dict[str, Admission] = {}
        for step in STEPS:
            admissions |= night(self.warehouse, settings, today=today, steps=[step])
            if not admissions[step[0]].admitted:
                break
        return admissions

    def counts(self) -> tuple[Any, ...]:
        """Rows and money of the live tables."""
        return (
            self.warehouse.open("test")
            .execute(
                "select (select count(*) from raw_transactions), (select count(*) from cleaned_transactions),"
                " (select sum(amount) from cleaned_transactions), (select count(*) from source_files),"
                " (select count(distinct source_file) from file_gates)"
            )
            .fetchall()[0]
        )

    def verdicts(self, file: str) -> dict[str, tuple[Any, ...]]:
        """Of every measure of a live file: what was seen, the verdict and the excuse."""
        rows = self.warehouse.open("test").execute(
            "select measure, observed, verdict, excused_because from file_gates where source_file = ?", [file]
        )
        return {measure: tuple(rest) for measure, *rest in rows.fetchall()}


def green(admissions: Mapping[str, Admission]) -> bool:
    """Whether every step was admitted."""
    return len(admissions) == len(STEPS) and all(admission.admitted for admission in admissions.values())


def told(admissions: Mapping[str, Admission]) -> str:
    """What kept a step out."""
    return "\n".join(str(failure) for admission in admissions.values() for failure in admission.failures)


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    (tmp_path / "orders").mkdir()
    warehouse = Warehouse(tmp_path / "home" / "clv.duckdb", [tmp_path])
    made = Shop(tmp_path, warehouse)
    try:
        yield made
    finally:
        warehouse.close()


def with_history(shop: Shop) -> None:
    """118 good files and a green night."""
    for day in range(GOOD_DAYS):
        shop.write(FIRST + timedelta(days=day))
    first = shop.night(BAD_DAY)
    assert green(first), told(first)


UNREADABLE: dict[str, tuple[Change, str]] = {
    "all dates": (
        lambda line: {"ordered_at": f"D-{line['ordered_at'][5:10]}"},
        "share of readable dates 0.00, expected at least",
    ),
    "all customers": (lambda _: {"customer_id": ""}, "share of rows with a customer 0.00, expected at least"),
    "all amounts": (lambda _: {"amount": "n.v."}, "share of readable amounts 0.00, expected at least"),
}


@pytest.mark.parametrize("fault", UNREADABLE)
def test_an_unreadable_file_among_118_good_ones_is_red_named_and_kept_out(shop: Shop, fault: str) -> None:
    with_history(shop)
    before = shop.counts()
    change, finding = UNREADABLE[fault]
    shop.write(BAD_DAY, change)
    red = shop.night(BAD_DAY + timedelta(days=1))
    assert not red["raw_transactions"].admitted
    assert f"{BAD}: {finding}" in told(red)
    assert "gates.accepted_files in clv.yaml" in told(red)
    assert shop.counts() == before

    again = shop.night(BAD_DAY + timedelta(days=1))
    assert f"{BAD}: {finding}" in told(again)
    assert shop.counts() == before


def test_the_next_night_is_green_once_the_file_is_mended(shop: Shop) -> None:
    with_history(shop)
    shop.write(BAD_DAY, UNREADABLE["all dates"][0])
    assert told(shop.night(BAD_DAY + timedelta(days=1)))
    shop.write(BAD_DAY)
    shop.write(BAD_DAY + timedelta(days=1))
    mended = shop.night(BAD_DAY + timedelta(days=2))
    assert green(mended), told(mended)
    assert shop.counts()[3:] == (GOOD_DAYS + 2, GOOD_DAYS + 2)


def test_the_next_night_is_green_once_the_file_is_accepted_and_it_stays_so(shop: Shop) -> None:
    with_history(shop)
    shop.write(BAD_DAY, UNREADABLE["all dates"][0])
    assert told(shop.night(BAD_DAY + timedelta(days=1)))
    shop.write(BAD_DAY + timedelta(days=1))
    accepted = shop.night(BAD_DAY + timedelta(days=2), gates={"accepted_files": [BAD]})
    assert green(accepted), told(accepted)
    assert shop.verdicts(BAD)["dates"] == (0.0, "too low", "accepted in clv.yaml")
    later = shop.night(BAD_DAY + timedelta(days=2))
    assert green(later), told(later)


def test_whoever_reads_a_refused_load_waits_for_it(shop: Shop) -> None:
    with_history(shop)
    shop.write(BAD_DAY, UNREADABLE["all amounts"][0])
    shop.night(BAD_DAY + timedelta(days=1))
    settings = Settings.from_mapping(
        {"source": {"transactions": {"path": "orders/*.csv", "columns": COLUMNS}}}, config_file=shop.folder / "clv.yaml"
    )
    with pytest.raises(GateError, match="the last audit of raw_transactions failed"):
        night(shop.warehouse, settings, today=BAD_DAY, steps=[("rejected_transactions",)])
