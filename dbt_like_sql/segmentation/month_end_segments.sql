-- The segment of customers at the end of every month, by the rules of customer_rhythms and past_segments.
-- Customers with the same dates and the same number of purchases are in the same segment, and share a row.
with

states as (select * from customer_month_states),

span as (select * from history_span),

names as (select * from segment_names),

calendar as (
    select
        span.as_of,
        unnest(
            cast(
                generate_series(
                    cast(date_trunc('month', span.first_day) as date), span.as_of, interval 1 month
                ) as date[]
            )
        ) as calendar_month
    from span
),

months as (
    select
        calendar_month,
        cast(least(last_day(calendar_month), as_of) as date) as month_end
    from calendar
),

-- Counted before they are spread over months, because most customers have bought once and share a row.
alike as (
    select
        calendar_month,
        until_month,
        first_purchase_date,
        last_purchase_date,
        frequency,
        count(*) as customers
    from states
    group by calendar_month, until_month, first_purchase_date, last_purchase_date, frequency
),

spread as (
    select
        months.calendar_month,
        months.month_end,
        alike.first_purchase_date,
        alike.last_purchase_date,
        alike.frequency,
        sum(alike.customers) as customers
    from months
    inner join alike
        on
            months.calendar_month >= alike.calendar_month
            and coalesce(months.calendar_month < alike.until_month, true)
    group by
        months.calendar_month,
        months.month_end,
        alike.first_purchase_date,
        alike.last_purchase_date,
        alike.frequency
),

described as (
    select
        *,
        date_diff('day', last_purchase_date, month_end) as days_since_last,
        date_diff('day', first_purchase_date, last_purchase_date) as recency_days,
        case
            when frequency > 0
                then cast(date_diff('day', first_purchase_date, last_purchase_date) as double) / frequency
        end as mean_gap_days
    from spread
),

recencies as (
    select
        calendar_month,
        days_since_last,
        sum(customers) as customers
    from described
    group by calendar_month, days_since_last
),

frequencies as (
    select
        calendar_month,
        frequency,
        sum(customers) as customers
    from described
    group by calendar_month, frequency
),

recencies_up_to as (
    select
        calendar_month,
        days_since_last,
        sum(customers) over (partition by calendar_month order by days_since_last) as up_to,
        sum(customers) over (partition by calendar_month) as in_all
    from recencies
),

frequencies_up_to as (
    select
        calendar_month,
        frequency,
        sum(customers) over (partition by calendar_month order by frequency) as up_to,
        sum(customers) over (partition by calendar_month) as in_all
    from frequencies
),

-- The least value that a fifth, two fifths and so on of the customers do not exceed: what quantile_disc says.
recency_cuts as (
    select
        calendar_month,
        min(days_since_last) filter (where 5 * up_to >= in_all) as r20,
        min(days_since_last) filter (where 5 * up_to >= 2 * in_all) as r40,
        min(days_since_last) filter (where 5 * up_to >= 3 * in_all) as r60,
        min(days_since_last) filter (where 5 * up_to >= 4 * in_all) as r80
    from recencies_up_to
    group by calendar_month
),

frequency_cuts as (
    select
        calendar_month,
        min(frequency) filter (where 5 * up_to >= in_all) as f20,
        min(frequency) filter (where 5 * up_to >= 2 * in_all) as f40,
        min(frequency) filter (where 5 * up_to >= 3 * in_all) as f60,
        min(frequency) filter (where 5 * up_to >= 4 * in_all) as f80
    from frequencies_up_to
    group by calendar_month
),

-- Every customer counts once, as in customer_rhythms.
shops as (
    select
        calendar_month,
        cast(sum(customers * cast(mean_gap_days as decimal(18, 6))) as double) / sum(customers) as gap_days
    from described
    where frequency > 0
    group by calendar_month
),

judged as (
    select
        described.*,
        5
        - cast(described.days_since_last > recency_cuts.r20 as integer)
        - cast(described.days_since_last > recency_cuts.r40 as integer)
        - cast(described.days_since_last > recency_cuts.r60 as integer)
        - cast(described.days_since_last > recency_cuts.r80 as integer) as r_score,
        1
        + cast(described.frequency > frequency_cuts.f20 as integer)
        + cast(described.frequency > frequency_cuts.f40 as integer)
        + cast(described.frequency > frequency_cuts.f60 as integer)
        + cast(described.frequency > frequency_cuts.f80 as integer) as f_score,
        case
            when
                described.days_since_last > cast(
                    floor(ln(10) * ((shops.gap_days + described.recency_days) / (described.frequency + 1)))
                    as integer
                )
                then 'overdue'
            when described.days_since_last > 3 * described.mean_gap_days then 'long'
            else 'usual'
        end as silence
    from described
    inner join recency_cuts on described.calendar_month = recency_cuts.calendar_month
    inner join frequency_cuts on described.calendar_month = frequency_cuts.calendar_month
    left join shops on described.calendar_month = shops.calendar_month
),

final as (
    select
        judged.calendar_month,
        judged.month_end,
        judged.first_purchase_date,
        judged.last_purchase_date,
        judged.frequency,
        cast(judged.customers as integer) as customers,
        names.segment
    from judged
    inner join names
        on
            judged.r_score = names.r_score
            and judged.f_score = names.f_score
            and judged.silence = names.silence
)

select * from final
