-- Revenue of every product, and how many of its customers bought it again.
with

lines as (select * from cleaned_transactions),

span as (select * from history_span),

-- By hash, which groups faster than text. Without a mapped order id, an order is a day (as in customer_days).
product_orders as (
    select
        lines.product_id,
        lines.customer_id,
        lines.ordered_on,
        sum(lines.quantity) as quantity,
        sum(lines.amount) as revenue
    from lines
    inner join span on lines.ordered_on <= span.as_of
    where lines.product_id is not null
    group by lines.product_id, lines.customer_id, lines.ordered_on, hash(lines.order_id)
),

-- Netted returns reduce revenue, but are not orders. Only a shop without money has no revenue.
buyers as (
    select
        product_id,
        sum(quantity) as quantity,
        sum(revenue) as revenue,
        count(*) filter (where coalesce(revenue > 0, true)) as orders,
        min(ordered_on) filter (where coalesce(revenue > 0, true)) as first_bought_on,
        max(ordered_on) filter (where coalesce(revenue > 0, true)) as last_bought_on
    from product_orders
    group by product_id, customer_id
),

products as (
    select
        product_id,
        sum(quantity) as quantity,
        sum(revenue) as revenue,
        sum(orders) as orders,
        count(*) filter (where orders > 0) as customers,
        count(*) filter (where first_bought_on < last_bought_on) as repeat_customers,
        min(first_bought_on) as first_bought_on,
        max(last_bought_on) as last_bought_on
    from buyers
    group by product_id
),

totals as (select sum(revenue) as revenue from products),

-- Every text once, so that only a few are taken apart.
texts as (
    select
        lines.product_id,
        lines.attributes,
        max(lines.ordered_at) as last_at
    from lines
    inner join span on lines.ordered_on <= span.as_of
    where
        lines.attributes is not null
        and lines.product_id is not null
        and coalesce(lines.amount > 0, true)
        and (lines.attributes like '%"product_name":%' or lines.attributes like '%"description":%')
    group by lines.product_id, lines.attributes
),

parsed as (
    select
        product_id,
        last_at,
        cast(cast(attributes as json) as map (varchar, varchar)) as pairs
    from texts
),

names as (
    select
        product_id,
        last_at,
        coalesce(nullif(pairs['product_name'], ''), nullif(pairs['description'], '')) as product_name
    from parsed
),

-- Of two names at the same moment, the alphabetically later one, so that the order of rows does not matter.
latest_names as (
    select
        product_id,
        product_name
    from names
    where product_name is not null
    qualify row_number() over (partition by product_id order by last_at desc, product_name desc) = 1
),

final as (
    select
        products.product_id,
        latest_names.product_name,
        cast(
            case when products.revenue is not null then rank() over (order by products.revenue desc) end
            as integer
        ) as revenue_rank,
        cast(products.revenue as decimal(28, 4)) as revenue,
        cast(products.revenue as double) / nullif(cast(totals.revenue as double), 0) as revenue_share,
        cast(products.quantity as decimal(28, 4)) as quantity,
        cast(products.orders as integer) as orders,
        cast(products.customers as integer) as customers,
        cast(products.repeat_customers as integer) as repeat_customers,
        cast(products.repeat_customers as double) / nullif(products.customers, 0) as repeat_share,
        products.first_bought_on,
        products.last_bought_on
    from products
    cross join totals
    left join latest_names on products.product_id = latest_names.product_id
)

select * from final
