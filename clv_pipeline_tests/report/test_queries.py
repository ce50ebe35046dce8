"""Queries of the report whose arithmetic can go wrong, on rows made for that."""

from __future__ import annotations

import duckdb

from clv_pipeline.report.queries import QUERIES


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
