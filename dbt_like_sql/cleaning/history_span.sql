-- First and last day of history, and the day as of which everything is computed.
with

days as (select * from customer_days),

run_days as (select * from run_day),

volumes as (select * from daily_volumes),

-- A day is told of by its purchases, and by returns, which change an earlier day.
told as (
    select
        purchase_day,
        known_from as told_on
    from days
    union all
    select
        purchase_day,
        superseded_on as told_on
    from days
    where superseded_on is not null
),

-- daily_volumes ends at the last confirmed day. Days whose customers were all forgotten stay known.
confirmed as (
    select
        max(ordered_on) as last_day,
        max(ordered_on) filter (where kept_rows + forgotten_rows > 0) as last_counted_day
    from volumes
),

span as (
    select
        min(told.purchase_day) as first_day,
        greatest(max(told.told_on), max(confirmed.last_counted_day)) as last_day,
        greatest(
            max(told.told_on) filter (where told.told_on <= confirmed.last_day),
            max(confirmed.last_counted_day)
        ) as last_confirmed_day
    from told
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
