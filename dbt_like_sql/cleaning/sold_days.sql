-- Every day on which a customer bought, with what came back of it: the purchase days as they are known today,
-- and the days whose purchases were all returned.
with

days as (select * from known_days),

matches as (select * from matched_returns),

span as (select * from history_span),

returned as (
    select
        matches.customer_id,
        matches.purchase_day,
        sum(matches.amount) as amount
    from matches
    inner join span on matches.returned_on <= span.as_of
    where matches.purchase_day is not null
    group by matches.customer_id, matches.purchase_day
),

-- What is left of a day is a purchase day; of the others everything came back.
lost as (
    select
        returned.customer_id,
        returned.purchase_day,
        returned.amount
    from returned
    left join days on returned.customer_id = days.customer_id and returned.purchase_day = days.purchase_day
    where days.customer_id is null
),

sold as (
    select
        customer_id,
        purchase_day,
        1 as purchase_days,
        orders,
        revenue + returned as gross_revenue,
        returned as returned_revenue,
        revenue as net_revenue,
        cost,
        costed_revenue
    from days
    union all
    select
        customer_id,
        purchase_day,
        0 as purchase_days,
        0 as orders,
        amount as gross_revenue,
        amount as returned_revenue,
        0 as net_revenue,
        null as cost,
        null as costed_revenue
    from lost
),

final as (
    select
        customer_id,
        purchase_day,
        cast(purchase_days as integer) as purchase_days,
        cast(orders as integer) as orders,
        cast(gross_revenue as decimal(28, 4)) as gross_revenue,
        cast(returned_revenue as decimal(28, 4)) as returned_revenue,
        cast(net_revenue as decimal(28, 4)) as net_revenue,
        cast(cost as decimal(28, 4)) as cost,
        cast(costed_revenue as decimal(28, 4)) as costed_revenue
    from sold
)

select * from final
