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

-- Every day of a currency beside every rate stated at or before it: thousands times thousands at most.
reached as (
    select
        days.currency,
        days.ordered_on,
        max(rates.day) as stated_on
    from days
    left join rates on days.currency = rates.currency and days.ordered_on >= rates.day
    group by days.currency, days.ordered_on
),

final as (
    select
        reached.ordered_on,
        reached.currency,
        rates.rate,
        reached.stated_on
    from reached
    left join rates on reached.currency = rates.currency and reached.stated_on = rates.day
)

select * from final
