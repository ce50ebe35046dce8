"""Every suggestion comes where it should and nowhere else, and says what to do."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date
from typing import Any

import polars as pl
import pytest

from clv_pipeline.evaluation.refinement import CODES, SUGGESTIONS_SCHEMA, Situation, suggestions

SEGMENTS = pl.DataFrame(
    [
        (None, 90, 12, 1_000.0, 10_500.0, 10_000.0, 500.0, 0.05),
        ("Champions", 90, 12, 100.0, 6_000.0, 6_100.0, 100.0, 0.02),
        ("Lost", 90, 12, 500.0, 500.0, 420.0, 80.0, 0.19),
    ],
    schema={
        "segment": pl.String,
        "horizon_days": pl.Int64,
        "past_dates": pl.Int64,
        "customers": pl.Float64,
        "forecast": pl.Float64,
        "actual": pl.Float64,
        "missed": pl.Float64,
        "off_by": pl.Float64,
    },
    orient="row",
)

GOOD = Situation(
    mapped=frozenset({"money", "customers", "events", "channel", "cost", "order_id", "country"}),
    first_day=date(2022, 1, 1),
    as_of=date(2024, 6, 30),
    months_seen_twice=12,
    horizons_days=frozenset({30, 90}),
    tested_days=frozenset({30, 90}),
    models=frozenset({"own_rate", "hybrid"}),
    champion="hybrid",
    why_code="preferred_stands",
    why_facts={"skill": 0.3, "skill_error": 0.02, "skill_dates": 12},
    gini=0.6,
    auc=0.8,
    regularity=1,
    elasticity=0.05,
    segments=SEGMENTS,
    outcomes={"kept": 960, "no customer": 30, "exact duplicate": 10},
)
"""A shop of which there is nothing to suggest."""

BETTER_RULE = {"better_rule": "own_rate", "rule_difference": -0.12, "rule_error": 0.04, "rule_dates": 12}


def segment(*, forecast: float, actual: float = 400.0, customers: float = 50.0, past_dates: int = 12) -> pl.DataFrame:
    error = abs(forecast - actual)
    row = [("At Risk", 90, past_dates, customers, forecast, actual, error, error / actual if actual else None)]
    return pl.concat([SEGMENTS, pl.DataFrame(row, schema=SEGMENTS.schema, orient="row")])


def facts_of(situation: Situation) -> dict[str, dict[str, Any]]:
    found = suggestions(situation)
    return {code: json.loads(facts) for code, facts in found.select("suggestion_code", "suggestion_facts").iter_rows()}


def without(*names: str) -> Situation:
    return replace(GOOD, mapped=GOOD.mapped - set(names))


APPEARS: list[tuple[str, Situation, dict[str, Any]]] = [
    ("customers_alike", replace(GOOD, why_code="no_skill"), {"skill": 0.3, "skill_error": 0.02, "skill_dates": 12}),
    ("customers_alike", replace(GOOD, gini=0.05), {"normalized_gini": 0.05, "auc": 0.8}),
    ("customers_alike", replace(GOOD, gini=None, auc=0.52), {"normalized_gini": None, "auc": 0.52}),
    (
        "simple_rule_better",
        replace(GOOD, why_code="simple_rule_better", why_facts=BETTER_RULE),
        {"champion": "hybrid", "better_rule": "own_rate", "gain": 0.12, "standard_error": 0.04, "past_dates": 12},
    ),
    (
        "rows_rejected",
        replace(GOOD, outcomes={"kept": 90, "no customer": 7, "exact duplicate": 3}),
        {"rows": 100, "rejected_rows": 10, "share": 0.1, "main_reason": "no customer", "main_reason_rows": 7},
    ),
    (
        "horizon_not_tested",
        replace(GOOD, horizons_days=frozenset({30, 90, 180, 365})),
        {"untested_days": [180, 365], "longest_untested_days": 365, "longest_tested_days": 90},
    ),
    ("horizon_not_tested", replace(GOOD, tested_days=frozenset()), {"longest_tested_days": None}),
    (
        "history_short_for_season",
        replace(GOOD, first_day=date(2024, 6, 1), months_seen_twice=0),
        {"history_days": 30, "months_seen_twice": 0, "two_years_on": "2026-06-01"},
    ),
    ("history_short_for_season", replace(GOOD, months_seen_twice=11), {"history_days": 912, "months_seen_twice": 11}),
    (
        "segment_forecast_badly",
        replace(GOOD, segments=segment(forecast=600.0)),
        {"segment": "At Risk", "horizon_days": 90, "past_dates": 12, "bias": 0.5, "also": []},
    ),
    (
        "segment_forecast_badly",
        replace(GOOD, segments=segment(forecast=200.0)),
        {"segment": "At Risk", "bias": -0.5, "error": 0.5, "customers": 50},
    ),
    ("regular_purchases", replace(GOOD, regularity=3), {"regularity": 3, "is_compared": False}),
    (
        "regular_purchases",
        replace(GOOD, regularity=2, models=GOOD.models | {"regular_nbd"}),
        {"regularity": 2, "is_compared": True},
    ),
    ("spend_depends_on_frequency", replace(GOOD, elasticity=1.0), {"elasticity": 1.0, "per_doubling": 1.0}),
    ("spend_depends_on_frequency", replace(GOOD, elasticity=-1.0), {"elasticity": -1.0, "per_doubling": -0.5}),
    ("add_customer_attributes", without("customers"), {"input": "customers"}),
    ("add_events", without("events"), {"input": "events"}),
    ("add_channel", without("channel"), {"input": "channel"}),
    ("add_cost", without("cost"), {"input": "cost"}),
    ("add_order_id", without("order_id"), {"input": "order_id"}),
    ("add_country", without("country"), {"input": "country"}),
    # Without money, nobody asks for cost.
    ("map_money", without("money", "cost"), {"input": "money"}),
]

ABSENT: list[tuple[str, Situation]] = [
    ("customers_alike", replace(GOOD, gini=None, auc=0.56)),
    ("customers_alike", replace(GOOD, gini=None, auc=None)),
    ("rows_rejected", replace(GOOD, outcomes={"kept": 10})),
    ("history_short_for_season", replace(GOOD, first_day=date(2022, 7, 1))),
    ("horizon_not_tested", replace(GOOD, horizons_days=frozenset({30}))),
    ("segment_forecast_badly", replace(GOOD, segments=segment(forecast=490.0))),
    ("segment_forecast_badly", replace(GOOD, segments=segment(forecast=600.0, customers=29.0))),
    ("segment_forecast_badly", replace(GOOD, segments=segment(forecast=600.0, past_dates=2))),
    # Far off, but of next to nothing.
    ("segment_forecast_badly", replace(GOOD, segments=segment(forecast=100.0, actual=10.0))),
    ("segment_forecast_badly", replace(GOOD, segments=segment(forecast=600.0, actual=0.0))),
    ("segment_forecast_badly", replace(GOOD, segments=SEGMENTS.clear())),
    ("regular_purchases", replace(GOOD, regularity=5, champion="regular_nbd")),
    ("spend_depends_on_frequency", replace(GOOD, elasticity=None)),
]


def test_of_a_good_shop_there_is_nothing_to_suggest() -> None:
    found = suggestions(GOOD)
    assert found.is_empty()
    assert found.schema == SUGGESTIONS_SCHEMA


@pytest.mark.parametrize(("code", "situation", "facts"), APPEARS)
def test_a_suggestion_comes_alone_where_it_should_with_its_facts(
    code: str, situation: Situation, facts: dict[str, Any]
) -> None:
    found = facts_of(situation)
    assert set(found) == {code}
    assert found[code] | facts == found[code]


@pytest.mark.parametrize(("code", "situation"), ABSENT)
def test_a_suggestion_stays_away_where_it_says_nothing(code: str, situation: Situation) -> None:
    assert code not in facts_of(situation)


def test_every_code_is_tried() -> None:
    assert {code for code, *_ in APPEARS} == set(CODES)


def test_sentences_say_what_was_found_and_what_to_do() -> None:
    told = {code: suggestions(situation)["suggestion"][0] for code, situation, _ in reversed(APPEARS)}
    assert told["rows_rejected"] == (
        "10% of the rows were rejected, most of them for one reason: no customer. See rejected_transactions: mend the"
        " source or its mapping if these are purchases, and else filter them out with where."
    )
    assert "own_rate had 12% lower losses than hybrid over 12 past dates" in told["simple_rule_better"]
    assert (
        "Most was missed with At Risk: over 12 past dates its total of 90 days was off by 50% on average, and too high"
        in told["segment_forecast_badly"]
    )
    assert "plan with the forecast of 90 days" in told["horizon_not_tested"]
    assert "spends +100.0% per purchase" in told["spend_depends_on_frequency"]
    assert "Add regular_nbd, which does, to models" in told["regular_purchases"]
    for sentence in told.values():
        assert "{" not in sentence
        assert "None" not in sentence
        assert sentence.endswith(".")


def test_the_most_urgent_comes_first() -> None:
    many = replace(
        without("events", "country"), why_code="no_skill", months_seen_twice=3, outcomes={"kept": 1, "no customer": 1}
    )
    found = suggestions(many)
    assert found["rank"].to_list() == [1, 2, 3, 4, 5]
    codes = found["suggestion_code"].to_list()
    assert codes == ["customers_alike", "rows_rejected", "history_short_for_season", "add_events", "add_country"]


def test_the_worst_segment_is_the_one_that_most_money_is_missing_of() -> None:
    loyal = segment(forecast=1_000.0).tail(1).with_columns(segment=pl.lit("Loyal"))
    two = pl.concat([segment(forecast=600.0), loyal])
    found = facts_of(replace(GOOD, segments=two))["segment_forecast_badly"]
    assert (found["segment"], found["also"]) == ("Loyal", ["At Risk"])


def test_errors_of_a_segment_do_not_cancel_over_past_dates() -> None:
    """Its forecasts were half too high, then half too low: in sum they were right."""
    swings = segment(forecast=400.0).with_columns(
        missed=pl.when(segment="At Risk").then(200.0).otherwise("missed"),
        off_by=pl.when(segment="At Risk").then(0.5).otherwise("off_by"),
    )
    assert facts_of(replace(GOOD, segments=swings))["segment_forecast_badly"]["error"] == 0.5


def test_a_history_that_has_every_month_twice_is_not_called_short() -> None:
    """730 days, the first one included, begin 729 days ago."""
    two_years = replace(GOOD, first_day=date(2022, 7, 2), as_of=date(2024, 6, 30))
    assert "history_short_for_season" not in facts_of(two_years)
