"""Sums are wider than what is added up: no legal amount or quantity ends in a conversion error."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

from clv_pipeline_tests.helpers.sql_bench import Bench, models, picked, purchase, sale

LARGEST = Decimal("99999999999999.9999")
"""The largest amount that a raw row can hold."""

NOT_ADDED_UP = {
    *(("raw_transactions", name) for name in ("quantity", "unit_price", "amount")),
    *((table, name) for table in ("rejected_at_sight", "rejected_transactions") for name in ("quantity", "unit_price")),
    *((table, "amount") for table in ("rejected_at_sight", "rejected_transactions")),
    *(("cleaned_transactions", name) for name in ("quantity", "unit_price", "amount", "amount_cut")),
    *(("cleaned_transactions", name) for name in ("cost", "costed_amount")),
    *((table, "cost") for table in ("raw_transactions", "converted_transactions")),
    *((table, "cost") for table in ("rejected_at_sight", "rejected_transactions")),
    *((table, "original_amount") for table in ("rejected_at_sight", "rejected_transactions", "cleaned_transactions")),
    *(("converted_transactions", name) for name in ("quantity", "unit_price", "amount", "rate")),
    *(("converted_transactions", f"original_{name}") for name in ("unit_price", "amount")),
    *((table, "rate") for table in ("currency_rates", "daily_rates")),
    ("daily_volumes", "line_amount"),
    ("outlier_fence", "upper_amount"),
    *(("campaign_settings", name) for name in ("budget", "cost_per_contact", "assumed_uplift")),
    *(("campaign_plan", name) for name in ("cost_per_contact", "cumulative_cost", "assumed_uplift")),
    *(("contact_costs", channel) for channel in ("email", "letter", "telephone")),
    *(("campaigns", name) for name in ("cost_per_contact", "asked_budget", "assumed_uplift")),
    *((table, "assumed_uplift") for table in ("campaign_results", "segment_uplifts")),
    ("raw_costs", "amount"),
    *((table, "cost_per_contact") for table in ("segment_advice", "segment_profiles", "segment_actions")),
}
"""Columns of a row's own values and of settings, and what these bound: costs stay within the budget."""


def test_only_what_is_not_added_up_has_the_width_of_a_row() -> None:
    narrow = {
        (name, column.name)
        for name, model in models().items()
        for column in model.contract.columns
        if column.type.startswith("DECIMAL(") and int(column.type[8:].partition(",")[0]) < 28
    }
    assert narrow == NOT_ADDED_UP


def test_two_amounts_on_one_day_may_pass_the_width_of_one(bench: Bench) -> None:
    lines = [sale(2, amount="90000000000000"), sale(3, amount="90000000000000", product_id="cup")]
    bench.given_raw(lines)
    bench.given_parameters()
    for model in ("outlier_fence", "rejected_transactions", "cleaned_transactions"):
        bench.run(model)
    assert picked(bench.run("customer_days"), "revenue") == [(Decimal(180_000_000_000_000),)]
    assert picked(bench.run("row_ledger"), "outcome", "amount") == [("kept", Decimal(180_000_000_000_000))]
    assert bench.failed_checks("customer_days") == []


def test_quantities_are_added_up_without_a_limit_too(bench: Bench) -> None:
    line = {"customer_id": "ann", "ordered_on": "2024-01-05", "order_id": "1", "amount": 1, "quantity": LARGEST}
    bench.given("cleaned_transactions", [line | {"source_line": number} for number in range(2, 5)])
    assert picked(bench.run("customer_days"), "quantity") == [(3 * LARGEST,)]


def test_what_customers_and_shops_spend_may_pass_the_width_of_one_amount(bench: Bench) -> None:
    first = date(2024, 1, 1)
    days = [purchase(who, first + timedelta(days=n), 9 * LARGEST) for n in range(40) for who in ("ann", "bob")]
    bench.given("customer_days", days)
    bench.given("history_span", [{"first_day": first, "last_day": date(2024, 2, 9), "as_of": date(2024, 2, 9)}])
    customers = bench.run("rfm")
    assert picked(customers, "revenue") == [(360 * LARGEST,)] * 2
    assert picked(bench.run("revenue_distribution"), "slice", "revenue")[0] == ("decile 1", 360 * LARGEST)
    months = [row for row in bench.run("sales_trends") if row["period"] == "month"]
    assert sum(row["revenue"] for row in months) == 720 * LARGEST
    assert bench.run("cohorts")[-1]["cumulative_revenue"] == 720 * LARGEST


def test_forecasts_of_such_customers_may_be_as_large(bench: Bench) -> None:
    expected = 5e16
    bench.given("segments", [{"customer_id": who, "segment": "Loyal"} for who in ("ann", "bob")])
    bench.given("rfm", [{"customer_id": who, "revenue": 9 * LARGEST, "frequency": 3} for who in ("ann", "bob")])
    forecast = {"horizon_days": 365, "expected_spend": expected, "clv": expected}
    bench.given("clv_forecasts", [forecast | {"customer_id": who} for who in ("ann", "bob")])
    bench.given("contact_costs", [{"email": 0, "letter": 1, "telephone": 1}])
    bench.run("segment_advice")
    [profile] = bench.run("segment_profiles")
    assert profile["expected_spend"] == profile["clv"] == 2 * int(expected)
    bench.given_parameters(margin=0.4)
    [action] = bench.run("segment_actions")
    assert action["max_spend"] == 2 * int(expected)
    assert action["max_spend_per_customer"] == int(expected)


def test_what_a_segment_may_cost_is_exact_beyond_the_digits_of_a_double(bench: Bench) -> None:
    margin = Decimal("7000000000000000000003.4567")
    profile = {"segment": "Loyal", "customers": 7, "horizon_days": 365, "expected_spend": margin, "clv": margin}
    bench.given("segment_profiles", [profile])
    bench.given("segments", [])
    bench.given("contact_costs", [{"email": 0, "letter": 1, "telephone": 1}])
    bench.given("clv_forecasts", [])
    bench.given_parameters(margin=0.4)
    [action] = bench.run("segment_actions")
    assert action["max_spend_per_customer"] == Decimal("1000000000000000000000.49")
    assert action["max_spend"] == 7 * action["max_spend_per_customer"]
