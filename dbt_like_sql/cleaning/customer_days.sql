-- Purchase days: all spending of a customer on one calendar day. All models build on this unit.
with

cleaned as (select * from cleaned_transactions),

-- Group by order first, so that no distinct count is needed; by hash, which groups faster than text.
order_days as (
    select
        customer_id,
        ordered_on,
        hash(order_id) as order_hash,
        count(*) as line_count,
        sum(quantity) as quantity,
        sum(amount) as revenue
    from cleaned
    group by customer_id, ordered_on, hash(order_id)
),

days as (
    select
        customer_id,
        ordered_on,
        count(*) as order_count,
        sum(line_count) as line_count,
        sum(quantity) as quantity,
        sum(revenue) as revenue
    from order_days
    group by customer_id, ordered_on
    -- A day on which returns outweigh purchases is not a purchase day. Only a shop without money has no sum.
    having coalesce(sum(revenue) > 0, true)
),

final as (
    select
        customer_id,
        ordered_on as purchase_day,
        cast(order_count as integer) as orders,
        cast(line_count as integer) as transaction_lines,
        cast(quantity as decimal(28, 4)) as quantity,
        cast(revenue as decimal(28, 4)) as revenue
    from days
)

select * from final
