-- Revenue by tenths of the customers, the best first.
with

customers as (select * from rfm),

slices (decile, from_percent, to_percent) as (
    values
    (1, 0, 10), (2, 10, 20), (3, 20, 30), (4, 30, 40), (5, 40, 50),
    (6, 50, 60), (7, 60, 70), (8, 70, 80), (9, 80, 90), (10, 90, 100)
),

totals as (
    select
        count(*) as customers,
        sum(revenue) as revenue
    from customers
),

-- The order of two customers with equal revenue changes no sum.
ranked as (
    select
        revenue,
        row_number() over (order by revenue desc, customer_id asc) as place
    from customers
),

-- Shares are rounded up to whole customers, so that the best 1 % of fifty customers is one.
places as (
    select
        slices.decile,
        (slices.from_percent * totals.customers + 99) // 100 as after_place,
        (slices.to_percent * totals.customers + 99) // 100 as last_place,
        totals.revenue as total_revenue
    from slices
    cross join totals
    -- Without money there is nothing to distribute, and no row.
    where totals.revenue is not null
),

final as (
    select
        cast(places.decile as integer) as decile,
        cast(count(ranked.place) as integer) as customers,
        cast(coalesce(sum(ranked.revenue), 0) as decimal(28, 4)) as revenue,
        cast(coalesce(sum(ranked.revenue), 0) as double)
        / cast(places.total_revenue as double) as revenue_share,
        cast(min(ranked.revenue) as decimal(28, 4)) as lowest_revenue,
        cast(max(ranked.revenue) as decimal(28, 4)) as highest_revenue
    from places
    left join ranked on places.after_place < ranked.place and places.last_place >= ranked.place
    group by places.decile, places.total_revenue
)

select * from final
