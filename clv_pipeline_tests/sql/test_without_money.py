"""Without money: rows are kept, purchase days counted, amounts NULL; checks hold, and catch money that is made up."""

from __future__ import annotations

from datetime import date

from clv_pipeline_tests.helpers.sql_bench import Bench, picked, purchase, sale


def bare(source_line: int, **changes: object) -> dict[str, object]:
    """A raw line of a shop without money."""
    return sale(source_line, **{"quantity": None, "unit_price": None, "amount": None} | changes)


def test_lines_are_kept_and_booked_without_amounts(bench: Bench) -> None:
    bench.given_parameters(has_money=False)
    bench.given_raw([bare(2), bare(3, customer_id="bob"), bare(4, customer_id=None)])
    for table in ("outlier_fence", "rejected_transactions", "cleaned_transactions"):
        bench.run(table)
        assert bench.failed_checks(table) == []
    assert picked(bench.run("row_ledger"), "outcome", "rows", "amount", "amount_cut") == [
        ("kept", 2, None, None),
        ("no customer", 1, None, None),
    ]
    assert "kept_and_rejected_equal_raw" not in bench.failed_checks("row_ledger")


def test_money_of_files_that_are_gone_is_no_longer_told(bench: Bench) -> None:
    bench.given_parameters(has_money=False)
    bench.given_raw([bare(2), sale(3, customer_id="bob")])
    bench.run("outlier_fence")
    bench.run("rejected_transactions")
    kept = bench.run("cleaned_transactions")
    assert picked(kept, "unit_price", "amount", "amount_cut") == [(None, None, None)] * 2
    assert bench.failed_checks("cleaned_transactions") == []


def test_a_day_with_a_purchase_is_a_purchase_day(bench: Bench) -> None:
    bench.given_parameters(has_money=False)
    day = {"ordered_on": date(2024, 1, 5), "ordered_at": "2024-01-05 10:00:00"}
    bench.given("cleaned_transactions", [{"source_id": 1, "source_line": 2, "customer_id": "ann", **day}])
    assert picked(bench.run("customer_days"), "customer_id", "orders", "revenue") == [("ann", 1, None)]
    assert bench.failed_checks("customer_days") == []


def test_money_that_is_missing_or_made_up_is_caught(bench: Bench) -> None:
    bench.given("customer_days", [purchase("ann", date(2024, 1, 5), revenue=None)])
    assert bench.failed_checks("customer_days") == ["revenue_not_null"]
    bench.given_parameters(has_money=False)
    bench.given("customer_days", [purchase("ann", date(2024, 1, 5))])
    assert bench.failed_checks("customer_days") == ["revenue_not_null"]


def test_rfm_has_recency_and_frequency(bench: Bench) -> None:
    bench.given_parameters(has_money=False)
    days = [date(2024, 1, 5), date(2024, 2, 5), date(2024, 3, 5)]
    bench.given("customer_days", [purchase("ann", day, revenue=None) for day in days])
    bench.given("history_span", [{"first_day": days[0], "as_of": date(2024, 3, 31)}])
    [ann] = bench.run("rfm")
    assert (ann["frequency"], ann["days_since_last"], ann["r_score"], ann["f_score"]) == (2, 26, 5, 1)
    assert (ann["revenue"], ann["monetary_value"], ann["m_score"]) == (None, None, None)
    assert bench.failed_checks("rfm") == []
    assert bench.run("revenue_distribution") == []
    assert bench.failed_checks("revenue_distribution") == []


def test_periods_have_customers_and_no_revenue(bench: Bench) -> None:
    bench.given_parameters(has_money=False)
    bench.given("customer_days", [purchase("ann", date(2024, 1, day), revenue=None) for day in (5, 9)])
    bench.given("history_span", [{"first_day": date(2024, 1, 5), "as_of": date(2024, 1, 9)}])
    trends = bench.run("sales_trends")
    assert {row["revenue"] for row in trends} == {None}
    assert [row["customers"] for row in trends if row["period"] == "day"] == [1, 0, 0, 0, 1]
    assert bench.failed_checks("sales_trends") == []
    cohorts = bench.run("cohorts")
    assert picked(cohorts, "active_customers", "revenue", "cumulative_revenue") == [(1, None, None)]
    assert bench.failed_checks("cohorts") == []
