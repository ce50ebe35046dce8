"""Tables to build on: what was bought, returned and kept per customer and month, and segments as they were then."""

from __future__ import annotations

from collections import Counter
from datetime import date, timedelta
from decimal import Decimal

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clv_pipeline_tests.helpers.sql_bench import Bench, Row, converted, picked, window

QUICK = settings(max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture])
START, AS_OF = date(2024, 1, 20), date(2024, 4, 25)
MONTH_ENDS = [date(2024, 1, 31), date(2024, 2, 29), date(2024, 3, 31), AS_OF]
MONEY = ("gross_revenue", "returned_revenue", "net_revenue")
TABLES = ("sold_days", "customer_month_states", "month_end_segments", "dim_customer", "fact_customer_month")


LINES = st.lists(
    st.tuples(
        st.integers(0, 110), st.sampled_from([-40, -20, -10, 10, 20, 40]), st.sampled_from(["ann", "bob", "cid"])
    ),
    min_size=2,
    max_size=24,
).map(
    lambda drawn: [
        # Somebody has always bought something that stays.
        converted(0, START, 5, "dee"),
        *(
            converted(place, START + timedelta(days=days), amount, customer)
            for place, (days, amount, customer) in enumerate(drawn, start=1)
        ),
    ]
)


def built(bench: Bench, lines: list[Row], *, listed: list[Row] | None = None) -> dict[str, list[Row]]:
    """Every table from the lines to the facts; the promises of the facts hold."""
    bench.given_parameters(deduplicate=False, as_of=AS_OF)
    bench.given_converted(lines)
    for table in ("outlier_fence", "rejected_transactions", "cleaned_transactions", "customer_days", "customer_epochs"):
        bench.run(table)
    bench.given("history_span", [{"first_day": START, "last_day": AS_OF, "as_of": AS_OF}])
    bench.given("purchase_day_details", [])
    bench.given("raw_customers", listed or [])
    bench.given("forecast_windows", [window(cutoff, 30, is_complete=cutoff < AS_OF) for cutoff in MONTH_ENDS])
    customers = bench.run("rfm")
    bench.given("customer_attributes", [])
    for table in ("customer_features", "customer_rhythms", "customer_channels"):
        bench.run(table)
    named = bench.run("past_segments")
    bench.given(
        "segments", [{"customer_id": row["customer_id"], "segment": row["segment"]} for row in named if is_today(row)]
    )
    rows = {table: bench.run(table) for table in TABLES}
    sizes = Counter(row["segment"] for row in named if is_today(row))
    bench.given("segment_profiles", [{"segment": name, "customers": size} for name, size in sizes.items()])
    rows |= {table: bench.run(table) for table in ("segment_history", "segment_flows", "fact_orders")}
    broken = {table: failed for table in rows if (failed := bench.failed_checks(table))}
    assert not broken, broken
    return rows | {"rfm": customers, "past_segments": named}


def is_today(row: Row) -> bool:
    return bool(row["cutoff"] == AS_OF)


def total(rows: list[Row], column: str) -> Decimal:
    return sum((row[column] for row in rows), Decimal(0))


def test_who_returned_everything_has_bought_and_kept_nothing(bench: Bench) -> None:
    lines = [converted(1, START, 30), converted(2, START + timedelta(days=40), -30), converted(3, START, 10, "bob")]
    rows = built(bench, lines, listed=[{"customer_id": "ann", "attributes": '{"age":"44"}'}])
    told = ("customer_id", "cohort_month", "segment", "attributes", *MONEY)
    ann, bob = picked(rows["dim_customer"], *told)
    assert ann == ("ann", None, None, '{"age":"44"}', 30, 30, 0)
    assert (bob[:2], bob[3:]) == (("bob", date(2024, 1, 1)), (None, 10, 0, 10))
    assert picked(rows["rfm"], "customer_id") == [("bob",)]
    # In the month of her purchase she was a customer still.
    january = rows["fact_customer_month"][0]
    assert (january["orders"], january["purchase_days"], january["net_revenue"]) == (0, 0, 0)
    assert january["segment"] is not None
    assert customers_by_month(rows) == [2, 1, 1, 1]


def customers_by_month(rows: dict[str, list[Row]]) -> list[int]:
    months = Counter[date]()
    for row in rows["segment_history"]:
        months[row["calendar_month"]] += row["customers"]
    return [months[month] for month in sorted(months)]


def test_a_purchase_that_came_back_on_its_day_was_a_purchase(bench: Bench) -> None:
    rows = built(bench, [converted(1, START, 30), converted(2, START, -30), converted(3, START, 10, "bob")])
    assert picked(rows["dim_customer"], "customer_id", *MONEY) == [("ann", 30, 30, 0), ("bob", 10, 0, 10)]
    # She was no customer at the end of any month.
    assert picked(rows["fact_customer_month"], "customer_id", "segment")[0] == ("ann", None)


def test_a_return_is_taken_off_the_month_of_its_purchase(bench: Bench) -> None:
    lines = [
        converted(1, START, 30),
        converted(2, START + timedelta(days=20), 8),
        converted(3, START + timedelta(days=40), -10),
    ]
    rows = built(bench, lines)
    assert picked(rows["fact_customer_month"], "calendar_month", "orders", *MONEY, "net_margin") == [
        (date(2024, 1, 1), 1, 30, 2, 28, 28),
        (date(2024, 2, 1), 0, 8, 8, 0, 0),
    ]


@given(lines=LINES)
@QUICK
def test_money_of_customers_months_and_orders_is_that_of_the_kept_rows(bench: Bench, lines: list[Row]) -> None:
    rows = built(bench, lines)
    for table in ("dim_customer", "fact_customer_month", "fact_orders"):
        assert total(rows[table], "net_revenue") == total(rows["rfm"], "revenue")
        assert total(rows[table], "gross_revenue") - total(rows[table], "returned_revenue") == total(
            rows[table], "net_revenue"
        )
    bought = sum(row["amount"] for row in lines if row["amount"] > 0 and row["ordered_at"] <= str(AS_OF))
    assert total(rows["dim_customer"], "gross_revenue") == bought


@given(lines=LINES)
@QUICK
def test_segments_of_a_month_are_those_that_were_said_on_its_last_day(bench: Bench, lines: list[Row]) -> None:
    rows = built(bench, lines)
    said = {(row["cutoff"], row["customer_id"]): row["segment"] for row in rows["past_segments"]}
    sizes = Counter((cutoff, segment) for (cutoff, _), segment in said.items())
    assert {(row["month_end"], row["segment"]): row["customers"] for row in rows["segment_history"]} == dict(sizes)
    ends = {end.replace(day=1): end for end in MONTH_ENDS}
    for row in rows["fact_customer_month"]:
        assert row["segment"] == said.get((ends[row["calendar_month"]], row["customer_id"]))


@given(lines=LINES, later=LINES)
@QUICK
def test_what_comes_after_a_month_does_not_change_its_segments(
    bench: Bench, lines: list[Row], later: list[Row]
) -> None:
    end = MONTH_ENDS[2]

    def until_march(rows: list[Row]) -> list[Row]:
        return [row for row in built(bench, rows)["segment_history"] if row["month_end"] <= end]

    past = [row for row in lines if row["ordered_at"] <= str(end)]
    future = [row | {"source_line": 100 + row["source_line"]} for row in later if row["ordered_at"] > str(end)]
    assert until_march(past + future) == until_march(past)


def test_a_segment_that_differs_from_todays_breaks_the_contract(bench: Bench) -> None:
    rows = built(bench, [converted(1, START, 30), converted(2, START, 10, "bob")])
    changed = [row | {"segment": "Lost"} for row in rows["month_end_segments"]]
    bench.given("month_end_segments", changed)
    assert bench.failed_checks("month_end_segments") == ["segments_of_today_are_those_of_past_segments"]
    bench.given("segment_history", [row | {"segment": "Lost"} for row in rows["segment_history"]])
    assert bench.failed_checks("segment_history") == ["sizes_of_today_are_those_of_segment_profiles"]


def test_flows_say_who_came_stayed_moved_and_left(bench: Bench) -> None:
    lines = [
        converted(1, START, 30),
        converted(2, START, 10, "bob"),
        # Bought and returned everything in February; back in April.
        converted(3, START, 20, "cid"),
        converted(4, date(2024, 2, 10), -20, "cid"),
        converted(5, date(2024, 4, 10), 20, "cid"),
        converted(6, date(2024, 4, 20), 10, "bob"),
    ]
    rows = built(bench, lines)
    named = {(row["cutoff"], row["customer_id"]): row["segment"] for row in rows["past_segments"]}
    expected = Counter[tuple[date, str, str]]()
    for before, end in zip([None, *MONTH_ENDS], MONTH_ENDS, strict=False):
        for customer in ("ann", "bob", "cid"):
            was, is_now = named.get((before, customer)), named.get((end, customer))
            if was or is_now:
                pair = was or "not yet a customer", is_now or "no longer a customer"
                expected[end.replace(day=1), *pair] += 1
    flows = rows["segment_flows"]
    pairs = picked(flows, "calendar_month", "from_segment", "to_segment")
    assert dict(zip(pairs, (row["customers"] for row in flows), strict=True)) == dict(expected)
    assert [row["customers"] for row in flows if row["to_segment"] == "no longer a customer"] == [1]
    arrivals = [row for row in flows if row["from_segment"] == "not yet a customer"]
    assert [row["calendar_month"].month for row in arrivals for _ in range(row["customers"])] == [1, 1, 1, 4]
    assert {row["is_partial"] for row in flows if row["month_end"] == AS_OF} == {True}


def test_flows_are_of_the_last_twelve_months(bench: Bench) -> None:
    months = [date(2022 + month // 12, month % 12 + 1, 1) for month in range(30)]
    bench.given("history_span", [{"first_day": months[0], "as_of": date(2024, 6, 15)}])
    alike = {"first_purchase_date": months[0], "last_purchase_date": months[0], "frequency": 0}
    bench.given("customer_month_states", [{"customer_id": "ann", "calendar_month": months[0]} | alike])
    ends = [{"calendar_month": month, "month_end": month + timedelta(days=14), "segment": "Lost"} for month in months]
    bench.given("month_end_segments", [end | alike | {"customers": 1} for end in ends])
    flows = bench.run("segment_flows")
    assert picked(flows, "calendar_month", "from_segment", "customers") == [(m, "Lost", 1) for m in months[-12:]]


def test_flows_that_do_not_meet_the_sizes_of_segments_break_the_contract(bench: Bench) -> None:
    rows = built(bench, [converted(1, START, 30), converted(2, START, 10, "bob")])
    flows = rows["segment_flows"]
    bench.given("segment_flows", [row for row in flows if row["calendar_month"] != date(2024, 1, 1)])
    assert bench.failed_checks("segment_flows") == ["months_end_with_the_sizes_of_segment_history"]
    last = [row | {"from_segment": "Loyal"} if row["month_end"] == AS_OF else row for row in flows]
    bench.given("segment_flows", last)
    assert bench.failed_checks("segment_flows") == ["months_begin_with_the_sizes_of_segment_history"]


def test_money_that_is_lost_breaks_the_contracts(bench: Bench) -> None:
    rows = built(bench, [converted(1, START, 30), converted(2, START, 10, "bob")])
    bench.given("fact_customer_month", [row | {"net_revenue": 9} for row in rows["fact_customer_month"]])
    assert bench.failed_checks("fact_customer_month") == ["adds_up_to_dim_customer"]
    bench.given("fact_orders", rows["fact_orders"][:1])
    assert bench.failed_checks("fact_orders") == ["adds_up_to_dim_customer"]
    bench.given("dim_customer", [row | {"net_revenue": 9, "gross_revenue": 9} for row in rows["dim_customer"]])
    assert bench.failed_checks("dim_customer") == ["who_kept_something_is_in_rfm", "money_is_that_of_the_rows"]
    bench.given("dim_customer", [row | {"gross_revenue": 9} for row in rows["dim_customer"]])
    assert bench.failed_checks("dim_customer") == ["money_adds_up"]
    bench.given("sold_days", [row | {"returned_revenue": 9} for row in rows["sold_days"]])
    assert bench.failed_checks("sold_days") == ["gross_and_returned_are_those_of_the_rows"]


def test_an_order_has_a_row_per_product_and_a_return_one_of_its_own(bench: Bench) -> None:
    lines = [
        converted(1, START, 30) | {"order_id": "7", "product_id": "mug", "quantity": 2},
        converted(2, START, 12) | {"order_id": "7", "product_id": "cup", "quantity": 1},
        converted(3, START + timedelta(days=3), -15) | {"order_id": "7", "product_id": "mug", "quantity": -1},
    ]
    rows = built(bench, lines)
    assert picked(rows["fact_orders"], "ordered_on", "line_number", "product_id", "quantity", *MONEY) == [
        (START, 1, "cup", 1, 12, 0, 12),
        (START, 2, "mug", 2, 30, 0, 30),
        (START + timedelta(days=3), 1, "mug", -1, 0, 15, -15),
    ]
