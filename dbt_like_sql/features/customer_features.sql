-- What is known of every customer as of every cutoff. Only days up to it are read, so no future can leak.
with

days as (select * from customer_days),

windows as (select * from forecast_windows),

cutoffs as (select distinct cutoff from windows),

histories as (
    select
        days.customer_id,
        cutoffs.cutoff,
        min(days.purchase_day) as first_purchase_date,
        max(days.purchase_day) as last_purchase_date,
        count(*) - 1 as frequency,
        sum(days.orders) as orders,
        sum(days.revenue) as revenue,
        sum(days.revenue) - arg_min(days.revenue, days.purchase_day) as repeat_revenue
    from days
    inner join cutoffs on days.purchase_day <= cutoffs.cutoff
    group by days.customer_id, cutoffs.cutoff
),

final as (
    select
        customer_id,
        cutoff,
        first_purchase_date,
        last_purchase_date,
        cast(frequency as integer) as frequency,
        cast(date_diff('day', first_purchase_date, last_purchase_date) as integer) as recency_days,
        cast(date_diff('day', first_purchase_date, cutoff) as integer) as tenure_days,
        cast(date_diff('day', last_purchase_date, cutoff) as integer) as days_since_last,
        cast(orders as integer) as orders,
        cast(revenue as decimal(18, 4)) as revenue,
        cast(
            case
                when frequency = 0 then 0
                else cast(repeat_revenue as double) / frequency
            end as decimal(18, 4)
        ) as monetary_value
    from histories
)

select * from final
