-- Events of every customer as of every cutoff. Only events up to the cutoff are read, so no future can leak.
with

events as (select * from raw_events),

customers as (select * from customer_features),

days as (
    select
        customer_id,
        coalesce(event, 'event') as event_type,
        cast(occurred_at as date) as event_day,
        count(*) as occurrences
    from events
    where customer_id is not null and occurred_at is not null
    group by customer_id, coalesce(event, 'event'), cast(occurred_at as date)
),

histories as (
    select
        customers.customer_id,
        customers.cutoff,
        days.event_type,
        sum(days.occurrences) filter (where days.event_day > customers.cutoff - 30) as events_30_days,
        sum(days.occurrences) filter (where days.event_day > customers.cutoff - 90) as events_90_days,
        sum(days.occurrences) filter (where days.event_day > customers.cutoff - 365) as events_365_days,
        sum(days.occurrences) as events,
        max(days.event_day) as last_day
    from customers
    inner join days
        on customers.customer_id = days.customer_id and customers.cutoff >= days.event_day
    group by customers.customer_id, customers.cutoff, days.event_type
),

final as (
    select
        customer_id,
        cutoff,
        event_type,
        cast(coalesce(events_30_days, 0) as bigint) as events_30_days,
        cast(coalesce(events_90_days, 0) as bigint) as events_90_days,
        cast(coalesce(events_365_days, 0) as bigint) as events_365_days,
        cast(events as bigint) as events,
        cast(date_diff('day', last_day, cutoff) as integer) as days_since_event
    from histories
)

select * from final
