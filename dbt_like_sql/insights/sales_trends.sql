-- Revenue, orders and customers of every day, week and month of history, including periods without sales.
with

days as (select * from customer_days),

span as (select * from history_span),

settings as (select * from parameters),

visits as (
    select
        days.purchase_day,
        days.revenue,
        days.orders,
        lag(days.purchase_day) over (partition by days.customer_id order by days.purchase_day) as previous_day
    from days
    inner join span on days.purchase_day <= span.as_of
),

-- A customer counts once per period, on the first day in it: weeks and months are then sums of days.
sales as (
    select
        purchase_day,
        sum(revenue) as revenue,
        sum(orders) as orders,
        count(*) as customers_of_day,
        count(*) filter (
            where previous_day is null or previous_day < date_trunc('week', purchase_day)
        ) as customers_of_week,
        count(*) filter (
            where previous_day is null or previous_day < date_trunc('month', purchase_day)
        ) as customers_of_month,
        count(*) filter (where previous_day is null) as new_customers
    from visits
    group by purchase_day
),

calendar as (
    select unnest(cast(generate_series(first_day, as_of, interval 1 day) as date[])) as calendar_day
    from span
),

daily as (
    select
        calendar.calendar_day,
        case when settings.has_money then coalesce(sales.revenue, 0) end as revenue,
        coalesce(sales.orders, 0) as orders,
        coalesce(sales.customers_of_day, 0) as customers_of_day,
        coalesce(sales.customers_of_week, 0) as customers_of_week,
        coalesce(sales.customers_of_month, 0) as customers_of_month,
        coalesce(sales.new_customers, 0) as new_customers
    from calendar
    cross join settings
    left join sales on calendar.calendar_day = sales.purchase_day
),

-- Weeks begin on Monday (ISO 8601).
parts as (
    select
        'day' as period,
        calendar_day as period_start,
        calendar_day as period_end,
        customers_of_day as customers,
        new_customers,
        orders,
        revenue
    from daily
    union all
    select
        'week' as period,
        cast(date_trunc('week', calendar_day) as date) as period_start,
        cast(date_trunc('week', calendar_day) as date) + 6 as period_end,
        customers_of_week as customers,
        new_customers,
        orders,
        revenue
    from daily
    union all
    select
        'month' as period,
        cast(date_trunc('month', calendar_day) as date) as period_start,
        last_day(calendar_day) as period_end,
        customers_of_month as customers,
        new_customers,
        orders,
        revenue
    from daily
),

final as (
    select
        cast(parts.period as varchar) as period,
        parts.period_start,
        parts.period_end,
        cast(sum(parts.revenue) as decimal(28, 4)) as revenue,
        cast(sum(parts.orders) as integer) as orders,
        cast(sum(parts.customers) as integer) as customers,
        cast(sum(parts.new_customers) as integer) as new_customers,
        cast(sum(parts.customers) - sum(parts.new_customers) as integer) as returning_customers,
        parts.period_start < span.first_day or parts.period_end > span.as_of as is_partial
    from parts
    cross join span
    group by parts.period, parts.period_start, parts.period_end, span.first_day, span.as_of
)

select * from final
