"""Pictures of promoted tables for Dagster, and numbers that it plots over runs.

Everything is aggregated; no customer is named, because all users of the UI see it. They are in English, like Dagster's
own pages.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

import dagster as dg

from clv_pipeline.display import ENGLISH
from clv_pipeline.errors import PictureError
from clv_pipeline.orchestration.gated_step import Describe, Metadata
from clv_pipeline.publication.report.figures import Figure, figures
from clv_pipeline.publication.report.queries import QUERIES
from clv_pipeline.warehouse import Session

if TYPE_CHECKING:
    import polars as pl
    from altair.typing import ChartType


def _picture(chart: ChartType) -> dg.MarkdownMetadataValue:
    """The chart, described by its title."""
    from clv_pipeline.publication.charts.pictures import specified, title_of, to_picture

    specification = specified(chart)
    try:
        encoded = base64.b64encode(to_picture(specification).encode()).decode()
    except PictureError as error:
        return _not_drawn(error)
    return dg.MetadataValue.md(f"![{title_of(specification)['text']}](data:image/svg+xml;base64,{encoded})")


def _not_drawn(error: PictureError) -> dg.MarkdownMetadataValue:
    """What stands in the place of a picture; the log has what is quoted of the shop, too."""
    dg.get_dagster_logger().warning(str(error))
    return dg.MetadataValue.md(error.what)


def _figures(session: Session, names: Mapping[str, str]) -> Metadata:
    """Figures of the report as pictures, by their titles; figures without data are left out."""
    known = figures()
    shown: Metadata = {}
    for shown_as, name in names.items():
        shown |= _drawn(known[name], session.read(QUERIES[known[name].query]), shown_as)
    return shown


def _drawn(figure: Figure, rows: pl.DataFrame, shown_as: str = "plot") -> Metadata:
    """A figure as a picture; nothing where there is nothing to draw."""
    try:
        chart = figure.of(rows, ENGLISH)
    except PictureError as error:
        return {shown_as: _not_drawn(error)}
    return {} if chart is None else {shown_as: _picture(chart)}


def _table(rows: pl.DataFrame) -> dg.TableMetadataValue:
    """The rows for the UI: four digits after the point, days as text."""
    import polars as pl
    from polars import selectors

    shown = rows.with_columns(selectors.float().round(4), selectors.date().cast(pl.String))
    return dg.MetadataValue.table([dg.TableRecord(row) for row in shown.iter_rows(named=True)])


def revenue_plot(session: Session) -> Metadata:
    """Revenue over time; nothing without money."""
    from clv_pipeline.publication.charts import daily_revenue

    days = session.read(
        "select purchase_day as day, cast(sum(revenue) as double) as revenue from customer_days"
        " where revenue is not null and superseded_on is null group by 1 order by 1"
    )
    if days.is_empty():
        return {}
    return {
        **_drawn(Figure("customer_days", daily_revenue), days),
        "revenue": float(days["revenue"].sum()),
    }


def rfm_plot(session: Session) -> Metadata:
    """Customers in the recency × frequency grid."""
    from clv_pipeline.publication.charts import rfm_heatmap

    cells = session.read("select r_score, f_score, count(*) as customers from rfm group by all order by all")
    return _drawn(Figure("rfm", rfm_heatmap), cells)


def segment_plot(session: Session) -> Metadata:
    """The segments' shares of customers and revenue."""
    from clv_pipeline.publication.charts import segment_map

    profiles = session.read("select segment, customers, revenue from segment_profiles order by segment")
    return _drawn(Figure("segment_profiles", segment_map), profiles)


def ledger_numbers(session: Session) -> Metadata:
    """Rows and money by outcome."""
    outcomes = session.read(
        'select outcome, sum("rows")::bigint as "rows", sum(amount)::double as amount from row_ledger'
        " group by outcome order by 2 desc, outcome"
    )
    rows: dict[str, int] = dict(outcomes.select("outcome", "rows").iter_rows())
    return {
        **_figures(session, {"plot": "ledger"}),
        "outcomes": _table(outcomes),
        "share of rows kept": round(rows["kept"] / sum(rows.values()), 4),
    }


def forecast_plots(session: Session) -> Metadata:
    """The distribution of clv over the longest horizon, repeat purchases week by week, and all horizons' totals."""
    totals = session.read(
        "select horizon_days, sum(expected_purchases) as expected_purchases, sum(expected_spend)::double as"
        " expected_spend, sum(p_purchase) as expected_buyers from clv_forecasts group by horizon_days"
        " order by horizon_days"
    )
    numbers: Metadata = {}
    for total in totals.iter_rows(named=True):
        # Separate numbers are plotted over the runs.
        if total["expected_spend"] is not None:
            numbers[f"expected spend in {total['horizon_days']} days"] = round(total["expected_spend"], 2)
        numbers[f"expected buyers in {total['horizon_days']} days"] = round(total["expected_buyers"], 1)
    return {
        **_figures(session, {"plot": "clv", "tracking plot": "tracking"}),
        "totals": _table(totals),
        **numbers,
    }


def totals_plot(session: Session) -> Metadata:
    """All horizons' totals with their ranges, and how good such forecasts were on past dates."""
    from clv_pipeline.publication.charts import revenue_fan

    totals = session.read(
        "select * replace (expected_spend::double as expected_spend, spend_lower::double as spend_lower,"
        " spend_upper::double as spend_upper) from forecast_totals order by horizon_days"
    )
    shown = totals.select("horizon_days", "expected_purchases", "expected_spend", "spend_lower", "spend_upper", "notes")
    accuracy = {
        "scatter": "scatter",
        "gain": "gain",
        "deciles": "deciles",
        "P(buy)": "probabilities",
        "groups": "groups",
    }
    return {
        **_drawn(Figure("forecast_totals", revenue_fan), totals),
        "totals": _table(shown),
        **_figures(session, accuracy),
    }


def outlook_plot(session: Session) -> Metadata:
    """Revenue by month, past and ahead; nothing in a shop without money."""
    return _figures(session, {"plot": "months_ahead", "history": "sales"})


def acquisition_plots(session: Session) -> Metadata:
    """What new customers bring and cost, by channel; nothing where no channel is known."""
    return _figures(session, {"plot": "acquisition", "payback": "payback"})


def campaign_plot(session: Session) -> Metadata:
    """The uplift of every campaign with its range."""
    return _figures(session, {"plot": "campaigns"})


def metric_table(session: Session) -> Metadata:
    """Bias, ranking and skill of spend, without money of purchases, for every model at its latest cutoff."""
    target = _judged(session, "evaluation_metrics")
    shown = {
        "spend": ["mae", "bias", "normalized_gini", "tweedie_skill", "r2"],
        "purchases": ["mae", "bias", "poisson_skill", "spearman"],
    }[target]
    metrics = session.read(
        "select horizon_days, model, cutoff, metric, value from evaluation_metrics where target = ?"
        " and list_contains(?, metric) qualify cutoff = max(cutoff) over (partition by horizon_days, model)"
        " order by horizon_days, model, metric",
        [target, shown],
    ).pivot("metric", on_columns=shown, index=["horizon_days", "model", "cutoff"], values="value")
    # Without a complete window there is nothing to judge.
    return {} if metrics.is_empty() else {f"{target} at the latest cutoff": _table(metrics)}


def _judged(session: Session, table: str) -> str:
    """What the forecasts of a table of metrics are judged by: spend, or purchases where there is no money."""
    query = f"select count(*) > 0 as has_money from {table} where target = 'spend'"  # noqa: S608  (a name of ours)
    return "spend" if session.read(query).item() else "purchases"


def leaderboard_plots(session: Session) -> Metadata:
    """Skills of all models with the reasons, and a sentence about the one that serves."""
    import polars as pl

    from clv_pipeline.publication.charts import leaderboard

    board = session.read("select * from model_leaderboard order by horizon_days, rank nulls last, model")
    reasons = board.select(
        *("horizon_days", "model", "rank", "is_champion", "preferred", "log_ratio", "log_ratio_error"),
        *("tweedie_skill", "poisson_skill", "auc", "why"),
    )
    shown: Metadata = {"leaderboard": _table(reasons)}
    what = "spend" if board["tweedie_skill"].is_not_null().any() else "purchases"
    skill_of = "tweedie_skill" if what == "spend" else "poisson_skill"
    if board[skill_of].is_not_null().any():
        skills = board.rename({skill_of: "skill"})
        shown |= _drawn(Figure("model_leaderboard", partial(leaderboard, what=what)), skills)
    for champion in board.filter("is_champion").iter_rows(named=True):
        if champion[skill_of] is not None:
            skill = round(champion[skill_of], 4)
            shown[f"champion's skill at {champion['horizon_days']} days"] = skill
    doubtful = board.filter("is_champion", pl.col("why_code").is_in(["simple_rule_better", "no_skill"]))
    for model, why in doubtful.select("model", "why").unique(maintain_order=True).head(1).iter_rows():
        shown["caveat"] = f"{model}: {why}"
    return shown


def served_accuracy_plots(session: Session) -> Metadata:
    """Forecasts as served on past dates against the outcomes: in total, and the average error."""
    from clv_pipeline.publication.charts import forecast_against_actual

    target = _judged(session, "served_accuracy")
    windows = session.read(
        "select horizon_days, cutoff as forecast_on, max(customers) as customers,"
        " max(case when metric = 'predicted_mean' then value end) as predicted_mean,"
        " max(case when metric = 'actual_mean' then value end) as actual_mean,"
        " max(case when metric = 'absolute_bias' then value end) as absolute_bias,"
        " max(case when metric = 'normalized_gini' then value end) as normalized_gini,"
        " max(case when metric = 'coverage' then value end) as coverage"
        " from served_accuracy where target = ? and group_kind = 'all' group by horizon_days, cutoff"
        " order by horizon_days, cutoff",
        [target],
    )
    if windows.is_empty():
        return {}
    import polars as pl

    totals = windows.with_columns(
        forecast_spend=pl.col("predicted_mean") * pl.col("customers"),
        actual_spend=pl.col("actual_mean") * pl.col("customers"),
    )
    shown = _drawn(Figure("served_accuracy", partial(forecast_against_actual, what=target)), totals)
    means = windows.group_by("horizon_days", maintain_order=True).agg(
        past_dates=pl.len(),
        total_off_by=pl.col("absolute_bias").mean(),
        normalized_gini=pl.col("normalized_gini").mean(),
        within_their_range=pl.col("coverage").mean(),
    )
    shown["as it would have been served"] = _table(means)
    for horizon, off_by in means.select("horizon_days", "total_off_by").drop_nulls().iter_rows():
        shown[f"total off by at {horizon} days"] = round(off_by, 4)
    return shown


def frequency_plot(session: Session) -> Metadata:
    """Expected and actual purchases, by number of earlier purchases."""
    return _figures(session, {"plot": "frequency"})


def buyers_plot(session: Session) -> Metadata:
    """Buyers over time, and the last complete month."""
    shown = _figures(session, {"plot": "buyers"})
    for month in session.read(QUERIES["last_month"]).iter_rows(named=True):
        if month["revenue"] is not None:
            shown["revenue of the last complete month"] = float(month["revenue"])
        shown["customers of the last complete month"] = month["customers"]
        shown["new customers of the last complete month"] = month["new_customers"]
    return shown


def distribution_plot(session: Session) -> Metadata:
    """The revenue of every decile of the customers; nothing without money."""
    from clv_pipeline.publication.charts import revenue_by_tenth

    shares = session.read(QUERIES["best_tenth"])["revenue_share"]
    if shares.is_empty():
        return {}
    [best] = shares
    return {
        **_drawn(Figure("tenths", revenue_by_tenth), session.read(QUERIES["tenths"])),
        "share of revenue of the best decile": round(best, 4),
    }


def cohort_plot(session: Session) -> Metadata:
    """Returning customers, by month of the first purchase."""
    shown = _figures(session, {"plot": "cohorts", "curves": "retention"})
    for age, retention in session.read(QUERIES["cohort_reading"]).select("age_months", "retention").iter_rows():
        shown[f"share who bought again {age} months later"] = round(retention, 4)
    return shown


def driver_plot(session: Session) -> Metadata:
    """The drivers of the forecasts over the longest horizon."""
    return _figures(session, {"plot": "drivers"})


def product_numbers(session: Session) -> Metadata:
    """The products with the most revenue and the number of products, or a note that none are known."""
    return {
        **_figures(session, {"plot": "products"}),
        **_known(session, "product_performance", "products", "product_id"),
    }


def country_numbers(session: Session) -> Metadata:
    """The countries with the most revenue and the number of countries, or a note that none are known."""
    return {
        **_figures(session, {"plot": "countries"}),
        **_known(session, "country_performance", "countries", "country"),
    }


def _known(session: Session, table: str, what: str, column: str) -> Metadata:
    count = session.count(table)
    return {what: count or f"none are known: the source maps no {column}, or it is always empty"}


def campaign_numbers(session: Session) -> Metadata:
    """Cost and return of the planned campaign, or a note that none is configured."""
    if session.count("campaign_settings") == 0:
        return {"campaign": "none is planned: `campaign:` is not in clv.yaml"}
    plan = session.read(
        "select cumulative_cost::double as cost, cumulative_return::double as expected_return,"
        " cumulative_break_even_uplift as break_even, basis from campaign_plan order by contact_order desc limit 1"
    )
    if plan.is_empty():
        return {"campaign": "nobody is contacted: no contact pays with this uplift, or the budget is too small"}
    [total] = plan.iter_rows(named=True)
    return {
        **_figures(session, {"plot": "campaign"}),
        "campaign": total["basis"],
        "cost": total["cost"],
        "expected return": total["expected_return"],
        "break-even uplift": round(total["break_even"], 6),
    }


def _only(**names: str) -> Describe:
    """Shows figures of the report, and nothing else."""
    return lambda session: _figures(session, names)


PLOTS: dict[str, Describe] = {
    "customer_overview": _only(
        plot="clusters", profiles="cluster_profiles", segments="cluster_segments", alive="alive"
    ),
    "order_gaps": _only(plot="order_gaps"),
    "order_hours": _only(plot="order_hours"),
    "order_sizes": _only(plot="order_sizes"),
    "order_values": _only(plot="order_values"),
    "segment_flows": _only(plot="segment_flows"),
    "segment_history": _only(plot="segment_sizes"),
    "campaign_plan": campaign_numbers,
    "clv_drivers": driver_plot,
    "cohorts": cohort_plot,
    "country_performance": country_numbers,
    "customer_days": revenue_plot,
    "product_performance": product_numbers,
    "revenue_deciles": distribution_plot,
    "rfm": rfm_plot,
    "row_ledger": ledger_numbers,
    "sales_by_month": buyers_plot,
    "segment_profiles": segment_plot,
    "tracking_by_frequency": frequency_plot,
}
"""Pictures and numbers of tables that SQL builds."""
