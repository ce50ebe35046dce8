-- What is odd and was let in because clv.yaml accepts it.
with

files as (select * from file_gates),

days as (select * from volume_gates),

accepted as (
    select
        'file' as kind,
        source_file as file_or_day,
        measure,
        finding
    from files
    where verdict in ('too low', 'too high') and excused_because = 'accepted in clv.yaml'
    union all
    select
        'day' as kind,
        strftime(ordered_on, '%Y-%m-%d') as file_or_day,
        measure,
        finding
    from days
    where verdict in ('too low', 'too high') and excused_because = 'accepted in clv.yaml'
),

final as (
    select
        cast(kind as varchar) as kind,
        cast(file_or_day as varchar) as file_or_day,
        cast(measure as varchar) as measure,
        cast(finding as varchar) as finding
    from accepted
)

select * from final
