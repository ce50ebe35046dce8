-- The books of cleaning: where every raw row and every penny of a source file went.
with

cleaned as (select * from cleaned_transactions),

rejected as (select * from rejected_transactions),

files as (select * from source_files),

settings as (select * from parameters),

outcomes as (
    select
        source_id,
        'kept' as outcome,
        count(*) as row_count,
        sum(amount) as amount,
        sum(amount_cut) as amount_cut
    from cleaned
    group by source_id
    union all
    select
        source_id,
        reason as outcome,
        count(*) as row_count,
        sum(amount) as amount,
        0 as amount_cut
    from rejected
    group by source_id, reason
),

final as (
    select
        files.source_file,
        outcomes.outcome,
        cast(outcomes.row_count as bigint) as "rows",
        cast(case when settings.has_money then coalesce(outcomes.amount, 0) end as decimal(38, 4)) as amount,
        cast(case when settings.has_money then outcomes.amount_cut end as decimal(38, 4)) as amount_cut
    from outcomes
    inner join files on outcomes.source_id = files.source_id
    cross join settings
)

select * from final
