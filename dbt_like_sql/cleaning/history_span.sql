-- First and last day of history, and the day as of which everything is computed.
with

days as (select * from customer_days),

run_days as (select * from run_day),

span as (
    select
        min(purchase_day) as first_day,
        max(purchase_day) as last_day
    from days
),

final as (
    select
        span.first_day,
        span.last_day,
        coalesce(run_days.as_of, span.last_day) as as_of
    from span
    cross join run_days
)

select * from final
