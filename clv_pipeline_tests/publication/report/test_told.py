"""Pages say what the tables say, from codes and facts: in English to the letter."""

from __future__ import annotations

import json

import pytest

from clv_pipeline.display import ENGLISH, Display
from clv_pipeline.publication.told import SENTENCES, drivers_told, forecasts_told, told
from clv_pipeline_tests.helpers.said import customers, sentences
from clv_pipeline_tests.publication.report.conftest import Published

GERMAN = Display("de-DE", currency="EUR")


def test_every_published_sentence_is_said_from_its_code_and_facts(published: Published) -> None:
    said = list(sentences(published.database))
    assert [(column, stored) for column, stored, _ in said] == [(column, words) for column, _, words in said]
    columns = {column for column, _, _ in said}
    assert {"model_leaderboard.why", "forecast_totals.notes", "revenue_outlook.notes", "campaign_plan.basis"} <= columns


def test_what_is_said_of_every_customer_is_said_from_its_facts(published: Published) -> None:
    said = list(customers(published.database))
    assert len(said) > 100
    assert [stored for _, stored, _ in said] == [words for _, _, words in said]


def test_in_another_language_every_sentence_is_another(published: Published) -> None:
    for _, stored, words in sentences(published.database, GERMAN):
        assert words != stored
    assert any("Im Einsatz" in words for _, _, words in sentences(published.database, GERMAN))


def test_a_sentence_of_an_earlier_version_stays_as_it_stands() -> None:
    row = {"why": "It was the best.", "why_code": None, "why_facts": None}
    assert told(GERMAN, "champion_history", "why", row) == "It was the best."
    assert ("champion_history", "why") in SENTENCES


@pytest.mark.parametrize(
    ("facts", "english", "german"),
    [
        ([30, "most_likely_nothing", 0.0, 0.0, 0.31], "most likely nothing, buys with <1%, 0.00 to 0.31", "0,31 €"),
        ([365, "spends", 0.9999, 0.0, 4321.5], "spends 1,234, buys with >99%, 0.00 to 4,322", "Umsatz 1.234 €"),
        ([365, "spends", 0.75, None, None], "spends 1,234, buys with 75%", "kauft mit 75 %"),
        ([90, "most_likely_nothing", 0.2, None, None], "most likely nothing, buys with 20%", "20 %"),
    ],
)
def test_a_forecast_is_said_with_what_is_known(facts: list[object], english: str, german: str) -> None:
    written = json.dumps([[*facts, 1234.4]])
    assert forecasts_told(ENGLISH, written) == f"{facts[0]} days: {english}"
    assert german in forecasts_told(GERMAN, written).replace("\N{NO-BREAK SPACE}", " ")


def test_without_money_only_purchases_are_said() -> None:
    assert forecasts_told(ENGLISH, '[[1, "buys", 0.6, null, null, null]]') == "1 day: buys with 60%"
    facts = '[["recent_activity", "more", 3.00, 1.50], ["frequency", "less", 2, 5]]'
    assert drivers_told(ENGLISH, facts, has_money=False) == (
        "more expected: purchases in the last 365 days 3 (median 1.50); less expected: repeat purchases 2 (median 5)"
    )
    assert "spend in the last 365 days 3.00 (median 1.50)" in (drivers_told(ENGLISH, facts, has_money=True) or "")
    assert drivers_told(ENGLISH, None, has_money=False) is None
