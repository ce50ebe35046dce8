"""The figures: which query feeds which chart, for the report and for the asset pages of the Dagster UI alike.

How a chart looks is in insights.charts. A figure without anything to draw is None, never an empty frame.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl
    from altair.typing import ChartType


@dataclass(frozen=True)
class Figure:
    """A chart of the rows of one query of the report."""

    query: str
    draw: Callable[[pl.DataFrame], ChartType]

    def of(self, rows: pl.DataFrame, display) -> ChartType | None:
        """The chart of these rows; None where there are none."""
        return None if rows.is_empty() else self.draw(rows)


def figures() -> dict[str, Figure]:
    """All figures by name."""
    from clv_pipeline.publication import charts

    return {
        "sales": Figure("months", lambda m: charts.daily_revenue(m.rename({"calendar_month":"day"}))),
        "buyers": Figure("months", charts.customers_by_month),
        "concentration": Figure("tenths", charts.revenue_by_tenth),
        "rfm": Figure("rfm_grid", charts.rfm_heatmap),
        "segments": Figure("segments", charts.segment_map),
        "clv": Figure("clv", charts.forecast_distribution),
        "fan": Figure("outlook", charts.totals_by_horizon),
        "months_ahead": Figure("months_ahead", charts.revenue_ahead),
        "tracking": Figure("weeks", charts.tracking),
        "cohorts": Figure("cohorts", charts.cohort_heatmap),
        "products": Figure(
            "products",
            partial(
                _best, of="Products", brought=partial(charts.ranking, unit="Revenue in the currency of the source")
            ),
        ),
        "countries": Figure(
            "countries",
            partial(_best, of="Countries", brought=partial(charts.ranking, unit="Share of revenue", as_percent=True)),
        ),
        "campaign": Figure("campaign_segments", _contacts),
        "ledger": Figure("outcomes", charts.ledger_flow),
        "backtests": Figure("backtests", partial(_of_target, charts.forecast_against_actual)),
        "deciles": Figure("deciles", partial(_of_target, charts.calibration_by_decile)),
        "probabilities": Figure("probabilities", charts.probabilities),
        "frequency": Figure("frequency", charts.fit_by_frequency),
        "leaderboard": Figure("skills", partial(_of_target, charts.leaderboard)),
        "drivers": Figure(
            "drivers",
            partial(
                charts.ranking,
                title="What the forecasts depend on",
                unit="By how much the loss grows when customers swap the fact",
                as_percent=True,
            ),
        ),
    }


def _contacts(rows: pl.DataFrame) -> ChartType:
    from clv_pipeline.publication.charts import ranking

    named = rows.rename({"segment": "name", "contacts": "amount"})
    return ranking(named, title="Customers to contact, by segment", unit="Contacts that fit in the budget")


def _of_target(draw: Callable[..., ChartType], rows: pl.DataFrame) -> ChartType:
    """A chart of the accuracy of spend, or of purchases where there is no money."""
    return draw(rows.drop("target"), what="spend" if rows["target"][0] == "spend" else "purchases")


def _best(rows: pl.DataFrame, *, of: str, brought: Callable[..., ChartType]) -> ChartType:
    """A ranking by revenue, or by customers where there is no money."""
    from clv_pipeline.publication.charts import ranking

    if rows["revenue"].is_not_null().any():
        return brought(rows, title=f"{of} that brought most")
    return ranking(rows, title=f"{of} with the most customers", unit="Customers who bought")
