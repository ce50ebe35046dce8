-- How much orders are worth: their number and revenue by value, in steps of 1, 2 and 5.
with

orders as (select * from order_profile),

sizes (digits) as (
    values
    (-4), (-3), (-2), (-1), (0), (1), (2), (3), (4), (5), (6), (7), (8), (9), (10), (11), (12), (13),
    (14), (15), (16), (17), (18)
),

steps (step) as (values (1), (2), (5)),

-- As in order_profile: powers of ten of whole numbers are exact.
edges as (
    select
        cast(steps.step * power(10, sizes.digits + 4) / 10000 as decimal(28, 4)) as bin_lower,
        cast(
            case steps.step when 1 then 2 when 2 then 5 else 10 end * power(10, sizes.digits + 4) / 10000
            as decimal(28, 4)
        ) as bin_upper
    from sizes
    cross join steps
),

-- Without money there are no values, and no row.
found as (
    select
        value_from,
        sum(orders) as orders,
        sum(revenue) as revenue
    from orders
    where value_from is not null
    group by value_from
),

ends as (
    select
        min(value_from) as lowest,
        max(value_from) as highest
    from found
),

final as (
    select
        edges.bin_lower,
        edges.bin_upper,
        cast(coalesce(found.orders, 0) as integer) as orders,
        cast(coalesce(found.revenue, 0) as decimal(28, 4)) as revenue
    from edges
    inner join ends on edges.bin_lower >= ends.lowest and edges.bin_lower <= ends.highest
    left join found on edges.bin_lower = found.value_from
)

select * from final
