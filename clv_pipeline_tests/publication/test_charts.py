"""Charts: they hold what they draw and nothing about single customers, and they say what they show."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, timedelta
from functools import cache, partial
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from clv_pipeline.publication import charts
from clv_pipeline.publication.charts.look import percent, short
from clv_pipeline.publication.charts.pictures import specified, to_png, to_svg
from clv_pipeline.publication.charts.value_bins import value_bins
from clv_pipeline_tests.helpers.odd_texts import arbitrary_texts, with_texts

if TYPE_CHECKING:
    from altair.typing import ChartType

HORIZONS = (30, 90, 180, 365)


def steps(**counts: int) -> pl.DataFrame:
    """Customers by step, as step_3=7; each brings 2."""
    rows = [(90, int(name.removeprefix("step_")), count, 2.0 * count) for name, count in counts.items()]
    return pl.DataFrame(rows, schema=["horizon_days", "step", "customers", "value"], orient="row")


def calibration() -> pl.DataFrame:
    rows = [(h, d, 1.5 ** (11 - d) * h, 1.6 ** (11 - d) * h) for h in HORIZONS for d in range(1, 11)]
    columns = ["horizon_days", "decile", "predicted_mean", "actual_mean"]
    return pl.DataFrame(rows, schema=columns, orient="row")


def skills() -> pl.DataFrame:
    models = ["hybrid", "hybrid_neural", "regular_nbd", "same_window_last_year"]
    values = (0.4, 0.31, 0.3, -2.9)
    rows = [(h, m, value, m == "hybrid") for h in HORIZONS for m, value in zip(models, values, strict=True)]
    return pl.DataFrame(rows, schema=["horizon_days", "model", "skill", "is_champion"], orient="row")


def weeks(past: int = 100, ahead: int = 52) -> pl.DataFrame:
    rows = [(date(2024, 1, 7) + timedelta(7 * n), 10 if n < past else None, 9.0, 8.0) for n in range(past + ahead)]
    columns = ["week_ends", "purchases", "expected", "expected_process"]
    return pl.DataFrame(rows, schema=columns, orient="row").with_columns(
        cumulative_purchases=pl.when(pl.col("purchases").is_not_null()).then(pl.col("purchases").cum_sum()),
        cumulative_expected=pl.col("expected").cum_sum(),
        cumulative_process=pl.col("expected_process").cum_sum(),
    )


def months_ahead(ahead: int = 12) -> pl.DataFrame:
    rows = [
        (date(2024 + n // 12, n % 12 + 1, 1), 0, 80, 20, 100, 70, 140, 90 if n < 10 else None) for n in range(ahead)
    ]
    columns = ["month", "revenue_so_far", "known_revenue", "new_revenue", "total_revenue", "total_lower"]
    return pl.DataFrame(rows, schema=[*columns, "total_upper", "last_year_revenue"], orient="row")


def p_classes() -> pl.DataFrame:
    rows = [(90, f"0.{n}-0.{n + 1}", 100, n / 10 + 0.05, n / 10 + 0.06, n / 10 + 0.1) for n in range(9)]
    columns = ["horizon_days", "p_class", "customers", "p_purchase", "bought", "p_alive"]
    return pl.DataFrame(rows, schema=columns, orient="row")


def repeats() -> pl.DataFrame:
    names = ["0", "1", "2", "3", "4", "5", "6", "7+"]
    rows = [(h, name, 50, 10.0 * n + 1, 11.0 * n) for h in HORIZONS for n, name in enumerate(names)]
    columns = ["horizon_days", "repeats", "customers", "expected_purchases", "actual_purchases"]
    return pl.DataFrame(rows, schema=columns, orient="row")


def segments() -> pl.DataFrame:
    names = ["Champions", "Loyal", "At Risk", "Lost"]
    return pl.DataFrame({"segment": names, "customers": [100, 200, 50, 650], "revenue": [5e5, 3e5, 9e4, 1e3]})


def grid() -> pl.DataFrame:
    return pl.DataFrame({"r_score": [5, 1, 3], "f_score": [5, 1, 3], "customers": [2_500, 10, 0]})


def revenue(days: int, first: date = date(2024, 1, 3)) -> pl.DataFrame:
    return pl.DataFrame({"day": [first + timedelta(n) for n in range(days)], "revenue": [100.0] * days})


def months() -> pl.DataFrame:
    starts = [date(2024, month, 1) for month in range(1, 13)]
    return pl.DataFrame({"calendar_month": starts, "new_customers": [30] * 12, "returning_customers": [70] * 12})


def tenths() -> pl.DataFrame:
    return pl.DataFrame({"decile": range(1, 11), "revenue_share": [0.46] + [0.06] * 9})


def totals() -> pl.DataFrame:
    rows = [(30, 4e2, 1e4, 8e3, 1.3e4), (365, 4e3, 1e5, None, None)]
    columns = ["horizon_days", "expected_purchases", "expected_spend", "spend_lower", "spend_upper"]
    return pl.DataFrame(rows, schema=columns, orient="row")


def cohorts() -> pl.DataFrame:
    rows = [(date(2024, month, 1), age, 1 / (age + 2)) for month in range(1, 13) for age in range(1, 14 - month)]
    return pl.DataFrame(rows, schema=["cohort_month", "age_months", "retention"], orient="row")


def outcomes() -> pl.DataFrame:
    return pl.DataFrame({"outcome": ["no customer", "kept", "exact duplicate"], "rows": [200, 700, 100]})


def past() -> pl.DataFrame:
    rows = [(h, date(2024, m, 1), 90.0 * h, 100.0 * h) for h in (30, 90) for m in (1, 2, 3)]
    return pl.DataFrame(rows, schema=["horizon_days", "forecast_on", "forecast_spend", "actual_spend"], orient="row")


def countries() -> pl.DataFrame:
    return pl.DataFrame({"name": ["United Kingdom", "EIRE"], "amount": [0.9, 0.001]})


@cache
def every_chart() -> dict[str, ChartType]:
    return {
        "forecast_distribution": charts.forecast_distribution(steps(step_0=5, step_2=9, step_3=4)),
        "calibration": charts.calibration_by_decile(calibration()),
        "leaderboard": charts.leaderboard(skills()),
        "tracking": charts.tracking(weeks()),
        "revenue_ahead": charts.revenue_ahead(months_ahead()),
        "probabilities": charts.probabilities(p_classes()),
        "fit_by_frequency": charts.fit_by_frequency(repeats()),
        "segment_map": charts.segment_map(segments()),
        "rfm_heatmap": charts.rfm_heatmap(grid()),
        "daily_revenue": charts.daily_revenue(revenue(730)),
        "customers_by_month": charts.customers_by_month(months()),
        "revenue_by_tenth": charts.revenue_by_tenth(tenths()),
        "totals_by_horizon": charts.totals_by_horizon(totals()),
        "cohort_heatmap": charts.cohort_heatmap(cohorts()),
        "ledger_flow": charts.ledger_flow(outcomes()),
        "forecast_against_actual": charts.forecast_against_actual(past()),
        "ranking": charts.ranking(countries(), title="Countries", unit="Share of revenue", as_percent=True),
    }


WITH_TEXT: dict[str, tuple[Callable[[pl.DataFrame], ChartType], pl.DataFrame]] = {
    "leaderboard": (charts.leaderboard, skills()),
    "probabilities": (charts.probabilities, p_classes()),
    "fit_by_frequency": (charts.fit_by_frequency, repeats()),
    "segment_map": (charts.segment_map, segments()),
    "ledger_flow": (charts.ledger_flow, outcomes()),
    "ranking": (partial(charts.ranking, title="Names", unit="Revenue"), countries()),
}
"""The charts that draw text of their rows, with rows to draw."""


def drawn(chart: ChartType) -> list[dict[str, Any]]:
    """All rows of data in the specification."""
    return [row for rows in chart.to_dict()["datasets"].values() for row in rows]


def title(chart: ChartType) -> dict[str, Any]:
    text: dict[str, Any] = chart.to_dict()["title"]
    return text


@pytest.mark.parametrize("name", every_chart())
def test_every_chart_becomes_a_small_picture_that_fits_the_page(name: str) -> None:
    png = to_png(specified(every_chart()[name]), scale=1.5)

    assert png.startswith(b"\x89PNG")
    assert len(png) < 80_000
    assert 600 * 1.5 < int.from_bytes(png[16:20], "big") < 730 * 1.5


@pytest.mark.parametrize("name", every_chart())
def test_every_chart_becomes_an_svg_that_fits_a_screen_and_a_phone(name: str) -> None:
    """In the page its title stands in HTML; other marks have no names of their own."""
    widths = {}
    for narrow in (False, True):
        svg = to_svg(specified(every_chart()[name]), narrow=narrow)
        widths[narrow] = float(svg.partition(' width="')[2].partition('"')[0])
        assert title(every_chart()[name])["text"] not in svg
        assert "aria-" not in svg
        assert " id=" not in svg
    assert widths[True] < 400 < widths[False] < 730


@pytest.mark.parametrize("name", WITH_TEXT)
@settings(max_examples=5)
@example(texts=["P\x0b1", "\x00", "\x1b[31m", "\ufffe", "\uffff", "\u202e", "", "<b>&\"'", "$[0]{{datum.x}}\\"])
@example(texts=["if", "if ", "true", "null", "NaN", "datum", "0", "000", "if(1)"])
@given(texts=arbitrary_texts(9))
def test_whatever_text_there_is_the_chart_is_drawn(name: str, texts: list[str]) -> None:
    chart, rows = WITH_TEXT[name]
    odd = with_texts(rows, texts)

    assert to_png(specified(chart(odd))).startswith(b"\x89PNG")
    ElementTree.fromstring(to_svg(specified(chart(odd)), narrow=False))  # noqa: S314  (our own picture)


@pytest.mark.parametrize(
    "name", ["🎁" * 40, "Gift box 🎁 with a red ribbon, the large one 🎀🎀🎀 of this year", "顧客" * 40]
)
def test_a_long_name_is_shortened_between_characters(name: str) -> None:
    rows = pl.DataFrame({"name": [name, f"{name}!", "mug"], "amount": [3.0, 2.0, 1.0]})
    svg = to_svg(specified(charts.ranking(rows, title="Products", unit="Revenue")), narrow=False)

    shown = re.findall(r">([^<>]*…[^<>]*)<", svg)
    assert len(set(shown)) == 2
    assert all(label.removesuffix(" (2)").removesuffix("…") in name for label in shown)


def test_every_chart_that_draws_text_is_tried_with_any() -> None:
    """Charts without a text column, or with names of ours alone, cannot meet one."""
    untried = every_chart().keys() - WITH_TEXT.keys()
    assert untried == {
        *("calibration", "cohort_heatmap", "customers_by_month", "daily_revenue", "forecast_against_actual"),
        *("forecast_distribution", "revenue_ahead", "revenue_by_tenth", "rfm_heatmap", "totals_by_horizon"),
        "tracking",
    }


@pytest.mark.parametrize("name", every_chart())
def test_every_chart_says_what_it_shows(name: str) -> None:
    assert title(every_chart()[name])["text"]
    assert title(every_chart()[name])["subtitle"]


def test_the_distribution_shows_all_customers_and_all_their_value() -> None:
    chart = charts.forecast_distribution(steps(step_0=500, step_7=1_400, step_9=100))

    shares = pl.DataFrame(drawn(chart)).group_by("series").agg(pl.col("share").sum())
    assert dict(shares.rows()) == pytest.approx({"Share of customers": 1.0, "Share of customer lifetime value": 1.0})
    assert "2,000 customers" in title(chart)["subtitle"]


@given(st.dictionaries(st.integers(0, 60), st.tuples(st.integers(1, 10**6), st.floats(0, 1e9)), min_size=1))
def test_bins_lose_no_customer_and_no_money(counted: dict[int, tuple[int, float]]) -> None:
    rows = [(step, customers, value) for step, (customers, value) in counted.items()]
    bins = value_bins(pl.DataFrame(rows, schema=["step", "customers", "value"], orient="row"))

    assert bins["customers"].sum() == sum(customers for _, customers, _ in rows)
    assert bins["value"].sum() == pytest.approx(sum(value for _, _, value in rows))
    assert bins["bin"].is_unique().all()


def test_the_rarest_percent_at_both_ends_share_a_bin() -> None:
    bins = value_bins(steps(step_0=1, step_1=1, step_4=600, step_6=400, step_7=2, step_30=1))

    assert bins.select("bin", "customers").rows() == [("< 20", 602), ("20–50", 0), ("≥ 50", 403)]


def test_the_leaderboard_puts_the_best_model_on_top_and_names_those_without_a_skill() -> None:
    broken = pl.DataFrame([(30, "broken", None, False)], schema=skills().schema, orient="row")
    chart = charts.leaderboard(pl.concat([skills(), broken]).filter(pl.col("horizon_days") == 30))

    bars = [row for row in drawn(chart) if "model" in row]
    assert [row["model"] for row in bars] == ["hybrid", "hybrid_neural", "regular_nbd", "same_window_last_year"]
    assert bars[0]["label"] == "0.4  champion"
    # A rule that is far off hides nobody else, and its label says how far.
    assert (bars[-1]["drawn"], bars[-1]["label"]) == (-0.25, "-2.9")
    assert title(chart)["subtitle"].endswith("without a skill: broken")


def test_weeks_ahead_have_no_purchases_and_today_is_marked() -> None:
    chart = charts.tracking(weeks(past=3, ahead=2))

    lines = [row for row in drawn(chart) if "series" in row]
    came = [row["purchases"] for row in lines if row["series"] == "Came"]
    assert sorted(came) == [10, 10, 10, 10, 20, 30]
    assert len([row for row in lines if row["series"] == "Expected"]) == 2 * 5
    assert [row for row in drawn(chart) if "series" not in row] == [{"week": "2024-01-21T00:00:00"}]
    assert title(chart)["subtitle"].startswith("3 weeks that are over: 30 came, 27 were expected; 2 weeks ahead")


def test_months_ahead_are_stacked_and_what_came_so_far_is_shown_where_there_is_any() -> None:
    whole = charts.revenue_ahead(months_ahead())
    parts = [row for row in drawn(whole) if "series" in row]
    assert {row["series"] for row in parts} == {"Known customers", "New customers"}
    assert sum(row["revenue"] for row in parts) == 12 * 100
    assert title(whole)["subtitle"] == "12 months: 1.2k in all, 240 of it from customers who are yet to come"
    running = months_ahead(2).with_columns(revenue_so_far=pl.Series([55, 0]), last_year_revenue=pl.lit(None, pl.Int64))
    assert [row["revenue"] for row in drawn(charts.revenue_ahead(running)) if row.get("series") == "Came so far"] == [
        55
    ]


def test_a_shop_whose_first_week_is_not_over_is_tracked() -> None:
    assert title(charts.tracking(weeks(past=0, ahead=4)))["subtitle"].startswith("0 weeks that are over")


def test_what_is_not_known_of_being_alive_is_not_drawn() -> None:
    unknown = p_classes().with_columns(p_alive=pl.lit(None, pl.Float64))
    series = {row["series"] for row in drawn(charts.probabilities(unknown)) if "series" in row}

    assert series == {"P(buy)", "Bought"}


def test_purchases_by_frequency_are_those_of_one_customer() -> None:
    means = [row["mean"] for row in drawn(charts.fit_by_frequency(repeats())) if row["repeats"] == "2"]

    assert sorted(set(means)) == [21 / 50, 22 / 50]


def test_segments_show_their_share_of_customers_and_of_revenue() -> None:
    labels = [row["label"] for row in drawn(charts.segment_map(segments())) if row["segment"] == "Lost"]

    assert sorted(labels) == ["65% (650)", "<1% (1k)"]


def test_the_heatmap_has_all_25_cells_and_refuses_other_scores() -> None:
    cells = drawn(charts.rfm_heatmap(grid()))

    assert len(cells) == 25
    assert sum(cell["customers"] for cell in cells) == 2_510
    with pytest.raises(ValueError, match="between 1 and 5"):
        charts.rfm_heatmap(grid().with_columns(r_score=6))


def test_revenue_is_drawn_over_complete_weeks_so_that_no_week_looks_like_a_collapse() -> None:
    chart = charts.daily_revenue(revenue(730))

    assert {row["revenue"] for row in drawn(chart)} == {700.0}
    assert title(chart)["text"] == "Revenue per week"
    assert title(chart)["subtitle"].startswith("103 complete weeks, Mondays 2024-01-08 to 2025-12-22")


def test_the_flow_goes_from_all_rows_over_the_largest_reason_to_those_kept() -> None:
    steps = [(row["step"], row["begin"], row["end"], row["label"]) for row in drawn(charts.ledger_flow(outcomes()))]

    assert steps == [
        ("all rows", 0, 1_000, "1,000"),
        ("no customer", 800, 1_000, "−200"),
        ("exact duplicate", 700, 800, "−100"),
        ("kept", 0, 700, "700"),
    ]


def test_a_horizon_without_an_interval_is_drawn_without_one() -> None:
    lower = {row["horizon"]: row["lower"] for row in drawn(charts.totals_by_horizon(totals()))}

    assert lower == {"30 days": 8e3, "365 days": None}


def test_amounts_are_ranked_in_the_order_given_and_small_ones_stay_visible_in_words() -> None:
    chart = charts.ranking(countries(), title="Countries", unit="Share of revenue", as_percent=True)

    assert [(row["name"], row["label"]) for row in drawn(chart)] == [("United Kingdom", "90%"), ("EIRE", "<1%")]


def test_days_without_sales_count_as_zero_and_few_weeks_are_drawn_by_day() -> None:
    chart = charts.daily_revenue(revenue(20).filter(pl.col("day") != date(2024, 1, 10)))

    assert title(chart)["text"] == "Revenue per day"
    assert [row["revenue"] for row in drawn(chart)] == [100.0] * 7 + [0.0] + [100.0] * 12


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda: charts.forecast_distribution(steps()), "nothing to draw"),
        (lambda: charts.forecast_distribution(steps(step_1=1).drop("value")), "value"),
        (
            lambda: charts.forecast_distribution(
                pl.concat([steps(step_1=1), steps(step_1=1).with_columns(horizon_days=pl.lit(30, pl.Int64))])
            ),
            r"one horizon, but the frame has \[30, 90\]",
        ),
        (lambda: charts.calibration_by_decile(pl.concat([calibration()] * 2)), "aggregate cutoffs"),
        (lambda: charts.leaderboard(skills().with_columns(skill=float("nan"))), "no model has a skill"),
        (lambda: charts.tracking(weeks().drop("expected")), "expected"),
        (lambda: charts.revenue_ahead(months_ahead().clear()), "nothing to draw"),
        (lambda: charts.probabilities(p_classes().clear()), "nothing to draw"),
    ],
)
def test_a_frame_that_cannot_be_drawn_is_refused_with_the_reason(draw: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        draw()


def test_numbers_are_written_short() -> None:
    assert [short(n) for n in (0, 12.34, 999.4, 999.6, 1_234, 999_600, 5_400_000)] == [
        "0",
        "12.3",
        "999",
        "1k",
        "1.23k",
        "1M",
        "5.4M",
    ]
    assert [percent(share) for share in (0, 0.001, 0.005, 0.123, 1)] == ["0%", "<1%", "<1%", "12%", "100%"]
