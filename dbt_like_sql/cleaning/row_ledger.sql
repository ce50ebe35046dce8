-- The books of cleaning: per source file, where every raw row and every penny went.
with

cleaned as (select * from cleaned_transactions),

rejected as (select * from rejected_transactions),

outcomes as (
    select
        source_file,
        'kept' as outcome,
        count(*) as row_count,
        sum(amount) as amount,
        sum(amount_cut) as amount_cut
    from cleaned
    group by source_file
    union all
    select
        source_file,
        reason as outcome,
        count(*) as row_count,
        sum(amount) as amount,
        0 as amount_cut
    from rejected
    group by source_file, reason
),

final as (
    select
        source_file,
        outcome,
        cast(row_count as bigint) as "rows",
        cast(coalesce(amount, 0) as decimal(38, 4)) as amount,
        cast(amount_cut as decimal(38, 4)) as amount_cut
    from outcomes
)

select * from final
