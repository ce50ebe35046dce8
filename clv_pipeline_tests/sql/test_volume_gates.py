"""Volume gates: half a file does not pass as a quiet Tuesday, and an ordinary shop is left in peace."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from typing import Any

import pytest

from clv_pipeline.config.settings import Gates
from clv_pipeline.orchestration.assets.cleaning import gate_rows
from clv_pipeline.warehouse.settings_table import settings_frame
from clv_pipeline_tests.helpers.sql_bench import Bench, Row, models, picked

NEWEST = date(2024, 5, 31)
"""A Friday."""

DAYS = 147


def ordinary_day(day: date) -> Row:
    """A day of a shop that is closed on Sundays, sells half as much on Saturdays and wobbles by 4 %."""
    if day.weekday() == 6:
        return {"ordered_on": day, "arrived_rows": 0, "kept_rows": 0, "customers": 0, "revenue": 0}
    wobble = 1 + 0.02 * (day.toordinal() * 3 % 5 - 2)
    rows = round((100 if day.weekday() == 5 else 200) * wobble)
    return {
        "ordered_on": day,
        "arrived_rows": rows + 20,
        "kept_rows": rows,
        "customers": rows // 4,
        "revenue": 15 * rows,
        "line_amount": "9.95",
        "without_customer": 0.05,
        "rejected": 0.02,
        "first_hour": 8.5,
        "last_hour": 18.5,
    }


NO_ROWS: Row = {"arrived_rows": 0, "kept_rows": 0, "customers": 0, "revenue": 0} | dict.fromkeys(
    ("line_amount", "without_customer", "rejected", "first_hour", "last_hour")
)


def times(factor: float, day: date = NEWEST, *measures: str) -> Row:
    """What an ordinary day brings, times a factor in some measures."""
    return {name: float(ordinary_day(day)[name]) * factor // 1 for name in measures}


def gates(
    bench: Bench,
    changes: Mapping[date, Row] | None = None,
    *,
    days: int = DAYS,
    today: date = NEWEST + timedelta(days=1),
    passed: Iterable[Row] | None = None,
    **settings: Any,
) -> list[Row]:
    """Judge an ordinary history with some days changed; by default every day before the last week passed before."""
    history = [ordinary_day(NEWEST - timedelta(days=ago)) for ago in range(days)]
    history = [_changed(row, (changes or {}).get(row["ordered_on"], {})) for row in history]
    if passed is None:
        passed = [{"ordered_on": NEWEST - timedelta(days=400), "measure": "rows", "observed": 1}]
    bench.given("daily_volumes", history)
    frame = settings_frame(models()["gate_settings"].contract, *gate_rows(Gates(**settings)))
    bench.given("gate_settings", frame.to_dicts())
    bench.given("passed_volumes", list(passed))
    bench.given("run_day", [{"today": today}])
    return bench.run("volume_gates")


def _changed(row: Row, change: Row) -> Row:
    """The row with the change; rows that are not kept have not arrived, unless the change says so."""
    if "kept_rows" in change and "arrived_rows" not in change:
        change = {"arrived_rows": change["kept_rows"] + 20, **change}
    return row | dict(change)


def alarms(rows: Iterable[Row]) -> list[tuple[Any, ...]]:
    return picked((row for row in rows if row["is_alarm"]), "measure", "severity", "verdict")


def test_an_ordinary_shop_raises_no_alarm(bench: Bench) -> None:
    rows = gates(bench)
    assert alarms(rows) == []
    assert {row["verdict"] for row in rows if row["measure"] == "rows"} == {"as usual"}
    assert bench.failed_checks("volume_gates") == []


def test_half_a_day_is_an_error(bench: Bench) -> None:
    half = times(0.5, NEWEST, "kept_rows", "customers", "revenue")
    rows = gates(bench, {NEWEST: half})
    assert ("rows", "error", "too low") in alarms(rows)
    assert bench.failed_checks("volume_gates")[0] == "new_days_are_as_usual"


def test_a_day_cut_at_noon_is_an_error_even_where_half_the_rows_could_be_chance(bench: Bench) -> None:
    assert alarms(gates(bench, {NEWEST: {"last_hour": 12.5}})) == [("last_hour", "error", "too low")]
    assert alarms(gates(bench, {NEWEST: {"first_hour": 13}})) == [("first_hour", "error", "too high")]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (times(2, NEWEST, "kept_rows"), ("rows", "error", "too high")),
        (times(0.3, NEWEST, "customers"), ("customers", "warn", "too low")),
        (times(3, NEWEST, "revenue"), ("revenue", "warn", "too high")),
        ({"arrived_rows": 1000}, ("kept", "error", "too low")),
        ({"line_amount": 995}, ("line_amount", "error", "too high")),
        ({"line_amount": "0.0995"}, ("line_amount", "error", "too low")),
        ({"without_customer": 0.35}, ("without_customer", "warn", "too high")),
        ({"rejected": 0.5}, ("rejected", "warn", "too high")),
    ],
)
def test_every_measure_has_its_alarm(bench: Bench, change: Row, expected: tuple[str, ...]) -> None:
    assert alarms(gates(bench, {NEWEST: change})) == [expected]


def test_fewer_rows_without_customer_are_good_news(bench: Bench) -> None:
    history = {NEWEST - timedelta(days=ago): {"without_customer": 0.6, "rejected": 0.5} for ago in range(1, DAYS)}
    assert alarms(gates(bench, {**history, NEWEST: {"without_customer": 0, "rejected": 0}})) == []


def test_the_finding_says_day_measure_value_and_range(bench: Bench) -> None:
    (alarm,) = (row for row in gates(bench, {NEWEST: {"kept_rows": 61}}) if row["is_alarm"])
    assert alarm["finding"].startswith("Friday 2024-05-31: rows kept 61, expected at least 1")
    assert "and at most 3" in alarm["finding"]


def test_a_quiet_day_of_a_restless_shop_is_no_alarm(bench: Bench) -> None:
    restless = {
        day: times(factor, day, "kept_rows")
        for ago in range(DAYS)
        for day in [NEWEST - timedelta(days=ago)]
        for factor in [(1, 1.9, 0.6, 1.4, 0.5)[ago % 5]]
    }
    assert alarms(gates(bench, {**restless, NEWEST: times(0.5, NEWEST, "kept_rows")})) == []


def test_a_december_that_builds_up_and_the_return_to_everyday_are_no_alarm(bench: Bench) -> None:
    """Sales climb to three times the usual within five weeks, and fall back within two."""
    climb = {35 - week * 7 - i: 1 + 2 * (week * 7 + i) / 35 for week in range(5) for i in range(7)}
    season = {
        NEWEST - timedelta(days=ago): times(factor, NEWEST - timedelta(days=ago), "kept_rows", "customers", "revenue")
        for ago, factor in climb.items()
    }
    assert alarms(gates(bench, season)) == []
    after = {day + timedelta(days=-14): change | {"kept_rows": change["kept_rows"]} for day, change in season.items()}
    assert alarms(gates(bench, after)) == []


def test_a_day_without_rows_is_told_from_a_closed_one(bench: Bench) -> None:
    tuesday, sunday = NEWEST - timedelta(days=3), NEWEST - timedelta(days=5)
    rows = gates(bench, {tuesday: NO_ROWS})
    assert picked((row for row in rows if row["is_alarm"]), "ordered_on", "measure", "severity") == [
        (tuesday, "missing_days", "warn")
    ]
    closed = [row for row in rows if row["measure"] == "missing_days" and row["ordered_on"] == sunday]
    assert picked(closed, "verdict") == [("not judged: too few rows on such a day",)]


@pytest.mark.parametrize(("closed_before", "alarm"), [(0, True), (1, True), (2, False), (3, False)])
def test_a_weekday_that_was_closed_more_than_once_in_eight_weeks_may_be_closed_again(
    bench: Bench, closed_before: int, alarm: bool
) -> None:
    tuesday = NEWEST - timedelta(days=3)
    rows = gates(bench, {tuesday - timedelta(weeks=ago): NO_ROWS for ago in range(closed_before + 1)})
    [found] = (row for row in rows if row["measure"] == "missing_days" and row["ordered_on"] == tuesday)
    assert (found["verdict"], found["is_alarm"]) == (("too low", True) if alarm else ("as usual", False))


def test_silence_is_an_alarm_when_it_is_longer_than_ever_and_than_configured(bench: Bench) -> None:
    def after(days: int, **settings: Any) -> list[tuple[Any, ...]]:
        return alarms(gates(bench, today=NEWEST + timedelta(days=1 + days), **settings))

    assert after(2) == []
    assert after(3) == [("silence", "warn", "too high")]
    assert after(3, silent_days=3) == []
    assert after(1, silent_days=0) == []  # Sundays are silent too
    assert after(2, silent_days=0) == [("silence", "warn", "too high")]


def test_old_data_is_no_silence(bench: Bench) -> None:
    rows = gates(bench, today=date(2034, 1, 1))
    assert picked((row for row in rows if row["measure"] == "silence"), "verdict", "is_alarm") == [
        ("not judged: nothing here is recent", False)
    ]


@pytest.mark.parametrize(("silent_days", "verdict"), [(146, "too high"), (147, "not judged: nothing here is recent")])
def test_a_shop_may_be_silent_as_long_as_a_run_looks_back_before_its_data_counts_as_old(
    bench: Bench, silent_days: int, verdict: str
) -> None:
    rows = gates(bench, today=NEWEST + timedelta(days=1 + silent_days))
    assert picked((row for row in rows if row["measure"] == "silence"), "observed", "verdict") == [
        (silent_days, verdict)
    ]


def test_a_day_that_is_not_over_is_not_judged(bench: Bench) -> None:
    rows = gates(bench, {NEWEST: {"kept_rows": 9, "last_hour": 9.0}}, today=NEWEST)
    assert alarms(rows) == []
    verdicts = {row["verdict"] for row in rows if row["ordered_on"] == NEWEST and row["measure"] != "silence"}
    assert verdicts == {"not judged: the day is not over"}


@pytest.mark.parametrize(
    ("days", "verdict"),
    [
        (28, "not judged: too little history"),
        (42, "not judged: too little history"),
        (49, "too low"),
    ],
)
def test_too_little_history_is_not_judged_and_says_so(bench: Bench, days: int, verdict: str) -> None:
    rows = gates(bench, {NEWEST: {"kept_rows": 20}}, days=days)
    assert picked((r for r in rows if r["ordered_on"] == NEWEST and r["measure"] == "rows"), "verdict") == [(verdict,)]


def test_a_shop_of_few_rows_is_not_judged(bench: Bench) -> None:
    few = {NEWEST - timedelta(days=ago): {"kept_rows": 15} for ago in range(DAYS)}
    rows = gates(bench, {**few, NEWEST: {"kept_rows": 3}})
    assert alarms(rows) == []
    assert {r["verdict"] for r in rows if r["measure"] == "rows"} == {"not judged: too few rows on such a day"}


def test_the_first_load_warns_where_a_later_one_refuses(bench: Bench) -> None:
    assert alarms(gates(bench, {NEWEST: {"kept_rows": 61}}, passed=[])) == [("rows", "warn", "too low")]


def test_what_passed_before_is_no_news_until_it_changes(bench: Bench) -> None:
    odd = {NEWEST: {"kept_rows": 61}}
    passed = [{"ordered_on": NEWEST, "measure": "rows", "observed": 61}]
    rows = gates(bench, odd, passed=passed)
    assert alarms(rows) == []
    assert picked((row for row in rows if row["verdict"] == "too low"), "excused_because") == [("passed before",)]
    assert alarms(gates(bench, {NEWEST: {"kept_rows": 60}}, passed=passed)) == [("rows", "error", "too low")]


def test_an_error_does_not_expire_while_new_days_arrive(bench: Bench) -> None:
    for ago in (0, 10, 34):
        day = NEWEST - timedelta(days=ago)
        assert alarms(gates(bench, {day: {"line_amount": 995}})) == [("line_amount", "error", "too high")]


def test_an_accepted_day_is_no_alarm_whatever_it_brought(bench: Bench) -> None:
    rows = gates(bench, {NEWEST: {"kept_rows": 61, "last_hour": 10}}, accepted_days=[NEWEST])
    assert alarms(rows) == []
    odd = [row for row in rows if row["verdict"] == "too low"]
    assert picked(odd, "measure", "excused_because") == [
        ("last_hour", "accepted in clv.yaml"),
        ("rows", "accepted in clv.yaml"),
    ]


def test_severity_is_the_users_choice(bench: Bench) -> None:
    odd = {NEWEST: {"kept_rows": 61, "without_customer": 0.5}}
    found = alarms(gates(bench, odd, rows="warn", without_customer="error"))
    assert found == [("rows", "warn", "too low"), ("without_customer", "error", "too high")]
    assert alarms(gates(bench, odd, rows="ignore", without_customer="ignore")) == []


def test_both_severities_are_checks_of_their_own_and_tell_the_findings(bench: Bench) -> None:
    gates(bench, {NEWEST: {"kept_rows": 61, "without_customer": 0.5}})
    error, warning = (check for check in bench.checks("volume_gates") if not check.passed)
    assert (error.check, error.blocks) == ("new_days_are_as_usual", True)
    assert (warning.check, warning.blocks) == ("new_days_are_nearly_as_usual", False)
    assert "Friday 2024-05-31: rows kept 61" in error.observed
    assert "share without customer 0.50" not in error.observed
    assert "Friday 2024-05-31: share without customer 0.50, expected at most 0.25" in warning.observed


def test_a_day_of_which_nothing_is_kept_is_no_missing_day_but_an_error(bench: Bench) -> None:
    nothing_kept = NO_ROWS | {"arrived_rows": 218, "without_customer": 0, "rejected": 1}
    rows = gates(bench, {NEWEST: nothing_kept})
    assert ("kept", "error", "too low") in alarms(rows)
    assert "missing_days" not in {row["measure"] for row in rows if row["ordered_on"] == NEWEST}
    assert picked((r for r in rows if r["ordered_on"] == NEWEST and r["measure"] == "rows"), "verdict") == [
        ("not judged: no row is kept",)
    ]
    (finding,) = (row["finding"] for row in rows if row["is_alarm"] and row["measure"] == "kept")
    assert finding.startswith("Friday 2024-05-31: share of the arrived rows that is kept 0.00, expected at least 0.")
    assert alarms(gates(bench, {NEWEST: nothing_kept}, accepted_days=[NEWEST])) == []
    assert not any(severity == "error" for _, severity, _ in alarms(gates(bench, {NEWEST: nothing_kept}, kept="warn")))
