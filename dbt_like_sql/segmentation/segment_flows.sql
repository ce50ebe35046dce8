-- How many customers went from one segment to another, and how many stayed, in each of twelve months.
with

states as (select * from customer_month_states),

histories as (select * from month_end_segments),

span as (select * from history_span),

recent as (
    select
        histories.calendar_month,
        cast(date_trunc('month', histories.calendar_month - 1) as date) as previous_month,
        histories.month_end,
        histories.first_purchase_date,
        histories.last_purchase_date,
        histories.frequency,
        histories.customers,
        histories.segment
    from histories
    cross join span
    where date_diff('month', histories.calendar_month, cast(date_trunc('month', span.as_of) as date)) < 12
),

months as (
    select
        calendar_month,
        previous_month,
        month_end
    from recent
    group by calendar_month, previous_month, month_end
),

began as (
    select states.*
    from states
    inner join months on states.calendar_month = months.calendar_month
),

ended as (
    select states.*
    from states
    inner join months on states.until_month = months.calendar_month
),

-- Of whom something became known in a month: the state before, and the one since, counted where alike.
changes as (
    select
        coalesce(began.calendar_month, ended.until_month) as calendar_month,
        ended.first_purchase_date as first_before,
        ended.last_purchase_date as last_before,
        ended.frequency as frequency_before,
        began.first_purchase_date as first_since,
        began.last_purchase_date as last_since,
        began.frequency as frequency_since,
        count(*) as customers
    from began
    full join ended
        on began.customer_id = ended.customer_id and began.calendar_month = ended.until_month
    group by
        coalesce(began.calendar_month, ended.until_month),
        ended.first_purchase_date,
        ended.last_purchase_date,
        ended.frequency,
        began.first_purchase_date,
        began.last_purchase_date,
        began.frequency
),

-- No row before: they were no customers yet. No row since: everything came back.
moved as (
    select
        months.calendar_month,
        months.month_end,
        earlier.segment as from_segment,
        later.segment as to_segment,
        changes.customers
    from changes
    inner join months on changes.calendar_month = months.calendar_month
    left join histories as earlier
        on
            months.previous_month = earlier.calendar_month
            and changes.first_before = earlier.first_purchase_date
            and changes.last_before = earlier.last_purchase_date
            and changes.frequency_before = earlier.frequency
    left join histories as later
        on
            months.calendar_month = later.calendar_month
            and changes.first_since = later.first_purchase_date
            and changes.last_since = later.last_purchase_date
            and changes.frequency_since = later.frequency
),

entered as (
    select
        calendar_month,
        first_since,
        last_since,
        frequency_since,
        sum(customers) as customers
    from changes
    where first_since is not null
    group by calendar_month, first_since, last_since, frequency_since
),

-- The others have the state of the month before, and only their silence grew.
stayed as (
    select
        recent.calendar_month,
        recent.month_end,
        earlier.segment as from_segment,
        recent.segment as to_segment,
        recent.customers - coalesce(entered.customers, 0) as customers
    from recent
    inner join histories as earlier
        on
            recent.previous_month = earlier.calendar_month
            and recent.first_purchase_date = earlier.first_purchase_date
            and recent.last_purchase_date = earlier.last_purchase_date
            and recent.frequency = earlier.frequency
    left join entered
        on
            recent.calendar_month = entered.calendar_month
            and recent.first_purchase_date = entered.first_since
            and recent.last_purchase_date = entered.last_since
            and recent.frequency = entered.frequency_since
    where recent.customers > coalesce(entered.customers, 0)
),

flows as (
    select * from moved
    union all
    select * from stayed
),

final as (
    select
        calendar_month,
        cast(coalesce(from_segment, 'not yet a customer') as varchar) as from_segment,
        cast(coalesce(to_segment, 'no longer a customer') as varchar) as to_segment,
        month_end,
        cast(sum(customers) as integer) as customers,
        month_end < last_day(calendar_month) as is_partial
    from flows
    group by calendar_month, month_end, from_segment, to_segment
)

select * from final
