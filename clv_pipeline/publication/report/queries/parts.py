"""Parts of SQL that several queries share: horizons, targets, and means over past dates."""

# Only text of this module enters the SQL.
# ruff: noqa: S608

from __future__ import annotations

TOP = 15
"""Rows of a list of the best: customers, products, countries."""

LONGEST = "(select max(horizon_days) from clv_forecasts)"

HEADLINE = (
    "(select min(horizon_days) from forecast_totals"
    " where horizon_days >= 90 or horizon_days = (select max(horizon_days) from forecast_totals))"
)
"""The horizon of the summary: the shortest one of a quarter or more, as in what `clv run` prints."""

SERVED = "served_accuracy.horizon_days in (select horizon_days from forecast_totals)"
"""Past dates are also judged over horizons that nobody has asked for."""

LONGEST_JUDGED = f"(select max(horizon_days) from served_accuracy where {SERVED})"

SHOWN = f"horizon_days in ({HEADLINE}, {LONGEST_JUDGED})"
"""Of several horizons, charts with a plot for each show two: that of the summary, and the longest that was judged."""

HAS_MONEY = "(select count(revenue) > 0 or count(*) = 0 from rfm)"
"""Without any customer nothing is said about money."""

TARGET = f"(case when {HAS_MONEY} then 'spend' else 'purchases' end)"
"""What forecasts are judged by: spend, or purchases where there is no money."""


def mean(metric: str, target: str = TARGET, group: str = "group_kind = 'all'") -> str:
    """SQL for the mean of a metric of served_accuracy over past dates.

    Not by avg, which Spark rounds to six digits of such decimals.
    """
    where = f"filter (where target = {target} and metric = '{metric}' and {group})"
    return f"(cast(sum(cast(value as decimal(38, 10))) {where} as double) / count(value) {where})"
