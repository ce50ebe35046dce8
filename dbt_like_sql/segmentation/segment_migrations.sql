-- Customers who moved between segments since the previous run.
with

snapshots as (select * from customer_snapshots),

span as (select * from history_span),

-- Without an earlier run there is nothing to compare with, and no row.
runs as (
    select
        span.as_of,
        max(snapshots.as_of) as previous_as_of
    from span
    inner join snapshots on span.as_of > snapshots.as_of
    group by span.as_of
),

before as (
    select snapshots.*
    from snapshots
    inner join runs on snapshots.as_of = runs.previous_as_of
),

now as (
    select snapshots.*
    from snapshots
    inner join runs on snapshots.as_of = runs.as_of
),

moves as (
    select
        coalesce(before.segment, 'not yet a customer') as from_segment,
        coalesce(now.segment, 'no longer a customer') as to_segment,
        coalesce(before.segment <> now.segment, false) as has_changed,
        count(*) as customers
    from before
    full join now on before.customer_id = now.customer_id
    group by before.segment, now.segment
),

final as (
    select
        moves.from_segment,
        moves.to_segment,
        runs.previous_as_of,
        runs.as_of,
        cast(moves.customers as integer) as customers,
        cast(
            cast(moves.customers as double) / sum(moves.customers) over (partition by moves.from_segment)
            as double
        ) as share_of_segment,
        moves.has_changed
    from moves
    cross join runs
)

select * from final
