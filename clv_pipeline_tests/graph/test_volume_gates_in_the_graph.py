"""Half a file does not pass as a quiet Tuesday: nothing is computed from it until it is mended or accepted."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta

import dagster as dg
import duckdb
import pytest

from clv_pipeline_tests.helpers.graph_shop import COLUMNS, Night, Shop

MONDAY = date(2024, 5, 20)
"""The last day of the history."""
TUESDAY, WEDNESDAY, THURSDAY = (MONDAY + timedelta(days=days) for days in range(1, 4))


def write_days(shop: Shop, *days: date, lines: int = 30) -> None:
    """One file of some days: every 20 minutes a line, from 9 o'clock on."""
    text = [
        f"C{line % 10},{day}-{line},{datetime.combine(day, time(9)) + timedelta(minutes=20 * line)},P{line},1,"
        f"{5 + line % 3}"
        for day in days
        for line in range(lines)
    ]
    path = shop.folder / "orders" / f"{days[0]}.csv"
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join([",".join(COLUMNS), *text]) + "\n")


def lines_of(shop: Shop, day: date) -> int:
    """Lines of a day in the live customer_days."""
    with duckdb.connect(str(shop.folder / "home" / "warehouse" / "clv.duckdb"), read_only=True) as client:
        found = client.execute(
            "select coalesce(sum(transaction_lines), 0) from customer_days where purchase_day = ?", [day]
        ).fetchone()
    assert found is not None
    return int(found[0])


def failed_checks(night: Night) -> dict[str | None, dg.AssetCheckResult]:
    return {check.check_name: check for check in night.failed_checks}


@pytest.fixture(scope="module")
def shop(new_shop: Callable[[], Shop]) -> Shop:
    """A shop with 10 ordinary weeks and one night behind it."""
    shop = new_shop()
    write_days(shop, *(MONDAY - timedelta(days=ago) for ago in range(70)))
    result = shop.night("*customer_days")
    assert result.success, result.failures
    assert not failed_checks(result)
    return shop


def test_half_a_file_stops_everything_until_the_day_is_accepted(shop: Shop) -> None:
    write_days(shop, TUESDAY, lines=15)
    night = shop.night("*rfm")
    assert not night.success
    assert not {"volume_gates", "customer_days", "rfm"} & night.shown.keys()
    told = "Tuesday 2024-05-21: rows kept 15, expected at least 18 and at most 49"
    assert told in night.failures["volume_gates"]
    assert "gates.accepted_days in clv.yaml" in night.failures["volume_gates"]
    red = failed_checks(night)["new_days_are_as_usual"]
    assert (red.asset_key, red.severity) == (dg.AssetKey("volume_gates"), dg.AssetCheckSeverity.ERROR)
    assert told in str(red.metadata["observed"].value)
    assert lines_of(shop, TUESDAY) == 0

    for alone in ("customer_days", "published_marts"):
        refused = shop.night(alone)
        assert not refused.success
        assert "the last audit of volume_gates failed" in refused.failures[alone]

    accepted = shop.night("*customer_days", gates={"accepted_days": [str(TUESDAY)]})
    assert accepted.success, accepted.failures
    assert lines_of(shop, TUESDAY) == 15


def test_a_mended_day_passes_and_a_missing_one_is_a_warning_that_stops_nothing(shop: Shop) -> None:
    write_days(shop, TUESDAY)
    write_days(shop, THURSDAY)
    night = shop.night("*customer_days")
    assert night.success, night.failures
    assert (lines_of(shop, TUESDAY), lines_of(shop, THURSDAY)) == (30, 30)
    (warning,) = failed_checks(night).values()
    assert (warning.check_name, warning.severity) == ("new_days_are_nearly_as_usual", dg.AssetCheckSeverity.WARN)
    assert f"Wednesday {WEDNESDAY}: rows on a day that usually has some 0" in str(warning.metadata["observed"].value)


@pytest.mark.parametrize("days_ago", [28, 1], ids=["last month", "yesterday"])
def test_a_mistyped_year_moves_neither_as_of_nor_what_is_judged(new_shop: Callable[[], Shop], days_ago: int) -> None:
    shop = new_shop()
    typo = datetime.now(UTC).date() - timedelta(days=days_ago)
    write_days(shop, *(MONDAY - timedelta(days=ago) for ago in range(70)))
    write_days(shop, typo, lines=1)
    night = shop.night("*history_span")
    assert night.success, night.failures
    assert as_of(shop) == MONDAY
    warning = failed_checks(night)["no_day_is_far_behind_all_others"]
    assert warning.severity == dg.AssetCheckSeverity.WARN
    assert f"{typo} in orders/{typo}.csv, record 2" in str(warning.metadata["observed"].value)

    write_days(shop, TUESDAY, lines=5)
    stopped = shop.night("*history_span")
    assert not stopped.success
    assert "Tuesday 2024-05-21: rows kept 5, expected at least" in stopped.failures["volume_gates"]

    write_days(shop, TUESDAY)
    write_days(shop, typo - timedelta(days=1), lines=30)
    confirmed = shop.night("*history_span")
    assert confirmed.success, confirmed.failures
    assert as_of(shop) == typo
    assert "no_day_is_far_behind_all_others" not in failed_checks(confirmed)


def as_of(shop: Shop) -> date:
    with duckdb.connect(str(shop.folder / "home" / "warehouse" / "clv.duckdb"), read_only=True) as client:
        [(day,)] = client.execute("select as_of from history_span").fetchall()
    assert isinstance(day, date)
    return day
