-- First and last day of history, and the day as of which everything is computed.
with

days as (select * from customer_days),

run_days as (select * from run_day),

volumes as (select * from daily_volumes),

-- The last confirmed day, where daily_volumes ends.
confirmed as (select max(ordered_on) as last_day from volumes),

span as (
    select
        min(days.purchase_day) as first_day,
        max(days.purchase_day) as last_day,
        max(days.purchase_day) filter (where days.purchase_day <= confirmed.last_day) as last_confirmed_day
    from days
    cross join confirmed
),

final as (
    select
        span.first_day,
        span.last_day,
        coalesce(run_days.as_of, span.last_confirmed_day, span.last_day) as as_of
    from span
    cross join run_days
)

select * from final
