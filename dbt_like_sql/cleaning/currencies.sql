-- The currencies of the source, and the one that money is reported in. Empty where no currency is known.
with

raw_rows as (select * from raw_transactions),

files as (select * from source_files),

settings as (select * from currency_settings),

rates as (select * from currency_rates),

mapped as (
    select
        raw_rows.currency,
        count(*) as row_count,
        sum(raw_rows.amount) as amount,
        min(cast(raw_rows.ordered_at as date)) as first_day,
        max(cast(raw_rows.ordered_at as date)) as last_day
    from raw_rows
    cross join settings
    where settings.is_mapped and raw_rows.currency is not null
    group by raw_rows.currency
),

first_rates as (
    select
        currency,
        min(day) as first_rate_day
    from rates
    group by currency
),

-- The only currency of a source is the one that is reported in: of a column, else the one beside the amounts.
only_mapped as (
    select max(currency) as currency
    from mapped
    having count(*) = 1
),

only_beside as (
    select max(files.currency) as currency
    from files
    cross join settings
    where not settings.is_mapped
    having min(files.currency) = max(files.currency)
),

reporting as (
    select coalesce(settings.report_in, only_mapped.currency, only_beside.currency) as currency
    from settings
    left join only_mapped on settings.is_mapped
    left join only_beside on not settings.is_mapped
),

listed as (
    select currency from mapped
    union distinct
    select currency from reporting
    where currency is not null
),

final as (
    select
        listed.currency,
        coalesce(listed.currency = reporting.currency, false) as is_reporting,
        cast(coalesce(mapped.row_count, 0) as bigint) as "rows",
        cast(coalesce(mapped.amount, 0) as decimal(38, 4)) as amount,
        mapped.first_day,
        mapped.last_day,
        first_rates.first_rate_day
    from listed
    cross join reporting
    left join mapped on listed.currency = mapped.currency
    left join first_rates on listed.currency = first_rates.currency
)

select * from final
