-- Revenue, orders and customers of every week of history; weeks begin on Monday (ISO 8601).
with

days as (select * from sales_calendar),

span as (select * from history_span),

periods as (
    select
        cast(date_trunc('week', calendar_day) as date) as calendar_week,
        sum(revenue) as revenue,
        sum(orders) as orders,
        sum(customers_of_week) as customers,
        sum(new_customers) as new_customers
    from days
    group by cast(date_trunc('week', calendar_day) as date)
),

final as (
    select
        periods.calendar_week,
        cast(periods.revenue as decimal(28, 4)) as revenue,
        cast(periods.orders as integer) as orders,
        cast(periods.customers as integer) as customers,
        cast(periods.new_customers as integer) as new_customers,
        cast(periods.customers - periods.new_customers as integer) as returning_customers,
        periods.calendar_week < span.first_day or periods.calendar_week + 6 > span.as_of as is_partial
    from periods
    cross join span
)

select * from final
