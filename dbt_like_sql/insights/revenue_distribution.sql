-- Tenths of the customers and the best of them in one, under the name from before they were two tables.
with

deciles as (select * from revenue_deciles),

best as (select * from revenue_concentration),

final as (
    select
        cast('decile' as varchar) as kind,
        cast('decile ' || decile as varchar) as slice,
        cast(10 * decile - 10 as integer) as from_percent,
        cast(10 * decile as integer) as to_percent,
        customers,
        revenue,
        revenue_share,
        lowest_revenue,
        highest_revenue
    from deciles
    union all
    select
        cast('top' as varchar) as kind,
        cast('top ' || top_percent || ' %' as varchar) as slice,
        cast(0 as integer) as from_percent,
        cast(top_percent as integer) as to_percent,
        customers,
        revenue,
        revenue_share,
        lowest_revenue,
        highest_revenue
    from best
)

select * from final
