"""Charts: they hold what they draw and nothing about single customers, and they say what they show."""

from __future__ import annotations

import gettext
import json
import re
from collections.abc import Callable
from datetime import date
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from clv_pipeline.display import Display, locales
from clv_pipeline.publication import charts
from clv_pipeline.publication.charts import look
from clv_pipeline.publication.charts.axes import linear, logarithmic
from clv_pipeline.publication.charts.bars import class_names
from clv_pipeline.publication.charts.frames import NothingToDrawError, most
from clv_pipeline.publication.charts.labels import in_two_lines, legend_columns
from clv_pipeline.publication.charts.pictures import NARROW, specified, to_picture, to_svg
from clv_pipeline.publication.charts.value_bins import value_bins
from clv_pipeline_tests.helpers.odd_texts import arbitrary_texts, with_texts
from clv_pipeline_tests.publication.chart_frames import (
    CASES,
    alive,
    best,
    bins,
    buyers,
    calibration,
    campaigns,
    channels,
    cluster_cells,
    clustered,
    cohorts,
    countries,
    error_groups,
    flows,
    gains,
    grid,
    history,
    horizons,
    hours,
    months_ahead,
    outcomes,
    p_classes,
    paid_back,
    profiles,
    repeats,
    revenue,
    revenue_months,
    scatter_cells,
    segments,
    skills,
    steps,
    tenths,
    weeks,
)

if TYPE_CHECKING:
    from altair.typing import ChartType

ENGLISH = Display()
GERMAN = Display(locale="de-DE", currency="EUR")
CODES = ("kept", "realised", "projected", "none")
"""Texts of the rows that are no names."""
WITH_TEXT = [name for name, case in CASES.items() if pl.String in {*case.rows.drop(case.optional, strict=False).dtypes}]


@cache
def chart(name: str) -> ChartType:
    case = CASES[name]
    return case.draw(case.rows)


def drawn(chart: ChartType) -> list[dict[str, Any]]:
    """All rows of data in the specification."""
    return [row for rows in chart.to_dict(validate=False)["datasets"].values() for row in rows]


def title(chart: ChartType) -> dict[str, Any]:
    text: dict[str, Any] = chart.to_dict(validate=False)["title"]
    return text


def words(svg: str) -> list[str]:
    """The texts of a picture."""
    elements = ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")  # noqa: S314  (our own picture)
    return ["".join(element.itertext()) for element in elements]


def size(svg: str) -> tuple[float, float]:
    width, height = (float(svg.partition(f' {side}="')[2].partition('"')[0]) for side in ("width", "height"))
    return width, height


# What holds for every chart.


def test_every_chart_is_tried() -> None:
    assert CASES.keys() == {*charts.__all__}


@pytest.mark.parametrize("name", CASES)
def test_every_chart_is_what_vega_lite_draws(name: str) -> None:
    assert chart(name).to_dict()["title"]["text"]


@pytest.mark.parametrize("name", CASES)
def test_every_chart_says_what_it_shows_in_few_words(name: str) -> None:
    case = CASES[name]
    told = title(chart(name))
    assert told["text"]
    assert 0 < len(told["subtitle"]) < 200, told["subtitle"]
    assert len(case.draw(case.rows, display=GERMAN).to_dict(validate=False)["title"]["text"]) < 75


@pytest.mark.parametrize("name", CASES)
def test_every_chart_becomes_a_small_picture_that_fits_the_page(name: str) -> None:
    picture = to_picture(specified(chart(name)))
    assert picture.startswith("<svg")
    assert len(picture) < 80_000
    assert 540 < size(picture)[0] < 745
    # It stands on any page, so it brings its own paper, and its title.
    assert 'fill="white"' in picture or 'fill="#ffffff"' in picture
    assert title(chart(name))["text"].split()[0] in picture


@pytest.mark.parametrize("name", CASES)
def test_every_chart_becomes_an_svg_that_fits_a_screen_and_a_phone(name: str) -> None:
    """In the page its title stands in HTML; other marks have no names of their own."""
    widths = {}
    for narrow in (False, True):
        svg = to_svg(specified(chart(name)), narrow=narrow)
        widths[narrow], _ = size(svg)
        assert title(chart(name))["text"] not in svg
        assert "aria-" not in svg
        assert " id=" not in svg
        assert {*re.findall(r'(?:fill|stroke)="([^"]+)"', svg)} - {"none", "transparent"} <= {*look.DARK}
    assert widths[True] <= NARROW + 5 < widths[False] < 730


@pytest.mark.parametrize("name", CASES)
def test_every_chart_draws_one_row(name: str) -> None:
    case = CASES[name]
    assert words(to_svg(specified(case.draw(case.rows.head(1))), narrow=True))


@pytest.mark.parametrize("name", CASES)
def test_every_chart_refuses_a_frame_without_rows_or_without_a_column(name: str) -> None:
    case = CASES[name]
    with pytest.raises(ValueError, match="nothing to draw"):
        case.draw(case.rows.clear())
    for column in case.rows.columns:
        if column in case.optional:
            assert words(to_svg(specified(case.draw(case.rows.drop(column))), narrow=False))
        else:
            with pytest.raises(ValueError, match=column):
                case.draw(case.rows.drop(column))


@pytest.mark.parametrize("name", WITH_TEXT)
@settings(max_examples=4)
@example(texts=["P\x0b1", "\x00", "\x1b[31m", "\ufffe", "\uffff", "\u202e", "", "<b>&\"'", "$[0]{{datum.x}}\\"])
@example(texts=["if", "if ", "true", "null", "NaN", "datum", "0", "000", "if(1)"])
@example(
    texts=[
        *("toString", "constructor", "__proto__", "valueOf", "hasOwnProperty", "__defineGetter__", "isPrototypeOf"),
        *("propertyIsEnumerable", "toString "),
    ]
)
@example(
    texts=["顧客" * 40, "שלום עולם " * 9, "العملاء الجدد " * 9, "🎁" * 40, "a" * 300, "w i d e " * 40, "x", "y", "z"]
)
@given(texts=arbitrary_texts(9))
def test_whatever_text_there_is_the_chart_is_drawn(name: str, texts: list[str]) -> None:
    case = CASES[name]
    odd = specified(case.draw(with_texts(case.rows, texts, keep=CODES)))

    assert to_picture(odd).startswith("<svg")
    for narrow in (False, True):
        width, _ = size(to_svg(odd, narrow=narrow))
        assert width < (430 if narrow else 830)
        assert words(to_svg(odd, narrow=narrow))


class Cyrillic(gettext.NullTranslations):
    """A language of our words, letter by letter, so that a word that nobody translated stands out."""

    def gettext(self, message: str) -> str:
        return re.sub(
            r"\{[^}]*\}|[A-Za-z]+", lambda found: found[0] if found[0][0] == "{" else _letters(found[0]), message
        )

    def ngettext(self, msgid1: str, msgid2: str, n: int) -> str:
        return self.gettext(msgid1 if n == 1 else msgid2)


def _letters(word: str) -> str:
    return word if word.startswith("{") else "".join(chr(0x430 + ord(letter) - ord("a")) for letter in word.lower())


GERMAN_DATES = "Jan Feb März Apr Mai Juni Juli Aug Sept Okt Nov Dez Mo Di Mi Do Fr Sa So"
OF_THE_LOCALE = {"Mio", "EUR", *GERMAN_DATES.split()}
"""What Babel writes in German."""


@pytest.mark.parametrize("name", CASES)
def test_every_chart_speaks_the_language_and_no_english(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locales, "_catalogue", lambda language: Cyrillic())
    case = CASES[name]
    spoken = specified(case.draw(case.rows, display=GERMAN))
    said = " ".join([spoken["title"]["text"], spoken["title"]["subtitle"], *words(to_svg(spoken, narrow=False))])

    models = case.rows["model"].unique() if "model" in case.rows.columns else ()
    for model in sorted(models, key=len, reverse=True):
        said = said.replace(model, "")
    assert {*re.findall(r"[A-Za-zä]{2,}", said)} <= OF_THE_LOCALE


def test_numbers_and_months_are_those_of_the_locale() -> None:
    spoken = charts.revenue_by_month(revenue_months(), display=GERMAN)
    said = words(to_svg(specified(spoken), narrow=False))
    assert "1,5\N{NO-BREAK SPACE}Mio." in said
    assert "Jan. 2023" in said
    assert "26.760.000\N{NO-BREAK SPACE}€" in title(spoken)["subtitle"]
    shares = words(to_svg(specified(charts.revenue_concentration(best(), display=GERMAN)), narrow=False))
    assert "20\N{NO-BREAK SPACE}%" in shares


def test_charts_with_money_name_its_currency_where_it_is_known() -> None:
    money = {
        *("acquisition_value", "calibration_by_decile", "cluster_scatter", "daily_revenue", "forecast_against_actual"),
        *("forecast_distribution", "forecast_scatter", "order_values", "revenue_ahead", "revenue_by_month"),
        *("revenue_fan", "rfm_heatmap", "segment_map"),
    }
    named = {
        name
        for name, case in CASES.items()
        if re.search("EUR|€", case.draw(case.rows, display=GERMAN).to_dict(validate=False)["title"]["subtitle"])
    }
    assert named == money
    assert not any("None" in json.dumps(specified(chart(name))) for name in money)


def contrast(one: str, other: str) -> float:
    """The contrast of two colours, as WCAG defines it."""

    def luminance(colour: str) -> float:
        hexadecimal = "ffffff" if colour == "white" else colour.removeprefix("#")
        parts = [int(hexadecimal[at : at + 2], 16) / 255 for at in (0, 2, 4)]
        linear_parts = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear_parts, strict=True))

    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def test_marks_and_texts_stand_out_from_light_and_dark_paper() -> None:
    marks = {look.ACCENT, look.CONTRAST, look.QUIET, *look.GROUPS}
    assert all(contrast(mark, look.PAPER) >= 3 for mark in marks)
    assert all(contrast(look.DARK[mark], look.DARK[look.PAPER]) >= 3 for mark in marks)
    for ink in (look.INK, look.MUTED):
        assert contrast(ink, look.PAPER) >= 4.5
        assert contrast(look.DARK[ink], look.DARK[look.PAPER]) >= 4.5
    assert contrast(look.INK, look.TINT) >= 4.5
    assert contrast(look.DARK[look.INK], look.DARK[look.TINT]) >= 4.5
    assert len({*look.GROUPS.values()}) == len(look.GROUPS)


# Names.


@pytest.mark.parametrize(
    "name", ["🎁" * 40, "Gift box 🎁 with a red ribbon, the large one 🎀🎀🎀 of this year", "顧客" * 40]
)
def test_a_long_name_is_shortened_between_characters(name: str) -> None:
    rows = pl.DataFrame({"name": [name, f"{name}!", "mug"], "amount": [3.0, 2.0, 1.0]})
    svg = to_svg(specified(charts.ranking(rows, title="Products", unit="Revenue")), narrow=False)

    shown = [text for text in words(svg) if "…" in text]
    assert len(set(shown)) == 2
    assert all(label.removesuffix(" (2)").removesuffix("…") in name for label in shown)


def test_a_name_in_a_cell_breaks_between_words() -> None:
    assert in_two_lines("Potential Loyalists") == ("Potential", "Loyalists")
    assert in_two_lines("At Risk") == ("At Risk", "")
    assert in_two_lines("") == ("", "")
    first, second = in_two_lines("Donaudampfschifffahrtsgesellschaft und viele andere")
    assert first.endswith("…")
    assert second.endswith("…")


def test_a_legend_breaks_into_as_many_columns_as_fit() -> None:
    assert legend_columns(["New", "Returning"], 300) is None
    assert legend_columns(["Medium value, recent"] * 6, 300) == 2
    assert legend_columns(["顧客" * 40], 100) == 1


def test_small_groups_are_put_together_and_so_are_those_beyond_the_most() -> None:
    groups = pl.DataFrame({"name": ["a", "b", "c", "a", "d"], "customers": [20, 29, 500, 10, 40]})
    assert most(groups, "name", count="customers", other="Other", at_most=9).to_list() == ["a", "Other", "c", "a", "d"]
    assert most(groups, "name", count="customers", other="Other", at_most=3).to_list() == [
        *("Other", "Other", "c", "Other", "d")
    ]


# Axes.


@example([5e-324])
@example([6.0, -5e-324])
@given(st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=5))
def test_an_axis_has_round_values_around_all_amounts(amounts: list[float]) -> None:
    axis = linear(amounts, ENGLISH.short)
    values = axis["axis"]["values"]
    low, high = axis["scale"].domain
    # What is far less than a pixel may lie outside.
    slack = 1e-9 * (high - low)
    assert min(0.0, *amounts) >= low - slack
    assert max(0.0, *amounts) <= high + slack
    assert 2 <= len(values) <= 12


@given(st.lists(st.floats(1e-6, 1e9), min_size=1, max_size=5))
def test_a_logarithmic_axis_has_values_around_all_amounts(amounts: list[float]) -> None:
    axis = logarithmic(amounts, ENGLISH.short)
    low, high = axis["scale"].domain
    assert low <= min(amounts) * 1.0001
    assert high >= max(amounts) * 0.9999
    assert low < high
    assert axis["axis"]["values"]


# What single charts show.


def test_months_stand_beside_last_year_and_before_the_fan_of_the_forecast() -> None:
    rows = drawn(charts.revenue_by_month(revenue_months()))

    lines = [row["series"] for row in rows if "series" in row]
    assert {name: lines.count(name) for name in lines} == {"Actual": 24, "A year before": 24, "Forecast": 12}
    assert [row["revenue"] for row in rows if "series" not in row and "upper" not in row] == [4e5]
    assert len([row for row in rows if "upper" in row]) == 12


def test_a_history_without_a_forecast_has_no_fan() -> None:
    past = revenue_months().head(24)
    told = title(charts.revenue_by_month(past))["subtitle"]
    assert told == "24 complete months, 26,760,000 in all."


def test_first_months_of_the_history_have_a_shade_and_a_word() -> None:
    series = [row["series"] for row in drawn(charts.customers_by_month(buyers()))]
    assert {name: series.count(name) for name in series} == {
        "Returning": 12,
        "New": 10,
        "First seen: perhaps not new": 2,
    }
    assert "first 2 months are not" in title(charts.customers_by_month(buyers()))["subtitle"]
    assert "not" not in title(charts.customers_by_month(buyers().drop("is_left_censored")))["subtitle"]


def test_revenue_is_drawn_over_complete_weeks_so_that_no_week_looks_like_a_collapse() -> None:
    chart = charts.daily_revenue(revenue(730))

    assert {row["revenue"] for row in drawn(chart)} == {700.0}
    assert title(chart)["text"] == "Revenue by week"
    assert title(chart)["subtitle"] == "103 complete weeks, Mondays Jan 8, 2024 to Dec 22, 2025: 72,100 in all."


def test_days_without_sales_count_as_zero_and_few_weeks_are_drawn_by_day() -> None:
    chart = charts.daily_revenue(revenue(20).filter(pl.col("day") != date(2024, 1, 10)))

    assert title(chart)["text"] == "Revenue by day"
    assert [row["revenue"] for row in drawn(chart)] == [100.0] * 7 + [0.0] + [100.0] * 12


def test_the_curve_of_concentration_begins_at_nobody_and_ends_at_all() -> None:
    chart = charts.revenue_concentration(best())
    curve = [(row["percent"], row["share"]) for row in drawn(chart)]

    assert {(0, 0), (100, 1)} <= {*curve}
    assert "10% → 50%" in [row["label"] for row in drawn(chart) if "label" in row]
    assert title(chart)["subtitle"].startswith("The best decile of the customers brought 50% of the revenue.")


def test_the_best_decile_is_told() -> None:
    assert title(charts.revenue_by_tenth(tenths()))["subtitle"] == "The best decile, 1, brought 46% of the revenue."


def test_the_flow_goes_from_all_rows_over_the_largest_reason_to_those_kept() -> None:
    steps = [(row["step"], row["begin"], row["end"], row["label"]) for row in drawn(charts.ledger_flow(outcomes()))]

    assert steps == [
        ("all rows", 0, 1_000, "1,000"),
        ("no customer", 800, 1_000, "−200"),
        ("exact duplicate", 700, 800, "−100"),
        ("kept", 0, 700, "700"),
    ]


def test_amounts_are_ranked_in_the_order_given_and_small_ones_stay_visible_in_words() -> None:
    chart = charts.ranking(countries(), title="Countries", unit="Share of revenue", as_percent=True)

    assert [(row["name"], row["label"]) for row in drawn(chart)] == [("United Kingdom", "90%"), ("EIRE", "<1%")]


def test_classes_of_orders_are_named_by_their_bounds() -> None:
    chart = charts.order_values(bins("orders"))

    assert [(row["name"], row["label"]) for row in drawn(chart)] == [
        ("< 10", "32% (50)"),
        ("10–1K", "65% (100)"),
        ("1K–2M", "2% (3)"),
        ("≥ 2M", "1% (1)"),
    ]
    assert title(chart)["subtitle"] == "154 orders by value; 65% are of 10–1K."


def test_every_hour_of_the_week_has_a_cell_and_the_fullest_is_told() -> None:
    chart = charts.order_hours(hours())

    assert len(drawn(chart)) == 7 * 24
    assert title(chart)["subtitle"] == "101 orders; most came on Thu between 12 and 13 o'clock."


def test_segments_show_their_share_of_customers_and_of_revenue() -> None:
    labels = [row["label"] for row in drawn(charts.segment_map(segments())) if row["segment"] == "Lost"]

    assert sorted(labels) == ["65% (650)", "<1% (1K)"]


def test_the_grid_of_scores_has_names_money_and_counts_and_an_empty_score_is_explained() -> None:
    chart = charts.rfm_heatmap(grid())
    cells = drawn(chart)

    assert len(cells) == 25
    assert sum(cell["depth"] for cell in cells) == 2_510
    [best_cell] = [cell for cell in cells if cell["r_score"] == cell["f_score"] == 5]
    assert [best_cell[line] for line in ("name", "label", "amount")] == ["Champions", "2,500", "5M"]
    assert "Scores 2, 3, 4 are empty" in title(chart)["subtitle"]
    with pytest.raises(ValueError, match="between 1 and 5"):
        charts.rfm_heatmap(grid().with_columns(r_score=6))


def test_small_cohorts_share_the_last_row_and_their_size_is_told() -> None:
    chart = charts.cohort_heatmap(cohorts())
    rows = list(dict.fromkeys(cell["cohort"] for cell in drawn(chart)))

    assert rows[0] == "Jan 2023 (100)"
    assert rows[-1] == "Smaller cohorts (20)"
    assert {cell["age_months"] for cell in drawn(chart)} <= {1, 2, 3, 4, 5, 6, 9, 12}
    assert "1 cohort of fewer than 30 customers is in the last row." in title(chart)["subtitle"]
    many = pl.concat([cohorts().with_columns(pl.col("cohort_month").dt.offset_by(f"{12 * n}mo")) for n in range(4)])
    assert len({cell["cohort"] for cell in drawn(charts.cohort_heatmap(many))}) == 24 + 1


def test_retention_is_a_mean_over_customers_and_ends_where_few_have_the_age() -> None:
    everybody = [row for row in drawn(charts.retention_curves(cohorts())) if row["group"] == "All"]

    assert max(row["age"] for row in everybody) == 8
    assert everybody[0]["share"] == pytest.approx(1 / 3)
    halves = {row["group"] for row in drawn(charts.retention_curves(cohorts()))} - {"All"}
    assert halves == {"2023, half 1", "2023, half 2"}


def test_a_line_of_retention_is_of_enough_customers_and_none_is_drawn_twice() -> None:
    """Two customers of another half-year have no line; the other one would be that of all."""
    many = cohorts().filter(pl.col("cohort_month") < date(2023, 7, 1))
    two = many.head(3).with_columns(cohort_month=pl.lit(date(2023, 8, 1)), customers=pl.lit(2), retention=pl.lit(0.0))
    chart = charts.retention_curves(pl.concat([many, two.cast(many.schema)]))
    assert {row["group"] for row in drawn(chart)} == {"All"}
    assert "Thin" not in title(chart)["subtitle"]


def test_names_of_lines_that_end_together_stand_apart() -> None:
    same = cohorts().filter(pl.col("age_months") < 3).with_columns(retention=pl.lit(0.5), customers=pl.lit(100))
    ends = sorted(row["label"] for row in drawn(charts.retention_curves(same)) if "label" in row)
    assert len(ends) == 3
    assert all(higher - lower > 0.03 for lower, higher in pairwise(ends))


def test_classes_of_one_number_are_called_by_it() -> None:
    assert class_names([(1, 1), (2, 4), (5, None)], "{:.0f}".format) == ["1", "2–4", "≥ 5"]


def test_sums_of_the_past_are_not_called_a_forecast() -> None:
    told = title(charts.tracking(weeks()))
    assert "Model" in {row.get("series") for row in drawn(charts.tracking(weeks()))}
    assert "the model's sum is made to be the same" in told["subtitle"]
    assert "forecast" not in told["subtitle"]


def test_a_range_is_told_with_its_level() -> None:
    ahead = months_ahead()
    assert "80% range of the total" in title(charts.revenue_ahead(ahead.with_columns(interval_level=0.8)))["subtitle"]


def test_a_total_is_written_as_in_sentences() -> None:
    yen = Display("de-DE", currency="JPY")
    ahead = months_ahead().with_columns(pl.lit(75_104).alias("total_revenue"))
    assert yen.money(12 * 75_104) in title(charts.revenue_ahead(ahead, display=yen))["subtitle"]


def test_a_cluster_has_one_colour_and_one_shape_in_all_charts() -> None:
    shown = [charts.cluster_scatter(cluster_cells().reverse()), charts.cluster_profiles(profiles())]
    looks = []
    for chart in shown:
        scales = re.findall(r'"scale": \{"domain": (\["[^]]*\]), "range": (\["[^]]*\])', json.dumps(specified(chart)))
        looks.append(
            {
                (name, look)
                for names, range_ in scales
                for name, look in zip(json.loads(names), json.loads(range_), strict=True)
            }
        )
    scatter, profile = looks
    look_of_best = {(name, look) for name, look in scatter if name == "High value, recent"}
    assert len(look_of_best) == 2
    assert look_of_best <= profile
    # 20 customers are too few for a cluster of their own.
    assert {name for name, _ in profile} == {"High value, recent", "Low value, lapsed", "Other"}


def test_profiles_are_multiples_of_the_shops_median_and_count_the_first_purchase() -> None:
    ratios = {
        row["fact"]: row["ratio"]
        for row in drawn(charts.cluster_profiles(profiles()))
        if row.get("cluster") == "High value, recent"
    }
    assert ratios == {0: pytest.approx(9 / 61, rel=1e-5), 1: 6.0, 2: 21.25}


def test_without_money_clusters_are_drawn_by_purchases() -> None:
    no_money = cluster_cells().with_columns(revenue=pl.lit(None, pl.Float64))
    assert {row["height"] for row in drawn(charts.cluster_scatter(no_money))} == {3.0}
    without = profiles().with_columns(
        pl.lit(None, pl.Float64).alias(name) for name in ("median_revenue", "shop_revenue")
    )
    assert {row["fact"] for row in drawn(charts.cluster_profiles(without)) if "fact" in row} == {0, 1}


def test_segments_of_few_customers_are_together_beside_the_clusters() -> None:
    cells = {(row["segment"], row["cluster"]): row["label"] for row in drawn(charts.clusters_by_segment(clustered()))}
    assert cells["Champions", "High value, recent"] == "40"
    assert cells["Other", "High value, recent"] == "4"


def test_only_the_latest_month_flows_and_rows_add_up_to_all() -> None:
    chart = charts.segment_flows(flows())
    assert [row["label"] for row in drawn(chart)] == ["62", "12", "12", "12"] * 4
    assert "at the end of May 2024. 62% stayed where they were." in title(chart)["subtitle"]


def test_the_segments_of_every_month_fill_its_height() -> None:
    areas = [row for row in drawn(charts.segment_sizes(history())) if "upper" in row]
    assert len(areas) == 12 * 4
    assert {row["upper"] for row in areas if row["segment"] == "Champions"} == {1.0}


def test_the_distribution_shows_all_customers_and_all_their_value() -> None:
    chart = charts.forecast_distribution(steps(step_0=500, step_7=1_400, step_9=100))

    shares = pl.DataFrame(drawn(chart)).group_by("series").agg(pl.col("share").sum())
    assert dict(shares.rows()) == pytest.approx({"Share of customers": 1.0, "Share of value": 1.0})
    assert "2,000 customers" in title(chart)["subtitle"]


@given(st.dictionaries(st.integers(0, 60), st.tuples(st.integers(1, 10**6), st.floats(0, 1e9)), min_size=1))
def test_bins_lose_no_customer_and_no_money_and_none_is_empty(counted: dict[int, tuple[int, float]]) -> None:
    rows = [(step, customers, value) for step, (customers, value) in counted.items()]
    bins = value_bins(pl.DataFrame(rows, schema=["step", "customers", "value"], orient="row"), ENGLISH)

    assert bins["customers"].sum() == sum(customers for _, customers, _ in rows)
    assert bins["value"].sum() == pytest.approx(sum(value for _, _, value in rows))
    assert bins["bin"].is_unique().all()
    assert (bins["customers"] > 0).all()


def test_the_rarest_percent_at_both_ends_share_a_bin_and_empty_bins_are_joined() -> None:
    bins = value_bins(steps(step_0=1, step_1=1, step_4=600, step_6=400, step_7=2, step_30=1), ENGLISH)

    assert bins.select("bin", "customers").rows() == [("< 50", 602), ("≥ 50", 403)]


def test_the_fan_begins_today_and_ends_where_there_is_no_range() -> None:
    rows = drawn(charts.revenue_fan(horizons()))

    assert [(row["days"], row["amount"], row["upper"]) for row in rows if "upper" in row] == [
        (0, 0, 0),
        (30, 8e5, 1.3e6),
    ]
    assert [row["amount"] for row in rows if row.get("series") == "A year before"] == [0, 9e5, 8e6]


def test_without_money_purchases_are_added_up() -> None:
    no_money = horizons().with_columns(
        pl.lit(None, pl.Float64).alias(name) for name in ("expected_spend", "spend_lower", "spend_upper")
    )
    chart = charts.revenue_fan(no_money)
    assert title(chart)["text"] == "Forecast purchases, added up"
    assert [row["amount"] for row in drawn(chart) if row.get("series") == "Forecast"] == [0, 400, 4_000]


def test_weeks_ahead_have_no_purchases_and_today_is_marked() -> None:
    chart = charts.tracking(weeks(past=3, ahead=2))

    lines = [row for row in drawn(chart) if "series" in row]
    actual = [row["purchases"] for row in lines if row["series"] == "Actual"]
    assert sorted(actual) == [10, 10, 10, 10, 20, 30]
    assert len([row for row in lines if row["series"] == "Model"]) == 2 * 5
    assert [row for row in drawn(chart) if "series" not in row] == [{"week": 2}]
    assert title(chart)["subtitle"].startswith("3 weeks that are over, with 30 repeat purchases: ")


def test_a_shop_whose_first_week_is_not_over_is_tracked() -> None:
    assert title(charts.tracking(weeks(past=0, ahead=4)))["subtitle"].startswith("0 weeks that are over")


def test_months_ahead_are_stacked_and_what_came_so_far_is_shown_where_there_is_any() -> None:
    whole = charts.revenue_ahead(months_ahead())
    parts = [row for row in drawn(whole) if "series" in row]
    assert {row["series"] for row in parts} == {"Known customers", "New customers"}
    assert sum(row["revenue"] for row in parts) == 12 * 100
    assert title(whole)["subtitle"].startswith("12 months: 1,200 in all, 240 of it from customers who are yet to come.")
    running = months_ahead(2).with_columns(revenue_so_far=pl.Series([55, 0]), last_year_revenue=pl.lit(None, pl.Int64))
    so_far = [row["revenue"] for row in drawn(charts.revenue_ahead(running)) if row.get("series") == "Actual so far"]
    assert so_far == [55]


def test_where_p_alive_is_not_known_p_buy_is_shown() -> None:
    chart = charts.p_alive_by_recency_and_frequency(alive())
    assert [row["label"] for row in drawn(chart)][:3] == ["90%", "70%", "50%"]
    assert {row["often"] for row in drawn(chart)} == {"1", "2–4", "≥ 5"}
    assert "fewer than 30" in title(chart)["subtitle"]
    unknown = charts.p_alive_by_recency_and_frequency(alive().with_columns(p_alive=pl.lit(None, pl.Float64)))
    assert title(unknown)["text"] == "Who will buy"
    assert {row["label"] for row in drawn(unknown)} == {"50%"}


def test_shares_that_bought_have_the_range_that_chance_gives_them() -> None:
    [first, *_] = [row for row in drawn(charts.reliability(p_classes())) if "label" in row]
    assert (first["forecast"], first["actual"], first["label"]) == (0.05, 0.06, "100")
    assert (first["lower"], first["upper"]) == pytest.approx((0.06 - 0.0465, 0.06 + 0.0465), abs=1e-4)


def test_a_class_of_few_forecasts_is_left_out_and_that_is_said() -> None:
    few = p_classes().with_columns(customers=pl.when(pl.col("p_purchase") > 0.8).then(1).otherwise("customers"))
    chart = charts.reliability(few)
    assert len([row for row in drawn(chart) if "label" in row]) == 8
    assert title(chart)["subtitle"].endswith("Classes of fewer than 30 are left out.")


def test_purchases_by_frequency_are_those_of_one_customer() -> None:
    means = [row["mean"] for row in drawn(charts.fit_by_frequency(repeats())) if row["repeats"] == "2"]

    assert sorted(set(means)) == [21 / 50, 22 / 50]


def test_cells_of_the_scatter_stand_at_their_bins_and_those_on_the_diagonal_are_told() -> None:
    chart = charts.forecast_scatter(scatter_cells())
    cells = {(row["forecast"], row["actual"]): row["customers"] for row in drawn(chart) if "customers" in row}
    assert cells[0, 4] == 1
    assert cells[4, 0] == 1_001
    near = sum(customers for (forecast, actual), customers in cells.items() if abs(forecast - actual) <= 1)
    assert f"{ENGLISH.percent(near / sum(cells.values()))} are at most one class off" in title(chart)["subtitle"]


def test_the_gain_of_the_forecast_lies_between_chance_and_perfect_order() -> None:
    shares: dict[str, list[float]] = {}
    for row in drawn(charts.gain_curve(gains())):
        if "series" in row:
            shares.setdefault(row["series"], []).append(row["share"])
    assert shares["Order of the forecast"][:3] == pytest.approx([0, 10 / 55, 19 / 55], rel=1e-5)
    assert shares["Perfect order"][1] == 0.5
    assert "Perfect order" not in {row.get("series") for row in drawn(charts.gain_curve(gains().drop("perfect_share")))}


def test_the_groups_that_are_forecast_best_and_worst_are_marked_and_small_ones_are_together() -> None:
    chart = charts.error_by_group(error_groups())
    rows = [row for row in drawn(chart) if "label" in row]
    # Champions were 20 % too high, then 20 % too low: those do not cancel. What the tables call other is with ours.
    assert [(row["name"], row["label"]) for row in rows] == [
        ("Champions", "20% (100)"),
        ("Lost", "200% (300)  worst"),
        ("Other", "80% too low (32)"),
        ("United Kingdom", "1% (400)  best"),
        ("EIRE", "70% too low (50)"),
    ]
    # Large errors stand at the edge.
    assert rows[1]["off"] == 1.5
    assert "Other: groups of fewer than 30, and all beyond" in title(chart)["subtitle"]


def test_groups_that_were_not_put_together_are_not_said_to_be() -> None:
    large = error_groups().filter(pl.col("customers") > 30)
    assert "Other" not in title(charts.error_by_group(large))["subtitle"]


def test_of_groups_of_which_nothing_came_there_is_nothing_to_draw() -> None:
    with pytest.raises(NothingToDrawError, match="nothing came of any group"):
        charts.error_by_group(error_groups().with_columns(actual=0.0))


def test_margins_go_on_as_projections_and_small_groups_are_left_out() -> None:
    chart = charts.acquisition_value(channels())
    points = [(row["series"], row["months"], row["amount"]) for row in drawn(chart) if "series" in row]

    assert ("Realised", 12, 30.0) in points
    assert ("Projected", 12, 30.0) in points
    assert ("Projected", 36, 80.0) in points
    assert ("Cost of a new customer", 36, 25.0) in points
    assert "1 smaller group is left out." in title(chart)["subtitle"]


def test_payback_is_told_in_months_also_where_it_does_not_come() -> None:
    chart = charts.payback(paid_back())
    assert [(row["name"], row["label"]) for row in drawn(chart)] == [
        ("search", "4 months"),
        ("letters", "17 months"),
        ("fair", "over 36 months"),
    ]
    assert "2 groups are left out" in title(chart)["subtitle"]
    with pytest.raises(ValueError, match="payback of no group is known"):
        charts.payback(paid_back().filter(pl.col("payback").is_null()))


def test_campaigns_show_their_uplift_its_range_and_what_follows() -> None:
    rows = [row for row in drawn(charts.campaign_results(campaigns())) if "name" in row]
    assert [row["label"] for row in rows] == [
        "+12.0% gain (1,000)",
        "−5.0% not told from none (500)",
        "not known yet (200)",
    ]
    # A range without a lower end goes on to the edge.
    assert [(row["lower"], row["upper"]) for row in rows] == [(0.02, 0.25), (-1.0, 0.3), (None, None)]


def test_the_leaderboard_puts_the_best_model_on_top_and_names_those_without_a_skill() -> None:
    broken = pl.DataFrame([(30, "broken", None, False)], schema=skills().schema, orient="row")
    chart = charts.leaderboard(pl.concat([skills(), broken]).filter(pl.col("horizon_days") == 30))

    bars = [row for row in drawn(chart) if "model" in row]
    assert [row["model"] for row in bars] == ["hybrid", "hybrid_neural", "regular_nbd", "same_window_last_year"]
    assert bars[0]["label"] == "0.40  champion"
    # A rule that is far off hides nobody else, and its label says how far.
    assert (bars[-1]["drawn"], bars[-1]["label"]) == (-0.25, "−2.90")
    assert title(chart)["subtitle"].endswith("Without a skill: broken.")


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (
            lambda: charts.forecast_distribution(
                pl.concat([steps(step_1=1), steps(step_1=1).with_columns(horizon_days=pl.lit(30, pl.Int64))])
            ),
            r"one horizon, but the frame has \[30, 90\]",
        ),
        (lambda: charts.calibration_by_decile(pl.concat([calibration()] * 2)), "aggregate cutoffs"),
        (lambda: charts.leaderboard(skills().with_columns(skill=float("nan"))), "no model has a skill"),
    ],
)
def test_a_frame_that_cannot_be_drawn_is_refused_with_the_reason(draw: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        draw()
