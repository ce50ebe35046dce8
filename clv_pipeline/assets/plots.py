"""What Dagster shows of a promoted table: a picture, and numbers that it plots over runs.

Everything is aggregated; no customer is named, because all who can open the UI see it.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import TYPE_CHECKING

import dagster as dg

from clv_pipeline.assets.tables import Describe, Metadata
from clv_pipeline.report.figures import figures
from clv_pipeline.report.queries import QUERIES
from clv_pipeline.warehouse import Session

if TYPE_CHECKING:
    import polars as pl
    from altair.typing import ChartType


def _picture(chart: ChartType, says: str) -> dg.MarkdownMetadataValue:
    from clv_pipeline.insights.look import to_png

    encoded = base64.b64encode(to_png(chart)).decode()
    return dg.MetadataValue.md(f"![{says}](data:image/png;base64,{encoded})")


def _figures(session: Session, names: Mapping[str, str]) -> Metadata:
    """Figures of the report as pictures: by what they are called on the page, those that have something to draw."""
    known = figures()
    charts = {shown_as: known[name].of(session.read(QUERIES[known[name].query])) for shown_as, name in names.items()}
    return {
        shown_as: _picture(chart, chart.to_dict()["title"]["text"])
        for shown_as, chart in charts.items()
        if chart is not None
    }


def _table(rows: pl.DataFrame) -> dg.TableMetadataValue:
    """The rows as the UI shows them: four digits after the point, days as text."""
    import polars as pl
    from polars import selectors

    shown = rows.with_columns(selectors.float().round(4), selectors.date().cast(pl.String))
    return dg.MetadataValue.table([dg.TableRecord(row) for row in shown.iter_rows(named=True)])


def revenue_plot(session: Session) -> Metadata:
    """Revenue over time."""
    from clv_pipeline.insights.charts import daily_revenue

    days = session.read(
        "select purchase_day as day, cast(sum(revenue) as double) as revenue from customer_days group by 1 order by 1"
    )
    return {
        "plot": _picture(daily_revenue(days), "revenue over time"),
        "revenue": float(days["revenue"].sum()),
    }


def rfm_plot(session: Session) -> Metadata:
    """Customers in the recency × frequency grid."""
    from clv_pipeline.insights.charts import rfm_heatmap

    cells = session.read("select r_score, f_score, count(*) as customers from rfm group by all order by all")
    return {"plot": _picture(rfm_heatmap(cells), "customers by recency and frequency score")}


def segment_plot(session: Session) -> Metadata:
    """The segments' shares of customers and revenue."""
    from clv_pipeline.insights.charts import segment_map

    profiles = session.read("select segment, customers, revenue from segment_profiles order by segment")
    return {"plot": _picture(segment_map(profiles), "segments by customers and revenue")}


def ledger_numbers(session: Session) -> Metadata:
    """Rows and money by outcome."""
    outcomes = session.read(
        'select outcome, sum("rows")::bigint as "rows", sum(amount)::double as amount from row_ledger'
        " group by outcome order by 2 desc"
    )
    rows: dict[str, int] = dict(outcomes.select("outcome", "rows").iter_rows())
    return {
        **_figures(session, {"plot": "ledger"}),
        "outcomes": _table(outcomes),
        "share of rows kept": round(rows["kept"] / sum(rows.values()), 4),
    }


def forecast_plots(session: Session) -> Metadata:
    """The distribution of clv over the longest horizon, and all horizons' totals with intervals."""
    totals = session.read(
        "select horizon_days, expected_spend, spend_lower, spend_upper, expected_buyers from forecast_totals"
        " join (select horizon_days, sum(p_purchase) as expected_buyers from clv_forecasts group by 1)"
        " using (horizon_days) order by 1"
    )
    numbers: Metadata = {}
    for total in totals.iter_rows(named=True):
        # Numbers by themselves are drawn over the runs; the table has the intervals, too.
        numbers[f"expected spend in {total['horizon_days']} days"] = round(total["expected_spend"], 2)
        numbers[f"expected buyers in {total['horizon_days']} days"] = round(total["expected_buyers"], 1)
    return {
        **_figures(session, {"plot": "clv", "totals plot": "horizons"}),
        "totals": _table(totals),
        **numbers,
    }


def metric_table(session: Session) -> Metadata:
    """How far off in sum and how well ranked the spend of every model was, at its latest cutoff."""
    shown = ["mae", "bias", "normalized_gini", "r2"]
    metrics = session.read(
        "select horizon_days, model, cutoff, metric, value from evaluation_metrics where target = 'spend'"
        " and list_contains(?, metric) qualify cutoff = max(cutoff) over (partition by horizon_days, model)"
        " order by horizon_days, model",
        [shown],
    ).pivot("metric", on_columns=shown, index=["horizon_days", "model", "cutoff"], values="value")
    # Without a complete window there is nothing to judge.
    return {} if metrics.is_empty() else {"spend at the latest cutoff": _table(metrics)}


def leaderboard_plots(session: Session) -> Metadata:
    """Scores of all models with the reasons, and the champions' predictions against what came."""
    from clv_pipeline.insights.charts import calibration_by_decile, leaderboard

    board = session.read("select * from model_leaderboard order by horizon_days, rank nulls last, model")
    deciles = session.read(
        "select horizon_days, model, decile, predicted_mean, actual_mean from calibration"
        " semi join (select horizon_days, model from model_leaderboard where is_champion)"
        " using (horizon_days, model)"
        " qualify cutoff = max(cutoff) over (partition by horizon_days) order by all"
    )
    reasons = board.select("horizon_days", "model", "rank", "is_champion", "serves_purchase", "score", "brier", "why")
    shown: Metadata = {"leaderboard": _table(reasons)}
    if board["score"].is_not_null().any():
        title = "score: normalized MAE + (1 − normalized Gini) + |bias|"
        shown["plot"] = _picture(leaderboard(board, score_title=title, lower_is_better=True), "model scores")
    if not deciles.is_empty():
        shown["calibration plot"] = _picture(
            calibration_by_decile(deciles), "predicted against actual spend by decile of the champions"
        )
    for champion in board.filter("is_champion").iter_rows(named=True):
        for measure in ("bias", "normalized_gini"):
            if champion[measure] is not None:
                shown[f"champion's {measure} at {champion['horizon_days']} days"] = round(champion[measure], 4)
    return shown


def sales_plots(session: Session) -> Metadata:
    """Revenue and buyers over time, and how the last complete month was."""
    shown = _figures(session, {"plot": "sales", "buyers plot": "buyers"})
    for month in session.read(QUERIES["last_month"]).iter_rows(named=True):
        shown["revenue of the last complete month"] = float(month["revenue"])
        shown["customers of the last complete month"] = month["customers"]
        shown["new customers of the last complete month"] = month["new_customers"]
    return shown


def distribution_plot(session: Session) -> Metadata:
    """The revenue of every tenth of the customers."""
    [best] = session.read(QUERIES["best_tenth"])["revenue_share"]
    return {**_figures(session, {"plot": "tenths"}), "share of revenue of the best tenth": round(best, 4)}


def cohort_plot(session: Session) -> Metadata:
    """Who comes back, by month of the first purchase."""
    shown = _figures(session, {"plot": "cohorts"})
    for age, retention in session.read(QUERIES["cohort_reading"]).select("age_months", "retention").iter_rows():
        shown[f"share who bought again {age} months later"] = round(retention, 4)
    return shown


def driver_plot(session: Session) -> Metadata:
    """What moves the forecasts of the longest horizon."""
    return _figures(session, {"plot": "drivers"})


def cluster_plot(session: Session) -> Metadata:
    """How the customers spread over the clusters."""
    return _figures(session, {"plot": "clusters"})


def product_numbers(session: Session) -> Metadata:
    """What products brought most, and how many there are, or that none are known."""
    return {
        **_figures(session, {"plot": "products"}),
        **_known(session, "product_performance", "products", "product_id"),
    }


def country_numbers(session: Session) -> Metadata:
    """What countries brought most, and how many there are, or that none are known."""
    return {
        **_figures(session, {"plot": "countries"}),
        **_known(session, "country_performance", "countries", "country"),
    }


def _known(session: Session, table: str, what: str, column: str) -> Metadata:
    count = session.count(table)
    return {what: count or f"none are known: the source maps no {column}, or it is always empty"}


def campaign_numbers(session: Session) -> Metadata:
    """What the planned campaign costs and is assumed to bring, or that none is configured."""
    if session.count("campaign_settings") == 0:
        return {"campaign": "none is planned: `campaign:` is not in clv.yaml"}
    plan = session.read(
        "select cumulative_cost::double as cost, cumulative_return::double as assumed_return,"
        " cumulative_break_even_uplift as break_even, basis from campaign_plan order by contact_order desc limit 1"
    )
    if plan.is_empty():
        return {"campaign": "nobody is contacted: no contact pays under the assumption, or the budget is too small"}
    [total] = plan.iter_rows(named=True)
    return {
        **_figures(session, {"plot": "campaign"}),
        "campaign": total["basis"],
        "cost": total["cost"],
        "assumed return": total["assumed_return"],
        "break-even uplift": round(total["break_even"], 6),
    }


PLOTS: dict[str, Describe] = {
    "campaign_plan": campaign_numbers,
    "cluster_profiles": cluster_plot,
    "cohorts": cohort_plot,
    "country_performance": country_numbers,
    "customer_days": revenue_plot,
    "product_performance": product_numbers,
    "revenue_distribution": distribution_plot,
    "rfm": rfm_plot,
    "row_ledger": ledger_numbers,
    "sales_trends": sales_plots,
    "segment_profiles": segment_plot,
}
"""What is shown of tables that SQL builds."""
