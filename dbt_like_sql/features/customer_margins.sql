-- Which share of a customer's revenue is margin, from what the lines cost; no rows without costs.
with

days as (select * from known_days),

shop as (select * from shop_margin),

settings as (select * from parameters),

customers as (
    select
        customer_id,
        sum(revenue) as revenue,
        sum(costed_revenue) as costed_revenue,
        sum(cost) as cost
    from days
    group by customer_id
),

weighed as (
    select
        customers.*,
        shop.margin as shop_margin,
        cast(customers.costed_revenue - customers.cost as double)
        / cast(nullif(customers.costed_revenue, 0) as double) as own_margin,
        case
            when customers.costed_revenue > 0 and shop.credibility_revenue is not null
                then
                    cast(customers.costed_revenue as double)
                    / (cast(customers.costed_revenue as double) + shop.credibility_revenue)
            else 0
        end as credibility
    from customers
    cross join shop
    cross join settings
    where settings.has_costs
),

-- Whoever brought losses so far is expected to bring nothing, not to go on bringing losses.
final as (
    select
        customer_id,
        cast(
            greatest(0, credibility * coalesce(own_margin, 0) + (1 - credibility) * shop_margin) as double
        ) as margin,
        cast(credibility as double) as credibility,
        cast(
            costed_revenue - cost
            + cast(cast(revenue - costed_revenue as double) * shop_margin as decimal(28, 4))
            as decimal(28, 4)
        ) as realised_margin
    from weighed
)

select * from final
