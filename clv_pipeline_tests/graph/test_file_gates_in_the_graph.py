"""A file that cannot be read stops the whole graph: the file is named, and what is served stays as it is."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from pathlib import Path

import dagster as dg
import duckdb

from clv_pipeline_tests.helpers.graph_shop import COLUMNS, Shop

FIRST = date(2024, 1, 1)
GOOD_DAYS = 118
BAD_DAY = FIRST + timedelta(days=GOOD_DAYS)
BAD = f"orders/{BAD_DAY}.csv"


def write_day(shop: Shop, day: date, dates: str = "{}") -> None:
    """The file of a day, 30 lines; `dates` is how a date is written."""
    text = [
        f"C{line * (day.toordinal() % 7 + 1) % 50},{day}-{line},"
        f"{dates.format(datetime.combine(day, time(9)) + timedelta(minutes=20 * line))},P{line},1,{5 + line % 3}"
        for line in range(30)
    ]
    path = shop.folder / "orders" / f"{day}.csv"
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join([",".join(COLUMNS), *text]) + "\n")


def served_bytes(shop: Shop) -> dict[str, str]:
    """The sha256 of every file that is served."""
    current = (shop.folder / "home" / "published" / "current").resolve()
    files = sorted(path for path in current.rglob("*") if path.is_file())
    return {str(path): hashlib.sha256(Path(path).read_bytes()).hexdigest() for path in files}


def test_an_unreadable_file_stops_the_night_and_the_served_bytes_stay(new_shop: Callable[[], Shop]) -> None:
    shop = new_shop()
    for day in range(GOOD_DAYS):
        write_day(shop, FIRST + timedelta(days=day))
    good = shop.night()
    assert good.success, good.failures
    before = served_bytes(shop)

    write_day(shop, BAD_DAY, dates="D-{}")
    night = shop.night()
    assert not night.success
    assert f"{BAD}: share of readable dates 0.00, expected at least 0.90" in night.failures["raw_transactions"]
    assert not {"raw_transactions", "rejected_transactions", "rfm"} & night.shown.keys()
    (red,) = (check for check in night.failed_checks if check.severity == dg.AssetCheckSeverity.ERROR)
    assert red.check_name == "new_files_are_as_usual"
    assert served_bytes(shop) == before

    accepted = shop.night(gates={"accepted_files": [BAD]})
    assert accepted.success, accepted.failures
    with duckdb.connect(str(shop.served), read_only=True) as client:
        assert client.execute("select distinct kind, file_or_day from accepted_findings").fetchall() == [("file", BAD)]
        assert client.execute(
            "select observed, excused_because from file_gates where source_file = ? and measure = 'dates'", [BAD]
        ).fetchall() == [(0, "accepted in clv.yaml")]
    report = shop.served.with_name("report.html").read_text(encoding="utf-8")
    assert "Accepted as they are by clv.yaml" in report
    assert BAD in report

    write_day(shop, BAD_DAY)
    write_day(shop, BAD_DAY + timedelta(days=1))
    mended = shop.night()
    assert mended.success, mended.failures
    with duckdb.connect(str(shop.served), read_only=True) as client:
        assert client.execute("select count(*) from accepted_findings").fetchall() == [(0,)]
