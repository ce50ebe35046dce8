-- Recency, frequency and monetary value of every customer as of today, with tie-proof quintile scores.
with

days as (select * from known_days),

span as (select * from history_span),

customers as (
    select
        days.customer_id,
        span.as_of,
        min(days.purchase_day) as first_purchase_date,
        max(days.purchase_day) as last_purchase_date,
        count(*) - 1 as frequency,
        sum(days.orders) as orders,
        sum(days.revenue) as revenue,
        -- The first purchase is the acquisition of a customer; the value of repeat purchases shows in the
        -- others.
        sum(days.revenue) - arg_min(days.revenue, days.purchase_day) as repeat_revenue
    from days
    cross join span
    group by days.customer_id, span.as_of
),

measured as (
    select
        *,
        date_diff('day', last_purchase_date, as_of) as days_since_last
    from customers
),

-- Quintiles by value: equal values get equal scores, whatever the order of the rows.
cut_points as (
    select
        quantile_disc(days_since_last, 0.2) as r20,
        quantile_disc(days_since_last, 0.4) as r40,
        quantile_disc(days_since_last, 0.6) as r60,
        quantile_disc(days_since_last, 0.8) as r80,
        quantile_disc(frequency, 0.2) as f20,
        quantile_disc(frequency, 0.4) as f40,
        quantile_disc(frequency, 0.6) as f60,
        quantile_disc(frequency, 0.8) as f80,
        quantile_disc(revenue, 0.2) as m20,
        quantile_disc(revenue, 0.4) as m40,
        quantile_disc(revenue, 0.6) as m60,
        quantile_disc(revenue, 0.8) as m80
    from measured
),

final as (
    select
        measured.customer_id,
        measured.first_purchase_date,
        measured.last_purchase_date,
        cast(measured.days_since_last as integer) as days_since_last,
        cast(date_diff('day', measured.first_purchase_date, measured.as_of) as integer) as tenure_days,
        cast(
            date_diff('day', measured.first_purchase_date, measured.last_purchase_date) as integer
        ) as recency_days,
        cast(measured.frequency as integer) as frequency,
        cast(measured.orders as integer) as orders,
        cast(measured.revenue as decimal(28, 4)) as revenue,
        cast(
            case
                when measured.revenue is null then null
                when measured.frequency = 0 then 0
                else cast(measured.repeat_revenue as double) / measured.frequency
            end as decimal(28, 4)
        ) as monetary_value,
        cast(
            5
            - cast(measured.days_since_last > cut_points.r20 as integer)
            - cast(measured.days_since_last > cut_points.r40 as integer)
            - cast(measured.days_since_last > cut_points.r60 as integer)
            - cast(measured.days_since_last > cut_points.r80 as integer)
            as integer
        ) as r_score,
        cast(
            1
            + cast(measured.frequency > cut_points.f20 as integer)
            + cast(measured.frequency > cut_points.f40 as integer)
            + cast(measured.frequency > cut_points.f60 as integer)
            + cast(measured.frequency > cut_points.f80 as integer)
            as integer
        ) as f_score,
        cast(
            1
            + cast(measured.revenue > cut_points.m20 as integer)
            + cast(measured.revenue > cut_points.m40 as integer)
            + cast(measured.revenue > cut_points.m60 as integer)
            + cast(measured.revenue > cut_points.m80 as integer)
            as integer
        ) as m_score,
        measured.as_of
    from measured
    cross join cut_points
)

select * from final
