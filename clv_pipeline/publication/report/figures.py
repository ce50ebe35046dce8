"""The figures: which query feeds which chart, for the report and for the asset pages of the Dagster UI alike.

How a chart looks is in publication.charts. A figure without anything to draw is None, never an empty frame.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from clv_pipeline.display import Display
from clv_pipeline.display.terms import FEATURES
from clv_pipeline.errors import PictureError

if TYPE_CHECKING:
    import polars as pl
    from altair.typing import ChartType


@dataclass(frozen=True)
class Figure:
    """A chart of the rows of one query of the report."""

    query: str
    draw: Callable[..., ChartType]
    needs: str | None = None
    """A column of which at least one value has to be known."""

    def of(self, rows: pl.DataFrame, display: Display) -> ChartType | None:
        """The chart of these rows; None where there is nothing to draw.

        Raises:
            PictureError: a shop that the chart was not made for. A run goes on without the picture.
        """
        from clv_pipeline.publication.charts.frames import NothingToDrawError

        if rows.is_empty() or (self.needs is not None and rows[self.needs].is_null().all()):
            return None
        try:
            return self.draw(rows, display=display)
        except NothingToDrawError:
            return None
        except Exception as error:
            raise PictureError(
                f"the chart of the query {self.query!r} is not drawn: {type(error).__name__}", quoted=str(error)
            ) from error


def figures() -> dict[str, Figure]:
    """All figures by name."""
    from clv_pipeline.publication import charts

    return {
        "fan": Figure("yardsticks", charts.revenue_fan),
        "months_ahead": Figure("months_ahead", charts.revenue_ahead),
        "backtests": Figure("backtests", _of_target(charts.forecast_against_actual)),
        "tracking": Figure("weeks", charts.tracking),
        "segments": Figure("segments", charts.segment_map),
        "rfm": Figure("rfm_grid", charts.rfm_heatmap),
        "segment_sizes": Figure("segment_sizes", charts.segment_sizes),
        "segment_flows": Figure("segment_flows", charts.segment_flows),
        "campaign": Figure("campaign_segments", _contacts),
        "campaigns": Figure("campaigns", charts.campaign_results),
        "clv": Figure("clv", charts.forecast_distribution),
        "alive": Figure("alive_cells", charts.p_alive_by_recency_and_frequency),
        "clusters": Figure("cluster_cells", _of_clusters(charts.cluster_scatter)),
        "cluster_profiles": Figure("clusters", _of_clusters(charts.cluster_profiles)),
        "cluster_segments": Figure("cluster_segments", _of_clusters(charts.clusters_by_segment)),
        "sales": Figure("revenue_months", charts.revenue_by_month),
        "buyers": Figure("months", charts.customers_by_month),
        "concentration": Figure("concentration", charts.revenue_concentration, needs="revenue_share"),
        "order_values": Figure("order_values", charts.order_values),
        "order_gaps": Figure("order_gaps", charts.order_gaps),
        "order_sizes": Figure("order_sizes", charts.order_sizes),
        "order_hours": Figure("order_hours", charts.order_hours),
        "cohorts": Figure("cohorts", charts.cohort_heatmap),
        "retention": Figure("retention", charts.retention_curves),
        "acquisition": Figure("acquisition", charts.acquisition_value),
        "payback": Figure("acquisition", charts.payback, needs="payback"),
        "products": Figure("products", _products),
        "countries": Figure("countries", _countries),
        "scatter": Figure("scatter", charts.forecast_scatter),
        "gain": Figure("gain", charts.gain_curve, needs="actual_share"),
        "deciles": Figure("deciles", _of_target(charts.calibration_by_decile)),
        "probabilities": Figure("probabilities", charts.reliability),
        "groups": Figure("group_errors", charts.error_by_group),
        "frequency": Figure("frequency", charts.fit_by_frequency),
        "leaderboard": Figure("skills", _of_target(charts.leaderboard)),
        "drivers": Figure("drivers", _drivers),
        "ledger": Figure("outcomes", charts.ledger_flow),
    }


def _of_target(draw: Callable[..., ChartType]) -> Callable[..., ChartType]:
    """A chart of the accuracy of spend, or of purchases where there is no money."""

    def drawn(rows: pl.DataFrame, **asked: Any) -> ChartType:
        return draw(rows.drop("target"), "spend" if rows["target"][0] == "spend" else "purchases", **asked)

    return drawn


def _of_clusters(draw: Callable[..., ChartType]) -> Callable[..., ChartType]:
    """A chart of clusters under their names in the language."""

    def drawn(rows: pl.DataFrame, *, display: Display) -> ChartType:
        import polars as pl

        from clv_pipeline.publication.told import told

        named = rows.select("cluster_name", "cluster_name_code", "cluster_name_facts").unique()
        names = {
            row["cluster_name"]: told(display, "customer_overview", "cluster_name", row)
            for row in named.iter_rows(named=True)
        }
        return draw(rows.with_columns(pl.col("cluster_name").replace(names)), display=display)

    return drawn


def _contacts(rows: pl.DataFrame, *, display: Display) -> ChartType:
    from clv_pipeline.publication.charts import ranking

    named = rows.rename({"segment": "name", "contacts": "amount"})
    return ranking(
        named,
        title=display.say("Customers to contact, by segment"),
        unit=display.say("Contacts that fit in the budget."),
        display=display,
    )


def _drivers(rows: pl.DataFrame, *, display: Display) -> ChartType:
    from clv_pipeline.publication.charts import ranking

    return ranking(
        rows.with_columns(rows["name"].replace(FEATURES)),
        title=display.say("What the forecasts depend on"),
        unit=display.say("By how much the loss grows when the fact is scrambled."),
        as_percent=True,
        display=display,
    )


def _products(rows: pl.DataFrame, *, display: Display) -> ChartType:
    """Products by revenue, or by customers where there is no money."""
    from clv_pipeline.publication.charts import ranking

    if rows["revenue"].is_null().all():
        title, unit = display.say("Products with the most customers"), display.say("Customers who bought.")
    else:
        title, unit = display.say("Products that brought most"), display.say("Revenue, net of returns.")
    return ranking(rows, title=title, unit=unit, display=display)


def _countries(rows: pl.DataFrame, *, display: Display) -> ChartType:
    """Countries by share of revenue, or by customers where there is no money."""
    from clv_pipeline.publication.charts import ranking

    has_money = rows["revenue"].is_not_null().any()
    if has_money:
        title, unit = display.say("Countries that brought most"), display.say("Share of revenue.")
    else:
        title, unit = display.say("Countries with the most customers"), display.say("Customers who bought.")
    return ranking(rows, title=title, unit=unit, as_percent=has_money, display=display)
