-- Revenue, orders and customers of every day of history: what sales per day, week and month are summed from.
with

days as (select * from known_days),

span as (select * from history_span),

settings as (select * from parameters),

visits as (
    select
        days.purchase_day,
        days.revenue,
        days.orders,
        lag(days.purchase_day) over (partition by days.customer_id order by days.purchase_day) as previous_day
    from days
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

final as (
    select
        calendar.calendar_day,
        cast(case when settings.has_money then coalesce(sales.revenue, 0) end as decimal(28, 4)) as revenue,
        cast(coalesce(sales.orders, 0) as integer) as orders,
        cast(coalesce(sales.customers_of_day, 0) as integer) as customers_of_day,
        cast(coalesce(sales.customers_of_week, 0) as integer) as customers_of_week,
        cast(coalesce(sales.customers_of_month, 0) as integer) as customers_of_month,
        cast(coalesce(sales.new_customers, 0) as integer) as new_customers
    from calendar
    cross join settings
    left join sales on calendar.calendar_day = sales.purchase_day
)

select * from final
