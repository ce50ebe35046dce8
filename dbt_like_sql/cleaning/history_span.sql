-- From when to when there is history, and the day that everything is computed as of.
with

days as (select * from customer_days),

settings as (select * from parameters),

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
        coalesce(settings.as_of, span.last_day) as as_of
    from span
    cross join settings
)

select * from final
