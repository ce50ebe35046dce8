-- What was in every order: a row per order and product, for questions that months do not answer.
with

lines as (select * from cleaned_transactions),

span as (select * from history_span),

-- Without a mapped order id, an order is a day (as in customer_days).
sold as (
    select
        lines.customer_id,
        lines.ordered_on,
        lines.order_id,
        lines.product_id,
        max(lines.country) as country,
        sum(lines.quantity) as quantity,
        sum(case when lines.amount > 0 then lines.amount when lines.amount < 0 then 0 end) as gross_revenue,
        sum(case when lines.amount < 0 then -lines.amount when lines.amount > 0 then 0 end)
            as returned_revenue,
        sum(lines.amount) as net_revenue
    from lines
    inner join span on lines.ordered_on <= span.as_of
    group by lines.customer_id, lines.ordered_on, lines.order_id, lines.product_id
),

final as (
    select
        customer_id,
        ordered_on,
        cast(
            row_number() over (
                partition by customer_id, ordered_on
                order by coalesce(order_id, ''), coalesce(product_id, ''), order_id, product_id
            ) as integer
        ) as line_number,
        order_id,
        product_id,
        country,
        cast(quantity as decimal(28, 4)) as quantity,
        cast(gross_revenue as decimal(28, 4)) as gross_revenue,
        cast(returned_revenue as decimal(28, 4)) as returned_revenue,
        cast(net_revenue as decimal(28, 4)) as net_revenue
    from sold
)

select * from final
