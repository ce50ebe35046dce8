"""What the first screen says: the shop, what is ahead, how sure that is, who is at risk, and what to doubt."""

# Only text of this package enters the SQL.
# ruff: noqa: S608

from __future__ import annotations

from clv_pipeline.publication.report.queries.parts import HAS_MONEY, HEADLINE, LONGEST, SERVED, TARGET, mean

_UNSEEN = "greatest(0, least({days}, date_diff('day', as_of - interval 1 year, first_day)))"
"""SQL for how many of the next days had no day in the history a year earlier."""

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
    # Months without a sale have a row in sales_by_month, so a year is twelve rows.
    "last_month": """
select
    calendar_month,
    revenue,
    customers,
    new_customers,
    new_customers / nullif(customers, 0) as new_share,
    lag(revenue, 12) over (order by calendar_month) as last_year_revenue,
    lag(customers, 12) over (order by calendar_month) as last_year_customers,
    cast(revenue as double) / nullif(cast(lag(revenue, 12) over (order by calendar_month) as double), 0) - 1
        as change_on_year,
    customers / nullif(lag(customers, 12) over (order by calendar_month), 0) - 1 as change_of_customers_on_year,
    cast(revenue as double) / nullif(cast(lag(revenue) over (order by calendar_month) as double), 0) - 1
        as change_on_month
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
    totals.notes_code,
    totals.notes_facts,
    cast(sum(cast(clv_forecasts.p_purchase as decimal(18, 12))) as double) as expected_buyers,
    totals.horizon_days = {HEADLINE} as is_headline
from forecast_totals as totals
left join clv_forecasts using (horizon_days)
group by all
order by totals.horizon_days""",
    # What as many days brought as are forecast: the last ones, the same a year earlier (`earlier_…`), and those a year
    # before the days that lie ahead (`last_year_…`).
    "yardsticks": """
with days as (
    select
        totals.horizon_days,
        sales.calendar_day,
        sales.calendar_day > totals.as_of - totals.horizon_days and sales.calendar_day <= totals.as_of as is_last,
        sales.calendar_day > cast(totals.as_of - interval 1 year as date)
        and sales.calendar_day <= cast(totals.as_of - interval 1 year as date) + totals.horizon_days as is_last_year,
        sales.calendar_day > cast(totals.as_of - interval 1 year as date) - totals.horizon_days
        and sales.calendar_day <= cast(totals.as_of - interval 1 year as date) as is_earlier,
        sales.revenue,
        sales.orders
    from forecast_totals as totals
    cross join sales_by_day as sales
),

came as (
    select
        horizon_days,
        min(calendar_day) as first_day,
        cast(sum(revenue) filter (where is_last) as double) as last_spend,
        cast(sum(orders) filter (where is_last) as bigint) as last_purchases,
        cast(sum(revenue) filter (where is_earlier) as double) as earlier_spend,
        cast(sum(orders) filter (where is_earlier) as bigint) as earlier_purchases,
        cast(sum(revenue) filter (where is_last_year) as double) as last_year_spend,
        cast(sum(orders) filter (where is_last_year) as bigint) as last_year_purchases
    from days
    group by horizon_days
)

select
    totals.horizon_days,
    totals.expected_purchases,
    cast(totals.expected_spend as double) as expected_spend,
    cast(totals.spend_lower as double) as spend_lower,
    cast(totals.spend_upper as double) as spend_upper,
    case when came.first_day <= totals.as_of - totals.horizon_days + 1 then came.last_spend end as last_spend,
    case when came.first_day <= totals.as_of - totals.horizon_days + 1 then came.last_purchases end as last_purchases,
    case
        when came.first_day <= cast(totals.as_of - interval 1 year as date) - totals.horizon_days + 1
            then came.earlier_spend
    end as earlier_spend,
    case
        when came.first_day <= cast(totals.as_of - interval 1 year as date) - totals.horizon_days + 1
            then came.earlier_purchases
    end as earlier_purchases,
    case when came.first_day <= cast(totals.as_of - interval 1 year as date) + 1 then came.last_year_spend end
        as last_year_spend,
    case when came.first_day <= cast(totals.as_of - interval 1 year as date) + 1 then came.last_year_purchases end
        as last_year_purchases
from forecast_totals as totals
inner join came using (horizon_days)
order by totals.horizon_days""",
    "at_risk": f"""
select
    count(*) as customers,
    case when {HAS_MONEY} then coalesce(sum(rfm.revenue), 0) end as revenue,
    case when {HAS_MONEY} then coalesce(sum(segments.value_at_stake), 0) end as value_at_stake,
    count(*) filter (where segments.contact_channel_code = 'none') as uncontacted_customers,
    coalesce(sum(segments.value_at_stake) filter (where segments.contact_channel_code = 'none'), 0)
        as uncontacted_value,
    {LONGEST} as horizon_days
from segments
inner join rfm using (customer_id)
where segments.at_risk""",
    "most_urgent": """
select segment, at_risk_customers, value_at_stake, recommended_action, channel
from segment_profiles
where at_risk_customers > 0
order by coalesce(value_at_stake, at_risk_customers) desc, segment
limit 1""",
    "champion": f"""
select
    model,
    is_baseline,
    why,
    why_code,
    why_facts,
    why_code in ('simple_rule_better', 'no_skill') as has_caveat
from model_leaderboard
where is_champion
order by horizon_days = {HEADLINE} desc, horizon_days
limit 1""",
    "accuracy": f"""
select
    horizon_days,
    count(distinct cutoff) as dates,
    {mean("absolute_bias")} as off_by,
    max(value) filter (where target = {TARGET} and metric = 'absolute_bias' and group_kind = 'all') as worst,
    {mean("best_rule_absolute_bias")} as rule_off_by,
    {mean("mae")} as mae,
    {mean("normalized_gini")} as normalized_gini,
    {mean("auc", "'purchase'")} as auc,
    {mean("coverage")} as coverage,
    {mean("total_covered")} as total_covered,
    horizon_days = {HEADLINE} as is_headline,
    horizon_days = (select max(horizon_days) from forecast_totals) as is_longest,
    -- By more than what is written.
    coalesce({mean("absolute_bias")} - {mean("best_rule_absolute_bias")} >= 0.0005, false) as rule_is_better
from served_accuracy
where {SERVED}
group by horizon_days
order by horizon_days""",
    "errors": f"""
select cutoff, value as off_by
from served_accuracy
where target = {TARGET} and metric = 'absolute_bias' and group_kind = 'all' and horizon_days = {HEADLINE}
    and value is not null
order by cutoff""",
    # A season is known from the same days of an earlier year.
    "doubts": f"""
select
    span.horizon_days,
    span.first_day,
    {_UNSEEN.format(days="span.horizon_days")} as unseen_days,
    coalesce(bool_or(accuracy.value is not null), false) as is_tested,
    span.horizon_days = {HEADLINE} as is_headline
from (
    select
        totals.horizon_days,
        totals.as_of,
        (select min(first_purchase_date) from rfm) as first_day
    from forecast_totals as totals
) as span
left join served_accuracy as accuracy
    on span.horizon_days = accuracy.horizon_days and accuracy.metric = 'absolute_bias' and accuracy.group_kind = 'all'
    and accuracy.target = {TARGET}
group by all
order by span.horizon_days""",
}
