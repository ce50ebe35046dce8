"""How good the forecasts are: by group, by probability, by model, and what moves them."""

# Only text of this package enters the SQL.
# ruff: noqa: S608

from __future__ import annotations

from clv_pipeline.publication.report.queries.parts import (
    HAS_MONEY,
    HEADLINE,
    LONGEST_JUDGED,
    SHOWN,
    TARGET,
    TOP,
    mean,
)

QUERIES: dict[str, str] = {
    "deciles": f"""
select
    horizon_days,
    cast(group_name as integer) as decile,
    {mean("predicted_mean", group="true")} as predicted_mean,
    {mean("actual_mean", group="true")} as actual_mean,
    any_value(target) as target
from served_accuracy
where target = {TARGET} and group_kind = 'decile' and group_name <> 'best 1 %' and {SHOWN}
group by all
order by all""",
    "gain": f"""
select
    decile,
    cast(actual / nullif(sum(actual) over (), 0) as double) as actual_share
from (
    select
        cast(group_name as integer) as decile,
        sum(cast(value * customers as decimal(38, 10))) as actual
    from served_accuracy
    where target = {TARGET} and group_kind = 'decile' and group_name <> 'best 1 %' and metric = 'actual_mean'
        and horizon_days = {HEADLINE} and value is not null
    group by group_name
)
order by decile""",
    # Whole numbers are added up as DOUBLE: a DuckDB 2.0.0 with its own settings wraps sums of integers beside such a
    # condition on the horizon, and these queries are there to be pasted into one.
    "scatter": f"""
select forecast_lower, actual_lower, cast(sum(cast(customers as double)) as bigint) as customers
from forecast_scatter
where horizon_days = {HEADLINE}
group by all
order by all""",
    # The best 1 % are in the first tenth, too.
    "group_errors": f"""
select
    group_kind,
    group_name,
    cutoff as forecast_on,
    max(customers) as customers,
    max(value * customers) filter (where metric = 'predicted_mean') as forecast,
    max(value * customers) filter (where metric = 'actual_mean') as actual
from served_accuracy
where target = {TARGET} and group_kind in ('segment', 'country', 'age', 'value') and group_name <> 'best 1 %'
    and horizon_days = {HEADLINE} and metric in ('predicted_mean', 'actual_mean') and value is not null
group by group_kind, group_name, cutoff
order by group_kind, try_cast(group_name as double) nulls first, group_name, cutoff""",
    "groups": f"""
select
    group_kind,
    group_name,
    count(distinct cutoff) as dates,
    {mean("predicted_mean", group="true")} as predicted_mean,
    {mean("actual_mean", group="true")} as actual_mean,
    {mean("absolute_bias", group="true")} as off_by,
    {mean("coverage", group="true")} as coverage
from served_accuracy
where target = {TARGET} and group_kind in ('segment', 'age', 'decile', 'country', 'value') and horizon_days = {HEADLINE}
group by group_kind, group_name
order by group_kind = 'decile', group_kind desc, try_cast(group_name as double) nulls first, group_name""",
    "probabilities": f"""
select
    any_value(horizon_days) as horizon_days,
    group_name as p_class,
    cast(
        sum(cast(customers as double)) filter (where target = 'alive' and metric = 'bought') as bigint
    ) as customers,
    sum(part) filter (where target = 'purchase' and metric = 'predicted_mean') / sum(customers) filter (
        where target = 'purchase' and metric = 'predicted_mean'
    ) as p_purchase,
    sum(part) filter (where target = 'alive' and metric = 'predicted_mean') / sum(customers) filter (
        where target = 'alive' and metric = 'predicted_mean' and value is not null
    ) as p_alive,
    sum(part) filter (where target = 'alive' and metric = 'bought') / sum(customers) filter (
        where target = 'alive' and metric = 'bought'
    ) as bought
from (
    select *, cast(value * customers as decimal(38, 10)) as part
    from served_accuracy
    where group_kind = 'p_class' and horizon_days = {HEADLINE} and customers > 0
)
group by group_name
having sum(customers) filter (where target = 'alive' and metric = 'bought') > 0
order by group_name""",
    # The same two horizons, read from the table itself: its own page has the chart before there are totals.
    "frequency": """
select horizon_days, repeats, customers, expected_purchases, actual_purchases, mean_p_purchase, share_bought
from tracking_by_frequency
where horizon_days in (
    (select min(horizon_days) from tracking_by_frequency where horizon_days >= 90),
    (select max(horizon_days) from tracking_by_frequency)
)
order by horizon_days, repeats""",
    "skills": f"""
select
    horizon_days,
    model,
    case when {HAS_MONEY} then tweedie_skill else poisson_skill end as skill,
    is_champion,
    {TARGET} as target
from model_leaderboard
where case when {HAS_MONEY} then tweedie_skill else poisson_skill end is not null
    and ({SHOWN} or {LONGEST_JUDGED} is null)
order by horizon_days, skill desc, model""",
    "leaderboard": """
select *
from model_leaderboard
order by horizon_days, rank nulls last, model""",
    "reasons": f"""
select model, why, why_code, why_facts
from model_leaderboard
where horizon_days = {HEADLINE}
order by rank nulls last, model""",
    "suggestions": """
select rank, suggestion, suggestion_code, suggestion_facts
from refinement_suggestions
order by rank""",
    "drivers": f"""
select
    feature as name,
    exp(importance) - 1 as amount,
    direction,
    horizon_days,
    model
from clv_drivers
where horizon_days = (select max(horizon_days) from clv_drivers) and importance > 0
order by importance desc, feature
limit {TOP}""",
}
