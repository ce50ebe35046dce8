"""The first screen says what the tables say, in plain sentences, and what stands against the forecasts.

Its sentences are put together here a second time, from plain queries, and have to be the same to the letter.
"""

from __future__ import annotations

import html
import json
import re
from datetime import date, timedelta
from typing import Any

import duckdb
import pytest

from clv_pipeline.display import Display
from clv_pipeline.publication.report.page import render, summary_lines
from clv_pipeline_tests.publication.report.conftest import Published

ENGLISH = Display()
HORIZON = 90


def one(tables: duckdb.DuckDBPyConnection, query: str, *values: Any) -> Any:
    """The only row of a query; its only value if it has one."""
    [row] = tables.execute(query, list(values)).fetchall()
    return row[0] if len(row) == 1 else row


def first_screen(tables: duckdb.DuckDBPyConnection, display: Display = ENGLISH) -> tuple[list[str], list[str], str]:
    """The doubts, the sentences, and the whole text of the first screen, without markup."""
    screen = render(tables, display).partition('<section id="summary">')[2].partition("</section>")[0]
    doubts = re.findall(r'<p class="assumption">(.*?)</p>', screen, flags=re.DOTALL)
    sentences = re.findall(r"<li>(.*?)</li>", screen, flags=re.DOTALL)
    return [text(doubt) for doubt in doubts], [text(sentence) for sentence in sentences], text(screen)


def text(markup: str) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]+>", "", markup)).split())


def money(amount: Any) -> str:
    return ENGLISH.money(float(amount))


def revenue_between(tables: duckdb.DuckDBPyConnection, after: date, upto: date) -> float:
    return float(
        one(tables, "select sum(revenue) from sales_by_day where calendar_day > ? and calendar_day <= ?", after, upto)
    )


def test_every_sentence_is_what_plain_queries_say(copy: duckdb.DuckDBPyConnection) -> None:
    copy.execute(
        "insert into served_accuracy by name select * replace (cutoff - 30 as cutoff, value / 2 as value)"
        " from served_accuracy"
    )
    as_of, customers, revenue = one(copy, "select max(as_of), count(*), sum(revenue) from rfm")
    spend, lower, upper, level = one(
        copy,
        "select expected_spend, spend_lower, spend_upper, interval_level from forecast_totals where horizon_days = ?",
        HORIZON,
    )
    buyers = one(copy, "select sum(p_purchase) from clv_forecasts where horizon_days = ?", HORIZON)
    last_year = as_of.replace(year=as_of.year - 1)
    last = revenue_between(copy, as_of - timedelta(days=HORIZON), as_of)
    earlier = revenue_between(copy, last_year - timedelta(days=HORIZON), last_year)
    before = revenue_between(copy, last_year, last_year + timedelta(days=HORIZON))
    errors = [
        error
        for (error,) in copy.execute(
            "select value from served_accuracy where horizon_days = ? and target = 'spend' and group_kind = 'all'"
            " and metric = 'absolute_bias' order by cutoff",
            [HORIZON],
        ).fetchall()
    ]
    rule = one(
        copy,
        "select avg(value) from served_accuracy where horizon_days = ? and target = 'spend' and group_kind = 'all'"
        " and metric = 'best_rule_absolute_bias'",
        HORIZON,
    )
    at_risk, stake, brought = one(
        copy,
        "select count(*), sum(value_at_stake), sum(revenue) from segments join rfm using (customer_id) where at_risk",
    )
    segment, of_segment, stake_of_segment = one(
        copy,
        "select segment, count(*), sum(value_at_stake) from segments where at_risk group by segment order by 3 desc"
        " limit 1",
    )
    action, channel = one(copy, "select recommended_action, channel from segment_actions where segment = ?", segment)
    month, of_month, bought, new = one(
        copy,
        "select calendar_month, revenue, customers, new_customers from sales_by_month where not is_partial"
        " order by 1 desc limit 1",
    )
    of_last_year = one(
        copy, "select revenue from sales_by_month where calendar_month = ?", month.replace(year=month.year - 1)
    )
    tenth = one(copy, "select revenue_share from revenue_deciles where decile = 1")
    assert len(errors) == 2
    _, sentences, _ = first_screen(copy)
    assert sentences == [
        f"Today's customers will probably spend about {money(spend)} in the next {HORIZON} days ({level:.0%} range:"
        f" {money(lower)} to {money(upper)}); about {buyers:,.0f} of {customers:,} will buy.",
        f"The {HORIZON} days of the forecast, a year earlier, brought {money(before)} from all customers, those"
        " included who were new then.",
        f"In the last {HORIZON} days all customers spent {money(last)}; in those {HORIZON} days a year earlier"
        f" {money(earlier)}.",
        f"In 2 past tests the {HORIZON}-day total missed by {errors[0]:.1%} and {errors[1]:.1%} (on average"
        f" {sum(errors) / 2:.1%}); the best simple rule missed by {rule:.1%} on average.",
        f"{at_risk:,} customers are at risk: overdue by their own rhythm, after spending {money(brought)} in all. At"
        f" their own rate they would bring {money(stake)} more within {HORIZON} days than is forecast of them. That is"
        " the most there is to win back, not what will be lost.",
        f"Most is at stake with {segment} ({of_segment:,} customers, {money(stake_of_segment)}): {action} ({channel}).",
        f"In {month:%B %Y}, the last whole month, {bought:,} customers bought for {money(of_month)}:"
        f" {of_month / of_last_year - 1:+.1%} on the same month of last year ({money(of_last_year)});"
        f" {new / bought:.1%} of them were new.".replace(": -", ": −"),
        f"Up to {as_of:%B} {as_of.day}, {as_of.year}, {customers:,} customers spent {money(revenue)}; the best decile"
        f" of them brought {tenth:.1%} of it.",
    ]


def test_the_summary_of_a_run_has_the_doubts_and_sentences_of_the_page(
    published: Published, copy: duckdb.DuckDBPyConnection
) -> None:
    doubts, sentences, _ = first_screen(copy)
    told = summary_lines(published.database, ENGLISH)
    assert told == [*doubts, *sentences]


def choose(tables: duckdb.DuckDBPyConnection, code: str, **facts: Any) -> None:
    tables.execute(
        "update model_leaderboard set why_code = ?, why_facts = json_merge_patch(why_facts, ?) where is_champion",
        [code, json.dumps(facts)],
    )


@pytest.fixture
def undoubted(copy: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyConnection:
    """A shop with nothing against its forecasts."""
    choose(copy, "preferred_stands", difference=0.1, standard_error=0.05, other="own_rate", past_dates=2)
    copy.execute("update model_leaderboard set is_baseline = false")
    copy.execute("update served_accuracy set value = 9.0 where metric = 'best_rule_absolute_bias'")
    copy.execute("update rfm set first_purchase_date = as_of - 1000 where frequency = 0")
    assert first_screen(copy)[0] == []
    return copy


def test_a_model_that_a_simple_rule_beats_says_so_first(undoubted: duckdb.DuckDBPyConnection) -> None:
    choose(
        undoubted, "simple_rule_better", better_rule="last_window", rule_difference=-0.1, rule_error=0.02, rule_dates=2
    )
    model = one(undoubted, "select distinct model from model_leaderboard where is_champion")
    assert first_screen(undoubted)[0] == [
        f"On past dates the simple rule last_window forecast better than {model}, the best of the models, which serves."
    ]


def test_customers_who_cannot_be_told_apart_are_told_of_first(undoubted: duckdb.DuckDBPyConnection) -> None:
    choose(undoubted, "no_skill", skill=0.01, skill_error=0.02, skill_dates=2)
    assert first_screen(undoubted)[0] == [
        "Customers of this shop cannot be told apart yet: on past dates the same forecast for everybody was as good."
    ]


def test_a_rule_that_is_nearer_to_totals_is_told_of_first_also_without_skill(
    undoubted: duckdb.DuckDBPyConnection,
) -> None:
    """One does not hide the other, and the horizon of what customers are worth counts as well."""
    choose(undoubted, "no_skill", skill=0.01, skill_error=0.02, skill_dates=2)
    undoubted.execute("update served_accuracy set value = 0.1 where metric = 'best_rule_absolute_bias'")
    undoubted.execute("update served_accuracy set value = 0.2 where metric = 'absolute_bias' and group_kind = 'all'")
    alike, rule = first_screen(undoubted)[0]
    assert alike.startswith("Customers of this shop cannot be told apart yet")
    assert rule == (
        f"Over {HORIZON} days a simple rule was nearer to past totals: it missed by 10.0% on average, the forecasts by"
        " 20.0%."
    )


def test_accuracy_of_the_horizon_of_values_stands_beside_that_of_the_headline(
    undoubted: duckdb.DuckDBPyConnection,
) -> None:
    for table in ("served_accuracy", "forecast_totals", "clv_forecasts"):
        undoubted.execute(f"insert into {table} by name select * replace (365 as horizon_days) from {table}")
    undoubted.execute("update served_accuracy set value = 0.552 where metric = 'absolute_bias' and horizon_days = 365")
    undoubted.execute(
        "update served_accuracy set value = 0.255 where metric = 'best_rule_absolute_bias' and horizon_days = 365"
    )
    doubts, sentences, screen = first_screen(undoubted)
    assert (
        "Over 365 days a simple rule was nearer to past totals: it missed by 25.5% on average, the forecasts by"
        in (doubts[0])
    )
    assert (
        "Lists and values of customers are those of 365 days: totals of so many days missed by 55.2% on average, the"
        " best simple rule by 25.5%." in sentences
    )
    assert "over 365 days: 55.2%; best simple rule: 25.5%" in screen
    value = text(render(undoubted, ENGLISH).partition('<section id="value">')[2].partition("</section>")[0])
    assert "totals of so many days missed by 55.2%" in value or "the total of so many days missed by 55.2%" in value


def test_of_what_is_at_stake_that_of_people_who_are_left_alone_is_told(undoubted: duckdb.DuckDBPyConnection) -> None:
    undoubted.execute("update segments set contact_channel_code = 'none' where at_risk")
    stake = one(undoubted, "select sum(value_at_stake) from segments where at_risk")
    assert any(f"{money(stake)} of it is that of" in sentence for sentence in first_screen(undoubted)[1])


def test_one_customer_is_told_of_as_one(undoubted: duckdb.DuckDBPyConnection) -> None:
    undoubted.execute("update sales_by_month set customers = 1, new_customers = 0")
    german = " ".join(first_screen(undoubted, Display("de-DE"))[1])
    assert "kaufte ein Kunde für" in german
    assert "kauften 1 Kunden" not in german


def test_a_simple_rule_that_serves_is_told_of_first(undoubted: duckdb.DuckDBPyConnection) -> None:
    undoubted.execute("update model_leaderboard set is_baseline = true")
    [doubt] = first_screen(undoubted)[0]
    assert doubt.startswith("A simple rule serves (")


def test_a_horizon_that_was_never_tested_is_told_of_first(undoubted: duckdb.DuckDBPyConnection) -> None:
    undoubted.execute("delete from served_accuracy")
    doubts, sentences, screen = first_screen(undoubted)
    assert doubts == [f"Forecasts over {HORIZON} days were never tested: the history is too short."]
    assert "How good the forecasts are could not be tested yet: the history is too short." in sentences
    assert "not tested" in screen


def test_a_season_that_was_never_seen_is_told_of_first(undoubted: duckdb.DuckDBPyConnection) -> None:
    """Of the next 90 days, the last 30 are days of which the year before had none in the history."""
    as_of = one(undoubted, "select max(as_of) from rfm")
    begin = as_of.replace(year=as_of.year - 1) + timedelta(days=60)
    undoubted.execute("update rfm set first_purchase_date = greatest(first_purchase_date, ?)", [begin])
    assert first_screen(undoubted)[0] == [
        f"The history begins on {begin:%B} {begin.day}, {begin.year}: 60 of the next {HORIZON} days fall into a season"
        " that was never seen."
    ]


def test_the_page_speaks_german_in_euros(copy: duckdb.DuckDBPyConnection) -> None:
    copy.execute("update publication set currency = 'EUR'")
    spend = one(copy, "select expected_spend from forecast_totals where horizon_days = ?", HORIZON)
    written = render(copy, Display("de-DE"))
    assert '<html lang="de" dir="ltr">' in written
    assert Display("de-DE", currency="EUR").money(float(spend)) in html.unescape(written)
    assert "Today's customers" not in html.unescape(written)
