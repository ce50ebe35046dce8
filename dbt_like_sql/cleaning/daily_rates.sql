-- For every currency that is converted and every day on which it occurs, the rate of that day: the latest one
-- stated at or before the day.
with

raw_rows as (select * from raw_transactions),

rates as (select * from currency_rates),

settings as (select * from currency_settings),

days as (
    select
        raw_rows.currency,
        cast(raw_rows.ordered_at as date) as ordered_on
    from raw_rows
    cross join settings
    where
        settings.is_mapped
        and raw_rows.currency <> settings.report_in
        and raw_rows.ordered_at is not null
    group by raw_rows.currency, cast(raw_rows.ordered_at as date)
),

events as (
    select
        currency,
        ordered_on,
        cast(null as date) as stated_on,
        true as is_asked
    from days
    union all
    select
        currency,
        day as ordered_on,
        day as stated_on,
        false as is_asked
    from rates
),

reached as (
    select
        currency,
        ordered_on,
        is_asked,
        max(stated_on) over (
            partition by currency
            order by ordered_on range between unbounded preceding and current row
        ) as stated_on
    from events
),

final as (
    select
        reached.ordered_on,
        reached.currency,
        rates.rate,
        reached.stated_on
    from reached
    left join rates on reached.currency = rates.currency and reached.stated_on = rates.day
    where reached.is_asked
)

select * from final
