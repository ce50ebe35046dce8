"""A file answers for itself: 118 good daily files do not hide one that cannot be read."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pytest

from clv_pipeline.config.settings import Settings
from clv_pipeline.errors import GateError, WarehouseBusyError
from clv_pipeline.orchestration.bare_steps import STEPS
from clv_pipeline.orchestration.rehearsal import rehearse
from clv_pipeline.pipeline import Refresh
from clv_pipeline.warehouse import Admission, Warehouse
from clv_pipeline_tests.helpers.nights import NEWS, night

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

    def settings(self, **blocks: Any) -> Settings:
        """What clv.yaml says."""
        return Settings.from_mapping(
            {"source": {"transactions": {"path": "orders/*.csv", "columns": COLUMNS}}, **blocks},
            config_file=self.folder / "clv.yaml",
        )

    def night(self, today: date, refresh: Refresh = NEWS, **blocks: Any) -> dict[str, Admission]:
        """What came of every step; those behind a refused one are not tried."""
        settings = self.settings(**blocks)
        admissions: dict[str, Admission] = {}
        for step in STEPS:
            admissions |= night(self.warehouse, settings, today=today, refresh=refresh, steps=[step])
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


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """118 good files and a green night."""
    folder = tmp_path_factory.mktemp("history")
    made = Shop(folder, Warehouse(folder / "home" / "clv.duckdb", [folder]))
    try:
        for day in range(GOOD_DAYS):
            made.write(FIRST + timedelta(days=day))
        first = made.night(BAD_DAY)
        assert green(first), told(first)
    finally:
        made.warehouse.close()
    return folder


@pytest.fixture
def shop(history: Path, tmp_path: Path) -> Iterator[Shop]:
    """A copy of the history, which every test may go on with."""
    folder = tmp_path / "shop"
    shutil.copytree(history, folder)
    made = Shop(folder, Warehouse(folder / "home" / "clv.duckdb", [folder]))
    try:
        yield made
    finally:
        made.warehouse.close()


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
    shop.write(BAD_DAY, UNREADABLE["all dates"][0])
    assert told(shop.night(BAD_DAY + timedelta(days=1)))
    shop.write(BAD_DAY)
    shop.write(BAD_DAY + timedelta(days=1))
    mended = shop.night(BAD_DAY + timedelta(days=2))
    assert green(mended), told(mended)
    assert shop.counts()[3:] == (GOOD_DAYS + 2, GOOD_DAYS + 2)


def test_the_next_night_is_green_once_the_file_is_accepted_and_it_stays_so(shop: Shop) -> None:
    shop.write(BAD_DAY, UNREADABLE["all dates"][0])
    assert told(shop.night(BAD_DAY + timedelta(days=1)))
    shop.write(BAD_DAY + timedelta(days=1))
    accepted = shop.night(BAD_DAY + timedelta(days=2), gates={"accepted_files": [BAD]})
    assert green(accepted), told(accepted)
    assert shop.verdicts(BAD)["dates"] == (0.0, "too low", "accepted in clv.yaml")
    later = shop.night(BAD_DAY + timedelta(days=2))
    assert green(later), told(later)


def test_whoever_reads_a_refused_load_waits_for_it(shop: Shop) -> None:
    shop.write(BAD_DAY, UNREADABLE["all amounts"][0])
    shop.night(BAD_DAY + timedelta(days=1))
    settings = Settings.from_mapping(
        {"source": {"transactions": {"path": "orders/*.csv", "columns": COLUMNS}}}, config_file=shop.folder / "clv.yaml"
    )
    with pytest.raises(GateError, match="the last audit of source_files failed"):
        night(shop.warehouse, settings, today=BAD_DAY, steps=[("rejected_transactions",)])


def test_severity_is_the_users_choice(shop: Shop) -> None:
    shop.write(BAD_DAY, UNREADABLE["all customers"][0])
    warned = shop.night(BAD_DAY + timedelta(days=1), gates={"files": "warn", "kept": "warn"})
    assert green(warned), told(warned)
    (warning,) = (result for result in warned["raw_transactions"].results["file_gates"] if not result.passed)
    assert BAD in warning.observed
    assert (warning.severity, warning.check) == ("warning", "new_files_are_nearly_as_usual")


def test_a_warning_is_told_once_and_not_for_every_later_file(shop: Shop) -> None:
    shop.write(BAD_DAY, UNREADABLE["all customers"][0])
    shop.night(BAD_DAY + timedelta(days=1), gates={"files": "warn", "kept": "warn"})
    shop.write(BAD_DAY + timedelta(days=1))
    later = shop.night(BAD_DAY + timedelta(days=2), gates={"files": "warn", "kept": "warn"})
    assert all(result.passed for result in later["raw_transactions"].results["file_gates"])
    assert shop.verdicts(BAD)["customers"][2] == "passed before"


def test_a_copy_that_was_interrupted_within_a_line_is_stopped(shop: Shop) -> None:
    shop.write(BAD_DAY)
    path = shop.folder / BAD
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert "last line ended (1: yes, 0: no) 0, expected at least" in told(shop.night(BAD_DAY + timedelta(days=1)))


def test_a_copy_that_was_interrupted_one_byte_behind_a_line_is_stopped_as_well(shop: Shop) -> None:
    shop.write(BAD_DAY)
    path = shop.folder / BAD
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:38]) + lines[38][:1])
    assert "last line ended (1: yes, 0: no) 0, expected at least" in told(shop.night(BAD_DAY + timedelta(days=1)))


UNUSUAL: dict[str, tuple[Change, str]] = {
    "no time of day": (
        lambda line: {"ordered_at": line["ordered_at"][:10]},
        "share of rows with a time of day 0.00, expected at least",
    ),
    "no cents": (
        lambda line: {"amount": line["amount"][:-2] + "00"},
        "share of amounts without cents 1.00, expected at least 0.00 and at most 0.32",
    ),
}


@pytest.mark.parametrize("fault", UNUSUAL)
def test_a_file_is_told_from_those_of_another_shop_by_its_times_and_prices(shop: Shop, fault: str) -> None:
    change, finding = UNUSUAL[fault]
    shop.write(BAD_DAY, change)
    assert f"{BAD}: {finding}" in told(shop.night(BAD_DAY + timedelta(days=1)))


def test_a_header_alone_is_no_file_of_a_day(shop: Shop) -> None:
    (shop.folder / BAD).write_text(",".join(COLUMNS) + "\n")
    assert f"{BAD}: rows 0, expected at least" in told(shop.night(BAD_DAY + timedelta(days=1)))


def test_a_full_refresh_judges_every_file_and_lets_in_what_passed(shop: Shop) -> None:
    shop.write(BAD_DAY, UNREADABLE["all dates"][0])
    assert green(shop.night(BAD_DAY + timedelta(days=1), gates={"accepted_files": [BAD]}))
    full = shop.night(BAD_DAY + timedelta(days=1), refresh=Refresh(full=True))
    assert green(full), told(full)
    assert shop.verdicts(BAD)["dates"] == (0.0, "too low", "passed before")


def test_files_are_measured_by_what_cleaning_would_reject(shop: Shop) -> None:
    """Every second line of the new file repeats one that is there already."""
    old = (shop.folder / "orders" / f"{BAD_DAY - timedelta(days=1)}.csv").read_text().splitlines()
    (shop.folder / "orders" / f"{BAD_DAY}.csv").write_text("\n".join([*old[:21], *_fresh(20)]) + "\n")
    lenient = dict.fromkeys(("files", "hours", "kept", "rows", "line_amount"), "warn")
    admissions = shop.night(BAD_DAY + timedelta(days=1), gates=lenient)
    assert green(admissions), told(admissions)
    assert shop.verdicts(BAD)["rejected: exact duplicate"][0] == 0.5
    assert shop.verdicts(BAD)["kept"][0] == 0.5


def _fresh(lines: int) -> list[str]:
    return [f"C{line},new-{line},{BAD_DAY} 10:00:00,P{line % 12},{5 + line % 9}.50" for line in range(lines)]


def test_check_says_of_a_new_file_what_the_next_night_says(shop: Shop) -> None:
    """Also where the file would not be odd among all files of a first load."""
    home = shop.folder / "checked"
    settings = shop.settings(storage={"home": str(home)})
    shop.warehouse.close()
    settings.warehouse_path.parent.mkdir(parents=True)
    shutil.copy(shop.folder / "home" / "clv.duckdb", settings.warehouse_path)
    assert not rehearse(settings).stops
    shop.write(BAD_DAY)
    good = rehearse(settings)
    assert (good.stops, good.odd_files) == (False, [])
    shop.write(BAD_DAY, UNREADABLE["all amounts"][0])
    bad = rehearse(settings)
    assert bad.stops
    assert {each.source_file for each in bad.odd_files} == {BAD}


def test_check_beside_a_run_says_that_it_cannot_compare(shop: Shop) -> None:
    settings = shop.settings(storage={"home": str(shop.folder / "checked")})
    settings.warehouse_path.parent.mkdir(parents=True)
    path = str(settings.warehouse_path)
    holds = f"import duckdb, time; con = duckdb.connect({path!r}); print('open', flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", holds], stdout=subprocess.PIPE) as run:
        assert run.stdout is not None
        assert run.stdout.readline()
        try:
            with pytest.raises(WarehouseBusyError, match="run `clv check` again when it has ended"):
                rehearse(settings)
        finally:
            run.kill()


def test_a_guest_in_the_last_row_is_no_file_that_was_cut(tmp_path: Path) -> None:
    """Customers are numbers, and guests are number 0; a file sorted by customer ends far up."""

    def numbered(line: Line) -> Mapping[str, Any]:
        return {"customer_id": str(100 + int(line["customer_id"][1:]))}

    shop = Shop(tmp_path, Warehouse(tmp_path / "home" / "clv.duckdb", [tmp_path]))
    try:
        for day in range(40):
            shop.write(FIRST + timedelta(days=day), numbered)
        assert green(shop.night(FIRST + timedelta(days=40)))
        last = FIRST + timedelta(days=40)
        shop.write(last, numbered)
        with (tmp_path / "orders" / f"{last}.csv").open("a") as file:
            file.write(f"0,guest,{last} 20:00:00,P1,5.50\n")
        assert green(shop.night(last + timedelta(days=1)))
    finally:
        shop.warehouse.close()
