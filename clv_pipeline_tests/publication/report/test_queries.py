"""Queries of the report whose arithmetic can go wrong, on rows made for that."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any

import duckdb
import pytest

from clv_pipeline.publication.report.queries import QUERIES


def test_customers_are_counted_in_steps_of_1_2_and_5_with_their_lower_edge_included() -> None:
    amounts = ["-3", "0", "0.9999", "1", "1.9999", "2", "5", "9.9999", "10", "999.9999", "1000", "50000000000000"]
    with duckdb.connect() as connection:
        connection.execute("create table forecast_totals as select 90 as horizon_days")
        connection.execute(
            "create table clv_forecasts as select 90 as horizon_days, amount::decimal(18, 4) as clv"
            " from unnest($amounts) as listed (amount) union all select 30, 7",
            {"amounts": amounts},
        )
        found = connection.execute(QUERIES["clv"]).fetchall()

    assert [(step, customers) for _, step, customers, _ in found] == [
        (0, 3),
        (1, 2),
        (2, 1),
        (3, 2),
        (4, 1),
        (9, 1),
        (10, 1),
        (42, 1),
    ]
    assert {horizon_days for horizon_days, *_ in found} == {90}
    assert float(found[0][3]) == -2.0001


DAYS = (date(2024, 1, 31), date(2024, 3, 31))


@pytest.fixture
def judged() -> Iterator[duckdb.DuckDBPyConnection]:
    """Past dates over 90 and 365 days, of which 90 are asked for."""
    with duckdb.connect() as connection:
        connection.execute("create table forecast_totals as select unnest([30, 90]) as horizon_days")
        connection.execute("create table rfm as select 1 as revenue")
        connection.execute(
            "create table served_accuracy (cutoff date, horizon_days integer, model varchar, target varchar,"
            " metric varchar, group_kind varchar, group_name varchar, value double, customers integer)"
        )
        yield connection


def judge(connection: duckdb.DuckDBPyConnection, *rows: tuple[Any, ...]) -> None:
    """Rows of cutoff, horizon, target, metric, group kind and name, value and customers."""
    connection.executemany("insert into served_accuracy values (?, ?, 'hybrid', ?, ?, ?, ?, ?, ?)", list(rows))


def answers(connection: duckdb.DuckDBPyConnection, query: str) -> list[dict[str, Any]]:
    found = connection.execute(QUERIES[query])
    names = [column[0] for column in found.description or []]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def test_errors_of_totals_do_not_cancel_and_other_horizons_and_groups_do_not_count(
    judged: duckdb.DuckDBPyConnection,
) -> None:
    for day, bias in zip(DAYS, (0.1, -0.3), strict=True):
        judge(judged, (day, 90, "spend", "bias", "all", "all", bias, 10))
        judge(judged, (day, 90, "spend", "absolute_bias", "all", "all", abs(bias), 10))
        judge(judged, (day, 90, "spend", "absolute_bias", "decile", "1", 9.0, 1))
        judge(judged, (day, 90, "purchases", "absolute_bias", "all", "all", 9.0, 10))
        judge(judged, (day, 90, "spend", "best_rule_absolute_bias", "all", "all", 0.5, 10))
        judge(judged, (day, 365, "spend", "absolute_bias", "all", "all", 9.0, 10))
    [accuracy] = answers(judged, "accuracy")
    assert (accuracy["horizon_days"], accuracy["dates"], accuracy["is_headline"]) == (90, 2, True)
    assert (accuracy["off_by"], accuracy["worst"], accuracy["rule_off_by"]) == (pytest.approx(0.2), 0.3, 0.5)
    assert accuracy["mae"] is None


def test_totals_are_means_times_customers(judged: duckdb.DuckDBPyConnection) -> None:
    for metric, mean in (("predicted_mean", 2.5), ("actual_mean", 2.0)):
        judge(judged, (DAYS[0], 90, "spend", metric, "all", "all", mean, 10))
        judge(judged, (DAYS[0], 90, "purchases", metric, "all", "all", 99.0, 10))
    assert judged.execute(QUERIES["backtests"]).fetchall() == [(90, DAYS[0], 25.0, 20.0, "spend")]


def test_probabilities_are_pooled_over_past_dates_by_customers(judged: duckdb.DuckDBPyConnection) -> None:
    for day, customers, share in ((DAYS[0], 10, 0.1), (DAYS[1], 30, 0.5)):
        for target, metric in (("purchase", "predicted_mean"), ("alive", "predicted_mean"), ("alive", "bought")):
            judge(judged, (day, 90, target, metric, "p_class", "0.1-0.2", share, customers))
    judge(judged, (DAYS[0], 30, "alive", "bought", "p_class", "0.1-0.2", 0.9, 10))
    [pooled] = answers(judged, "probabilities")
    assert (pooled["p_class"], pooled["customers"]) == ("0.1-0.2", 40)
    assert [pooled[name] for name in ("p_purchase", "p_alive", "bought")] == pytest.approx([0.4] * 3)


def test_groups_stand_by_kind_and_tenths_in_their_order(judged: duckdb.DuckDBPyConnection) -> None:
    names = [("decile", "10"), ("decile", "best 1 %"), ("decile", "2"), ("age", "0-30 days"), ("segment", "Lost")]
    for kind, name in [*names, ("p_class", "0.1-0.2"), ("all", "all")]:
        judge(judged, (DAYS[0], 90, "spend", "coverage", kind, name, 0.8, 10))
    assert [(row["group_kind"], row["group_name"]) for row in answers(judged, "groups")] == [
        ("segment", "Lost"),
        ("age", "0-30 days"),
        ("decile", "best 1 %"),
        ("decile", "2"),
        ("decile", "10"),
    ]


def test_groups_have_their_customers_and_totals_by_past_date_however_many_they_are(
    judged: duckdb.DuckDBPyConnection,
) -> None:
    """Sums of customers over past dates were wrapped to 16 bits; who is in the best 1 % is in the first tenth."""
    for day in DAYS:
        for metric, mean in (("predicted_mean", 3.0), ("actual_mean", 2.0)):
            judge(judged, (day, 90, "spend", metric, "country", "United Kingdom", mean, 30_000))
            judge(judged, (day, 90, "spend", metric, "value", "best 1 %", mean, 300))
    assert [tuple(row.values()) for row in answers(judged, "group_errors")] == [
        ("country", "United Kingdom", day, 30_000, 90_000.0, 60_000.0) for day in DAYS
    ]


def test_a_cluster_is_told_with_the_share_of_what_is_most_frequent(judged: duckdb.DuckDBPyConnection) -> None:
    judged.execute(
        "create table customer_overview as select 1 as cluster, 'a' as cluster_name, 'b' as cluster_name_code,"
        " '{}' as cluster_name_facts, segment, action as recommended_action"
        " from (values ('At Risk', 'Win back'), ('At Risk', 'Wait'), ('Lost', 'Wait'), ('Loyal', 'Wait'))"
        " as listed (segment, action)"
    )
    [reading] = answers(judged, "cluster_readings")
    assert (reading["segment"], reading["segment_share"]) == ("At Risk", 0.5)
    assert (reading["recommended_action"], reading["action_share"]) == ("Wait", 0.75)
