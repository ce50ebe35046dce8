-- Purchase days: all of a customer's spending on one calendar day, the unit of every model that follows.
with

cleaned as (select * from cleaned_transactions),

-- Orders first, so that counting them is no distinct count; by hash, which groups faster than text.
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
    -- A day on which returns outweigh purchases is not a purchase day.
    having sum(revenue) > 0
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
