-- Concentration of revenue: deciles of customers, and the best 1, 5, 10 and 20 % of them.
with

customers as (select * from rfm),

-- Slices of customers ordered by revenue, the best first, in percent.
slices (kind, slice, from_percent, to_percent) as (
    values
    ('top', 'top 1 %', 0, 1), ('top', 'top 5 %', 0, 5),
    ('top', 'top 10 %', 0, 10), ('top', 'top 20 %', 0, 20),
    ('decile', 'decile 1', 0, 10), ('decile', 'decile 2', 10, 20), ('decile', 'decile 3', 20, 30),
    ('decile', 'decile 4', 30, 40), ('decile', 'decile 5', 40, 50), ('decile', 'decile 6', 50, 60),
    ('decile', 'decile 7', 60, 70), ('decile', 'decile 8', 70, 80), ('decile', 'decile 9', 80, 90),
    ('decile', 'decile 10', 90, 100)
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
        slices.kind,
        slices.slice,
        slices.from_percent,
        slices.to_percent,
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
        cast(places.kind as varchar) as kind,
        cast(places.slice as varchar) as slice,
        cast(places.from_percent as integer) as from_percent,
        cast(places.to_percent as integer) as to_percent,
        cast(count(ranked.place) as integer) as customers,
        cast(coalesce(sum(ranked.revenue), 0) as decimal(28, 4)) as revenue,
        cast(coalesce(sum(ranked.revenue), 0) as double)
        / cast(places.total_revenue as double) as revenue_share,
        cast(min(ranked.revenue) as decimal(28, 4)) as lowest_revenue,
        cast(max(ranked.revenue) as decimal(28, 4)) as highest_revenue
    from places
    left join ranked on places.after_place < ranked.place and places.last_place >= ranked.place
    group by places.kind, places.slice, places.from_percent, places.to_percent, places.total_revenue
)

select * from final
