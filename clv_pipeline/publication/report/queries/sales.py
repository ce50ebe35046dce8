"""What was sold: by month, by customer, by product and country, how it was bought, and who came back."""

# Only text of this package enters the SQL.
# ruff: noqa: S608

from __future__ import annotations

from clv_pipeline.publication.report.queries.parts import TOP

QUERIES: dict[str, str] = {
    # Newcomers of the first months may have bought before the history begins.
    "months": """
select
    calendar_month,
    new_customers,
    returning_customers,
    revenue,
    orders,
    lag(revenue, 12) over (order by calendar_month) as last_year_revenue,
    row_number() over (order by calendar_month) <= 3 as is_left_censored
from sales_by_month
where not is_partial
order by calendar_month""",
    "revenue_months": """
with ahead as (
    select
        month as calendar_month,
        cast(null as decimal(28, 4)) as revenue,
        total_revenue as forecast,
        total_lower as lower,
        total_upper as upper,
        last_year_revenue,
        lead_months = 0 as is_partial
    from revenue_outlook
    where total_revenue is not null
),

past as (
    select
        calendar_month,
        revenue,
        cast(null as decimal(28, 4)) as forecast,
        cast(null as decimal(28, 4)) as lower,
        cast(null as decimal(28, 4)) as upper,
        lag(revenue, 12) over (order by calendar_month) as last_year_revenue,
        false as is_partial
    from sales_by_month
    where not is_partial and revenue is not null
)

select * from past
union all by name
select * from ahead
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
    "concentration": """
with deciles as (
    select
        10 * decile as top_percent,
        cast(sum(cast(revenue_share as decimal(18, 12))) over (order by decile) as double) as revenue_share
    from revenue_deciles
)

select top_percent, cast(revenue_share as double) as revenue_share
from revenue_concentration
union all
select top_percent, revenue_share
from deciles
where top_percent not in (select top_percent from revenue_concentration)
order by top_percent""",
    "best": """
select top_percent, customers, revenue, revenue_share, lowest_revenue
from revenue_concentration
order by top_percent""",
    "cohorts": """
select cohort_month, age_months, retention, customers
from cohorts
where age_months between 1 and 24 and is_complete
order by cohort_month, age_months""",
    # Of fewer than 30 customers a curve says nothing.
    "retention": """
select cohort_month, age_months, retention, customers
from cohorts
where age_months between 1 and 24 and is_complete
    and (select sum(customers) from cohorts where age_months = 0) >= 30
order by cohort_month, age_months""",
    "cohort_reading": """
select
    age_months,
    sum(active_customers) as came_back,
    sum(customers) as customers,
    sum(active_customers) / sum(customers) as retention
from cohorts
where age_months in (1, 3, 6, 12) and is_complete
group by age_months
order by age_months""",
    "products": f"""
select
    -- Names need not be unique.
    case
        when product_name is null then product_id
        when count(*) over (partition by product_name) > 1 then product_name || ' (' || product_id || ')'
        else product_name
    end as name,
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
    "channels": """
select
    channel,
    customers,
    cac,
    margin_12_months,
    projected_12_months,
    projected_24_months,
    ltv,
    ltv_lower,
    ltv_upper,
    ltv_to_cac,
    payback_month,
    payback,
    new_customer_value,
    new_customers,
    interval_level
from acquisition_value
where scope = 'channel' and exists (
        select 1 from acquisition_value where scope = 'channel' and (channel <> 'not known' or cac is not null)
    )
order by customers desc, channel""",
    "acquisition": """
select *, channel as name
from acquisition_value
where scope = 'channel' and exists (
        select 1 from acquisition_value where scope = 'channel' and (channel <> 'not known' or cac is not null)
    )
order by customers desc, channel""",
    "order_values": """
select bin_lower, bin_upper, orders
from order_values
order by bin_lower nulls first""",
    "order_gaps": """
select bin_lower_days as bin_lower, bin_upper_days as bin_upper, gaps
from order_gaps
order by bin_lower_days nulls first""",
    "order_sizes": """
select bin_lower_lines as bin_lower, bin_upper_lines as bin_upper, orders
from order_sizes
order by bin_lower_lines nulls first""",
    "order_hours": """
select day_of_week as weekday, hour_of_day as hour, orders
from order_hours
where hour_of_day is not null
order by day_of_week, hour_of_day""",
}
