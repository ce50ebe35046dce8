-- What was known of every customer at the end of each month in which that changed, by a purchase or a return.
-- In the months between, a state stays as it was.
with

days as (select * from customer_days),

span as (select * from history_span),

versions as (
    select
        days.customer_id,
        days.purchase_day,
        days.known_from,
        case when days.superseded_on <= span.as_of then days.superseded_on end as superseded_on,
        span.as_of
    from days
    inner join span on days.known_from <= span.as_of
),

changed as (
    select
        customer_id,
        as_of,
        cast(date_trunc('month', known_from) as date) as calendar_month
    from versions
    union
    select
        customer_id,
        as_of,
        cast(date_trunc('month', superseded_on) as date) as calendar_month
    from versions
    where superseded_on is not null
),

months as (
    select
        customer_id,
        calendar_month,
        least(last_day(calendar_month), as_of) as month_end,
        lead(calendar_month) over (partition by customer_id order by calendar_month) as until_month
    from changed
),

-- A customer who had nothing left at the end of a month was none then, and has no row.
final as (
    select
        months.customer_id,
        months.calendar_month,
        cast(months.month_end as date) as month_end,
        months.until_month,
        min(versions.purchase_day) as first_purchase_date,
        max(versions.purchase_day) as last_purchase_date,
        cast(count(*) - 1 as integer) as frequency
    from months
    inner join versions
        on
            months.customer_id = versions.customer_id
            and months.month_end >= versions.known_from
            and coalesce(months.month_end < versions.superseded_on, true)
    group by months.customer_id, months.calendar_month, months.month_end, months.until_month
)

select * from final
