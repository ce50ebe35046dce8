-- The books of cleaning by currency: money as the source has it, and in the currency that is reported in.
with

cleaned as (select * from cleaned_transactions),

rejected as (select * from rejected_transactions),

files as (select * from source_files),

settings as (select * from currency_settings),

outcomes as (
    select
        cleaned.source_id,
        coalesce(cleaned.currency, 'not stated') as currency,
        'kept' as outcome,
        count(*) as row_count,
        sum(cleaned.original_amount) as original_amount,
        sum(cleaned.amount + cleaned.amount_cut) as amount
    from cleaned
    inner join settings on settings.is_mapped
    group by cleaned.source_id, coalesce(cleaned.currency, 'not stated')
    union all
    select
        rejected.source_id,
        coalesce(rejected.currency, 'not stated') as currency,
        rejected.reason as outcome,
        count(*) as row_count,
        sum(rejected.original_amount) as original_amount,
        sum(rejected.amount) as amount
    from rejected
    inner join settings on settings.is_mapped
    group by rejected.source_id, coalesce(rejected.currency, 'not stated'), rejected.reason
),

final as (
    select
        files.source_file,
        outcomes.currency,
        outcomes.outcome,
        cast(outcomes.row_count as bigint) as "rows",
        cast(coalesce(outcomes.original_amount, 0) as decimal(38, 4)) as original_amount,
        cast(coalesce(outcomes.amount, 0) as decimal(38, 4)) as amount
    from outcomes
    inner join files on outcomes.source_id = files.source_id
)

select * from final
