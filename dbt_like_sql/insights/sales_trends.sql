-- Sales per day, week and month in one, under the name that they had before they were three tables.
with

days as (select * from sales_by_day),

weeks as (select * from sales_by_week),

months as (select * from sales_by_month),

final as (
    select
        cast('day' as varchar) as period,
        calendar_day as period_start,
        calendar_day as period_end,
        revenue,
        orders,
        customers,
        new_customers,
        returning_customers,
        false as is_partial
    from days
    union all
    select
        cast('week' as varchar) as period,
        calendar_week as period_start,
        cast(calendar_week + 6 as date) as period_end,
        revenue,
        orders,
        customers,
        new_customers,
        returning_customers,
        is_partial
    from weeks
    union all
    select
        cast('month' as varchar) as period,
        calendar_month as period_start,
        cast(last_day(calendar_month) as date) as period_end,
        revenue,
        orders,
        customers,
        new_customers,
        returning_customers,
        is_partial
    from months
)

select * from final
