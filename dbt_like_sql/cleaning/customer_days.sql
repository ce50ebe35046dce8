-- Purchase days: all spending of a customer on one calendar day. All models build on this unit. A return on a
-- later day gives the day a new version, so that every reader sees what was known by its own cutoff.
with

cleaned as (select * from cleaned_transactions),

matches as (select * from matched_returns),

-- Group by order first, so that no distinct count is needed; by hash, which groups faster than text.
order_days as (
    select
        customer_id,
        ordered_on,
        hash(order_id) as order_hash,
        count(*) as line_count,
        sum(quantity) as quantity,
        sum(amount) as revenue,
        sum(cost) as cost,
        sum(costed_amount) as costed_revenue
    from cleaned
    where coalesce(amount > 0, true)
    group by customer_id, ordered_on, hash(order_id)
),

bought as (
    select
        customer_id,
        ordered_on,
        count(*) as order_count,
        sum(line_count) as line_count,
        sum(quantity) as quantity,
        sum(revenue) as revenue,
        sum(cost) as cost,
        sum(costed_revenue) as costed_revenue
    from order_days
    group by customer_id, ordered_on
),

returned as (
    select
        customer_id,
        purchase_day,
        returned_on,
        sum(amount) as amount,
        sum(cost) as cost,
        sum(costed_amount) as costed_amount
    from matches
    where purchase_day is not null
    group by customer_id, purchase_day, returned_on
),

-- Of each day with returns: its purchases, and then what had come back by the day of each return.
known as (
    select
        customer_id,
        purchase_day,
        returned_on as known_from,
        sum(amount) over (
            partition by customer_id, purchase_day
            order by returned_on rows between unbounded preceding and current row
        ) as returned,
        sum(cost) over (
            partition by customer_id, purchase_day
            order by returned_on rows between unbounded preceding and current row
        ) as returned_cost,
        sum(costed_amount) over (
            partition by customer_id, purchase_day
            order by returned_on rows between unbounded preceding and current row
        ) as returned_costed,
        lead(returned_on) over (partition by customer_id, purchase_day order by returned_on) as next_return_on
    from returned
),

first_returns as (
    select
        customer_id,
        purchase_day,
        min(returned_on) as first_return_on
    from returned
    group by customer_id, purchase_day
),

versions as (
    select
        bought.customer_id,
        bought.ordered_on,
        bought.ordered_on as known_from,
        first_returns.first_return_on as superseded_on,
        bought.order_count,
        bought.line_count,
        bought.quantity,
        bought.revenue,
        bought.cost,
        bought.costed_revenue,
        0 as returned
    from bought
    left join first_returns
        on bought.customer_id = first_returns.customer_id and bought.ordered_on = first_returns.purchase_day
    where first_returns.first_return_on is null or first_returns.first_return_on > bought.ordered_on
    union all
    select
        bought.customer_id,
        bought.ordered_on,
        known.known_from,
        known.next_return_on as superseded_on,
        bought.order_count,
        bought.line_count,
        bought.quantity,
        bought.revenue - known.returned as revenue,
        bought.cost - coalesce(known.returned_cost, 0) as cost,
        bought.costed_revenue - coalesce(known.returned_costed, 0) as costed_revenue,
        known.returned
    from bought
    inner join known on bought.customer_id = known.customer_id and bought.ordered_on = known.purchase_day
    -- A day whose purchases were all returned is no purchase day.
    where bought.revenue > known.returned
),

final as (
    select
        customer_id,
        ordered_on as purchase_day,
        known_from,
        superseded_on,
        cast(order_count as integer) as orders,
        cast(line_count as integer) as transaction_lines,
        cast(quantity as decimal(28, 4)) as quantity,
        cast(revenue as decimal(28, 4)) as revenue,
        cast(case when revenue is not null then returned end as decimal(28, 4)) as returned,
        cast(case when costed_revenue is not null then coalesce(cost, 0) end as decimal(28, 4)) as cost,
        cast(costed_revenue as decimal(28, 4)) as costed_revenue
    from versions
)

select * from final
