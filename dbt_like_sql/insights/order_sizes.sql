-- How many lines orders have.
with

orders as (select * from order_profile),

bins (bin_lower_lines, bin_upper_lines) as (
    values
    (1, 1), (2, 2), (3, 3), (4, 4), (5, 5), (6, 6), (7, 7), (8, 8), (9, 9), (10, 10),
    (11, 20), (21, 50), (51, 100), (101, 200), (201, 500), (501, null)
),

found as (
    select
        lines_from,
        sum(orders) as orders
    from orders
    group by lines_from
),

ends as (select max(lines_from) as highest from found),

final as (
    select
        cast(bins.bin_lower_lines as integer) as bin_lower_lines,
        cast(bins.bin_upper_lines as integer) as bin_upper_lines,
        cast(coalesce(found.orders, 0) as integer) as orders
    from bins
    inner join ends on bins.bin_lower_lines <= ends.highest
    left join found on bins.bin_lower_lines = found.lines_from
)

select * from final
