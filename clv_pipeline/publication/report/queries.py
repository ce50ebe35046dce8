"""What the report reads: named queries on the published tables, and their rows as cells that know where they are from.

Every query returns its rows in an order that no tie decides; sums of DOUBLE go through DECIMAL, because the same tables
have to give the same page. A query that finds nothing returns no row, and the template says so.
"""

# Only text of this module enters the SQL.
# ruff: noqa: S608

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import duckdb
    import polars as pl

TOP = 15
"""Rows of a list of the best: customers, products, countries."""

_LONGEST = "(select max(horizon_days) from clv_forecasts)"

_HEADLINE = (
    "(select min(horizon_days) from forecast_totals"
    " where horizon_days >= 90 or horizon_days = (select max(horizon_days) from forecast_totals))"
)
"""The horizon of the summary: the shortest one of a quarter or more, as in what `clv run` prints."""

_SERVED = "served_accuracy.horizon_days in (select horizon_days from forecast_totals)"
"""Past dates are also judged over horizons that nobody has asked for."""

_LONGEST_JUDGED = f"(select max(horizon_days) from served_accuracy where {_SERVED})"


_HAS_MONEY = "(select count(revenue) > 0 or count(*) = 0 from rfm)"
"""Without any customer nothing is said about money."""

_TARGET = f"(case when {_HAS_MONEY} then 'spend' else 'purchases' end)"
"""What forecasts are judged by: spend, or purchases where there is no money."""


def _mean(metric: str, target: str = _TARGET, group: str = "group_kind = 'all'") -> str:
    """SQL for the mean of a metric of served_accuracy over past dates."""
    where = f"target = {target} and metric = '{metric}' and {group}"
    return f"avg(cast(value as decimal(38, 10))) filter (where {where})"


QUERIES: dict[str, str] = {
    # A publication of an earlier version has no column currency; the name then stands for NULL.
    "publication": """
select run_id, published_at, as_of, pseudonym_key is not null as has_pseudonyms,
    (select currency from publication) as currency
from publication
cross join (select cast(null as varchar) as currency) as earlier""",
    "shop": """
select
    count(*) as customers,
    sum(revenue) as revenue,
    sum(frequency + 1) as purchases,
    min(first_purchase_date) as first_day,
    max(as_of) as as_of
from rfm""",
    "best_tenth": """
select customers, revenue, revenue_share
from revenue_deciles
where decile = 1""",
    "last_month": """
select
    calendar_month,
    revenue,
    customers,
    new_customers,
    new_customers / nullif(customers, 0) as new_share,
    cast(revenue as double) / nullif(cast(lag(revenue) over (order by calendar_month) as double), 0) - 1 as change
from sales_by_month
where not is_partial
order by calendar_month desc
limit 1""",
    "outlook": f"""
select
    totals.horizon_days,
    totals.model,
    totals.expected_purchases,
    cast(totals.expected_spend as double) as expected_spend,
    cast(totals.spend_lower as double) as spend_lower,
    cast(totals.spend_upper as double) as spend_upper,
    totals.interval_level,
    totals.notes,
    cast(sum(cast(clv_forecasts.p_purchase as decimal(18, 12))) as double) as expected_buyers,
    totals.horizon_days = {_HEADLINE} as is_headline
from forecast_totals as totals
left join clv_forecasts using (horizon_days)
group by all
order by totals.horizon_days""",
    "at_risk": f"""
select
    count(*) as customers,
    case when {_HAS_MONEY} then coalesce(sum(rfm.revenue), 0) end as revenue,
    case when {_HAS_MONEY} then coalesce(sum(segments.value_at_stake), 0) end as value_at_stake,
    {_LONGEST} as horizon_days
from segments
inner join rfm using (customer_id)
where segments.at_risk""",
    "most_at_stake": f"""
select
    customer_id,
    segment,
    days_since_last,
    usual_gap_days,
    overdue_since,
    value_at_stake,
    expected_spend,
    p_purchase,
    recommended_action,
    contact_channel,
    horizon_days
from customer_overview
where at_risk
order by coalesce(value_at_stake, horizon_days / usual_gap_days - expected_purchases) desc, customer_id
limit {TOP}""",
    "champion": f"""
select
    model,
    is_baseline,
    why,
    why_code in ('simple_rule_better', 'no_skill') as has_caveat
from model_leaderboard
where is_champion
order by horizon_days = {_HEADLINE} desc, horizon_days
limit 1""",
    "accuracy": f"""
select
    horizon_days,
    count(distinct cutoff) as dates,
    {_mean("absolute_bias")} as off_by,
    max(value) filter (where target = {_TARGET} and metric = 'absolute_bias' and group_kind = 'all') as worst,
    {_mean("best_rule_absolute_bias")} as rule_off_by,
    {_mean("mae")} as mae,
    {_mean("normalized_gini")} as normalized_gini,
    {_mean("auc", "'purchase'")} as auc,
    {_mean("coverage")} as coverage,
    {_mean("total_covered")} as total_covered,
    horizon_days = {_HEADLINE} as is_headline
from served_accuracy
where {_SERVED}
group by horizon_days
order by horizon_days""",
    "days": """
select calendar_day as day, cast(revenue as double) as revenue
from sales_by_day
where revenue is not null
order by calendar_day""",
    "months": """
select calendar_month, new_customers, returning_customers, revenue, orders
from sales_by_month
where not is_partial
order by calendar_month""",
    "best_month": """
select calendar_month, revenue, customers
from sales_by_month
where not is_partial
order by coalesce(revenue, customers) desc, calendar_month
limit 1""",
    "new_and_returning": """
select
    count(*) as months,
    sum(new_customers) as new_customers
from sales_by_month
where not is_partial""",
    "tenths": """
select decile, customers, revenue, revenue_share
from revenue_deciles
order by decile""",
    "best": """
select top_percent, customers, revenue, revenue_share, lowest_revenue
from revenue_concentration
order by top_percent""",
    "rfm_grid": """
select r_score, f_score, count(*) as customers
from rfm
group by all
order by all""",
    "rfm_corners": """
select
    count(*) filter (where r_score >= 4 and f_score >= 4) as good,
    count(*) filter (where r_score >= 4 and f_score >= 4) / nullif(count(*), 0) as good_share,
    count(*) filter (where r_score <= 2 and f_score >= 4) as slipping,
    count(*) filter (where r_score <= 2 and f_score >= 4) / nullif(count(*), 0) as slipping_share
from rfm""",
    "segments": """
select
    segment_profiles.segment,
    segment_profiles.customers,
    segment_profiles.customers / sum(segment_profiles.customers) over () as customer_share,
    segment_profiles.revenue,
    segment_profiles.revenue_share,
    segment_profiles.expected_spend,
    segment_profiles.p_purchase,
    segment_profiles.horizon_days,
    segment_actions.recommended_action,
    segment_actions.channel,
    segment_actions.cost_per_contact,
    segment_actions.max_spend_per_customer,
    segment_actions.margin,
    segment_actions.margin_source
from segment_profiles
inner join segment_actions using (segment)
order by coalesce(segment_profiles.revenue, segment_profiles.customers) desc, segment_profiles.segment""",
    "odd_segments": """
select
    fading.segment as fading,
    fading.p_purchase as fading_p_purchase,
    active.segment as active,
    active.p_purchase as active_p_purchase
from segment_profiles as fading
inner join segment_profiles as active on fading.p_purchase > active.p_purchase
where fading.claim = 'fading' and active.claim = 'active'
    and least(fading.customers, active.customers) >= 0.01 * (select sum(customers) from segment_profiles)
order by fading.p_purchase desc, active.p_purchase, fading.segment, active.segment
limit 1""",
    "moves": """
select from_segment, to_segment, previous_as_of, customers, share_of_segment
from segment_migrations
where has_changed
order by customers desc, from_segment, to_segment
limit 8""",
    "clusters": """
select
    cluster_name,
    customers,
    customer_share,
    median_days_since_last,
    median_frequency,
    median_revenue
from cluster_profiles
order by cluster""",
    "cluster_shares": """
select cluster_name as name, customer_share as amount
from cluster_profiles
order by cluster""",
    "clv": f"""
select
    horizon_days,
    -- The edges 1, 2, 5, 10, 20 and so on that are not above the amount: those of its power of ten, and of lower ones.
    case
        when clv < 1 then 0
        else cast(3 * exponent + 1 + (clv / pow(10, exponent) >= 2)::int + (clv / pow(10, exponent) >= 5)::int as int)
    end as step,
    count(*) as customers,
    sum(clv) as value
from (
    select
        horizon_days,
        cast(clv as decimal(28, 4)) as clv,
        floor(log10(greatest(clv, 1))) as exponent
    from clv_forecasts
    where clv is not null
)
where horizon_days = {_LONGEST}
group by all
order by step""",
    "clv_best_tenth": f"""
select
    any_value(horizon_days) as horizon_days,
    count(*) as customers,
    sum(clv) as clv,
    cast(sum(clv) filter (where place <= customers_in_all / 10) as double)
    / nullif(cast(sum(clv) as double), 0) as best_tenth_share,
    median(clv) as median_clv
from (
    select
        horizon_days,
        cast(clv as decimal(28, 4)) as clv,
        row_number() over (order by clv desc, customer_id) as place,
        count(*) over () as customers_in_all
    from clv_forecasts
    where horizon_days = {_LONGEST} and clv is not null
)""",
    "most_likely_nothing": """
select
    any_value(horizon_days) as horizon_days,
    count(*) as customers,
    count(*) filter (where p_purchase < 0.5) as nothing,
    count(lifetime_value) as with_lifetime_value,
    sum(lifetime_value) as lifetime_value
from customer_overview""",
    "top_customers": f"""
select
    customer_id,
    segment,
    revenue,
    p_purchase,
    expected_spend,
    spend_lower,
    spend_upper,
    interval_level,
    next_order_date,
    clv,
    clv_rank,
    expected_purchases,
    frequency,
    horizon_days
from customer_overview
order by clv_rank, case when clv_rank is null then -expected_purchases end, customer_id
limit {TOP}""",
    "ranges": f"""
select
    horizon_days,
    {_mean("coverage")} as held,
    {_mean("coverage", group="group_kind = 'decile' and group_name = '1'")} as held_of_best_tenth
from served_accuracy
where horizon_days = {_LONGEST_JUDGED}
group by horizon_days""",
    # Without money there is nothing to show.
    "months_ahead": """
select *, cast(total_revenue as double) / nullif(cast(last_year_revenue as double), 0) - 1 as change
from revenue_outlook
where total_revenue is not null
order by month""",
    "weeks": """
select *
from tracking
order by week_ends""",
    "cohorts": """
select cohort_month, age_months, retention
from cohorts
where age_months between 1 and 24 and is_complete
order by cohort_month, age_months""",
    "cohort_reading": """
select
    age_months,
    sum(active_customers) as came_back,
    sum(customers) as customers,
    sum(active_customers) / sum(customers) as retention,
    (select max(retention) from cohorts where age_months between 1 and 24 and is_complete) as highest
from cohorts
where age_months in (1, 3, 6, 12) and is_complete
group by age_months
order by age_months""",
    "products": f"""
select
    product_id as name,
    coalesce(cast(revenue as double), customers) as amount,
    revenue,
    revenue_share,
    customers,
    repeat_share
from product_performance
order by revenue_rank, case when revenue_rank is null then -customers end, product_id
limit {TOP}""",
    "product_count": """
select
    count(*) as products,
    cast(sum(revenue) filter (where place * 10 <= count_of_all) as double)
    / nullif(cast(sum(revenue) as double), 0) as best_tenth_share
from (
    select
        revenue,
        row_number() over (order by revenue desc, product_id) as place,
        count(*) over () as count_of_all
    from product_performance
)
having count(*) > 0""",
    "countries": f"""
select country as name, coalesce(revenue_share, customers) as amount, revenue, customers, repeat_share
from country_performance
order by revenue_rank, case when revenue_rank is null then -customers end, country
limit {TOP}""",
    "country_count": """
select count(*) as countries
from country_performance
having count(*) > 0""",
    "campaign": """
select
    contact_order as contacts,
    cumulative_cost,
    cumulative_return,
    assumed_uplift,
    cumulative_break_even_uplift,
    horizon_days,
    cost_per_contact,
    basis,
    basis_code = 'measured_uplift' as is_measured
from campaign_plan
order by contact_order desc
limit 1""",
    "campaign_segments": """
select
    segment,
    count(*) as contacts,
    sum(cost_per_contact) as cost,
    max(uplift) as uplift,
    sum(expected_return) as expected_return
from campaign_plan
group by segment
order by expected_return desc, segment""",
    "campaigns": f"""
select campaign, started_on, contacts, controls, uplift, profit, verdict
from campaign_results
where is_stated
order by started_on desc, campaign
limit {TOP}""",
    "outcomes": """
select
    outcome,
    cast(sum("rows") as bigint) as "rows",
    sum("rows") / sum(sum("rows")) over () as share_of_rows,
    sum(amount) as amount
from row_ledger
group by outcome
order by outcome = 'kept' desc, "rows" desc, outcome""",
    "files": f"""
select
    source_file,
    cast(sum("rows") as bigint) as all_rows,
    cast(coalesce(sum("rows") filter (where outcome = 'kept'), 0) as bigint) as kept_rows
from row_ledger
group by source_file
order by all_rows - kept_rows desc, source_file
limit {TOP}""",
    "accepted": """
select kind, file_or_day, string_agg(finding, '; ' order by measure) as findings
from accepted_findings
group by kind, file_or_day
order by kind, file_or_day desc""",
    "ledger": """
select
    count(distinct source_file) as files,
    cast(sum("rows") as bigint) as all_rows,
    cast(coalesce(sum("rows") filter (where outcome = 'kept'), 0) as bigint) as kept_rows,
    coalesce(sum("rows") filter (where outcome = 'kept'), 0) / nullif(sum("rows"), 0) as kept_share
from row_ledger""",
    "checks": """
select
    count(*) as tables,
    sum(passed) as passed,
    sum(len(warnings)) as warned
from (
    select unnest(from_json(checks, '[{"table": "VARCHAR", "passed": "INTEGER", "warnings": ["VARCHAR"]}]'),
        recursive := true)
    from publication
)""",
    "warnings": """
select "table" as name, unnest(warnings) as warning
from (
    select unnest(from_json(checks, '[{"table": "VARCHAR", "passed": "INTEGER", "warnings": ["VARCHAR"]}]'),
        recursive := true)
    from publication
)
order by all""",
    "backtests": f"""
select
    horizon_days,
    cutoff as forecast_on,
    any_value(value) filter (where metric = 'predicted_mean') * any_value(customers) as forecast_spend,
    any_value(value) filter (where metric = 'actual_mean') * any_value(customers) as actual_spend,
    any_value(target) as target
from served_accuracy
where target = {_TARGET} and group_kind = 'all' and metric in ('predicted_mean', 'actual_mean') and {_SERVED}
group by all
order by all""",
    "deciles": f"""
select
    horizon_days,
    cast(group_name as integer) as decile,
    {_mean("predicted_mean", group="true")} as predicted_mean,
    {_mean("actual_mean", group="true")} as actual_mean,
    any_value(target) as target
from served_accuracy
where target = {_TARGET} and group_kind = 'decile' and group_name <> 'best 1 %' and {_SERVED}
group by all
order by all""",
    "groups": f"""
select
    group_kind,
    group_name,
    count(distinct cutoff) as dates,
    {_mean("predicted_mean", group="true")} as predicted_mean,
    {_mean("actual_mean", group="true")} as actual_mean,
    {_mean("absolute_bias", group="true")} as off_by,
    {_mean("coverage", group="true")} as coverage
from served_accuracy
where target = {_TARGET} and group_kind in ('segment', 'age', 'decile') and horizon_days = {_HEADLINE}
group by group_kind, group_name
order by group_kind = 'decile', group_kind desc, try_cast(group_name as integer) nulls first, group_name""",
    "probabilities": f"""
select
    any_value(horizon_days) as horizon_days,
    group_name as p_class,
    cast(sum(customers) filter (where target = 'alive' and metric = 'bought') as bigint) as customers,
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
    where group_kind = 'p_class' and horizon_days = {_HEADLINE} and customers > 0
)
group by group_name
having sum(customers) filter (where target = 'alive' and metric = 'bought') > 0
order by group_name""",
    "frequency": """
select horizon_days, repeats, customers, expected_purchases, actual_purchases, mean_p_purchase, share_bought
from tracking_by_frequency
order by horizon_days, repeats""",
    "skills": f"""
select
    horizon_days,
    model,
    case when {_HAS_MONEY} then tweedie_skill else poisson_skill end as skill,
    is_champion,
    {_TARGET} as target
from model_leaderboard
where case when {_HAS_MONEY} then tweedie_skill else poisson_skill end is not null
order by horizon_days, skill desc, model""",
    "leaderboard": """
select *
from model_leaderboard
order by horizon_days, rank nulls last, model""",
    "reasons": f"""
select model, why
from model_leaderboard
where horizon_days = {_HEADLINE}
order by rank nulls last, model""",
    "earlier": f"""
select
    as_of,
    horizon_days,
    model,
    status,
    horizon_ends,
    elapsed_share,
    forecast_spend,
    actual_spend,
    bias,
    interval_coverage,
    interval_level,
    forecast_buyers_share,
    actual_buyers_share
from forecast_tracking
order by status = 'passed' desc, as_of desc, horizon_days
limit {TOP}""",
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
    "dictionary": """
select
    tables.table_name as name,
    tables.comment as description,
    columns.column_name,
    columns.data_type,
    columns.comment as meaning
from duckdb_tables() as tables
inner join duckdb_columns() as columns using (schema_name, table_name)
where tables.database_name = current_database() and columns.database_name = current_database()
order by tables.table_name, columns.column_index""",
}
"""The queries by name. The report lists them, so that every number can be found in the published tables."""


@dataclass(frozen=True)
class Cell:
    """A value and where it stands: the query, the row (from 0) and the column."""

    value: Any
    query: str
    row: int
    column: str

    def __str__(self) -> str:
        return str(self.value)


def read(connection: duckdb.DuckDBPyConnection, name: str) -> pl.DataFrame:
    """The rows of a query of the report."""
    frame: pl.DataFrame = connection.sql(QUERIES[name]).pl()
    return frame


def cells(name: str, frame: pl.DataFrame) -> list[dict[str, Cell]]:
    """The rows of a query for a template: cells by column."""
    return [
        {column: Cell(value, name, number, column) for column, value in row.items()}
        for number, row in enumerate(frame.iter_rows(named=True))
    ]
