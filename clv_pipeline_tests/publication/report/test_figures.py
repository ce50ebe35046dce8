"""Figures of odd shops: there is a chart, or nothing to draw, and never a run that ends for a picture."""

from __future__ import annotations

from typing import Any

import duckdb
import polars as pl
import pytest
from polars import selectors

from clv_pipeline.display import ENGLISH, Display
from clv_pipeline.errors import PictureError
from clv_pipeline.publication.charts.pictures import specified
from clv_pipeline.publication.report.figures import Figure, figures
from clv_pipeline.publication.report.page import render
from clv_pipeline.publication.report.queries import QUERIES, read

NOTHING_CAME = (
    "actual",
    "actual_mean",
    "actual_spend",
    "actual_share",
    "bought",
    "revenue",
    "retention",
    "skill",
    "value",
)
"""Columns that are zero, or not known, in a shop to which nobody comes back."""


@pytest.mark.parametrize("name", figures())
def test_every_figure_of_a_shop_of_which_next_to_nothing_is_known_is_a_chart_or_nothing(
    copy: duckdb.DuckDBPyConnection, name: str
) -> None:
    figure = figures()[name]
    rows = read(copy, figure.query)
    known = [column for column in NOTHING_CAME if column in rows.select(selectors.numeric()).columns]
    shops = [
        rows,
        rows.clear(),
        rows.head(1),
        rows.tail(1),
        *(rows.with_columns(pl.lit(0).cast(rows.schema[column]).alias(column) for column in [one]) for one in known),
        rows.with_columns(pl.lit(0).cast(rows.schema[column]).alias(column) for column in known),
    ]
    for shop in shops:
        chart = figure.of(shop, ENGLISH)
        assert chart is None or specified(chart)


def test_a_shop_where_nobody_comes_back_has_a_report(copy: duckdb.DuckDBPyConnection) -> None:
    """Forecasts and outcomes of every group are nothing, so that there are no errors of groups to draw."""
    copy.execute("update served_accuracy set value = 0 where metric in ('predicted_mean', 'actual_mean')")
    warnings: list[str] = []
    page = render(copy, ENGLISH, warn=warnings.append)
    assert warnings == []
    assert 'id="figure-groups"' not in page


def test_a_chart_that_a_shop_breaks_is_left_out_and_told(
    copy: duckdb.DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(rows: pl.DataFrame, **_: Any) -> None:
        raise ZeroDivisionError("by nobody")

    figure = Figure("skills", broken)  # type: ignore[arg-type]
    with pytest.raises(PictureError, match="the chart of the query 'skills' is not drawn: ZeroDivisionError"):
        figure.of(read(copy, "skills"), ENGLISH)
    monkeypatch.setattr("clv_pipeline.publication.report.figures.figures", lambda: {"leaderboard": figure})
    warnings: list[str] = []
    assert "<figure" not in render(copy, ENGLISH, warn=warnings.append)
    assert warnings == ["report: the chart of the query 'skills' is not drawn: ZeroDivisionError (by nobody)"]


def test_what_models_use_is_named_in_words(copy: duckdb.DuckDBPyConnection) -> None:
    assert "drivers" in QUERIES
    page = render(copy, ENGLISH)
    for section in ("models",):
        words = page.partition(f'<section id="{section}">')[2].partition("</section>")[0]
        assert "days_since_last" not in words
        assert "spend_per_purchase" not in words


def test_english_sentences_in_a_page_of_another_language_are_said_to_be(copy: duckdb.DuckDBPyConnection) -> None:
    page = render(copy, Display("de-DE"))
    quality = page.partition('<section id="quality">')[2].partition("</section>")[0]
    if '<span lang="en">' in quality:
        assert "(englisch)" in quality
