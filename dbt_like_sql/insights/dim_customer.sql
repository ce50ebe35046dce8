-- Everybody who has ever bought, with what facts are grouped by, and what was bought, returned and kept.
with

days as (select * from sold_days),

customers as (select * from rfm),

members as (select * from segments),

features as (select * from customer_features),

channels as (select * from customer_channels),

records as (select * from raw_customers),

span as (select * from history_span),

sold as (
    select
        customer_id,
        sum(gross_revenue) as gross_revenue,
        sum(returned_revenue) as returned_revenue,
        sum(net_revenue) as net_revenue
    from days
    group by customer_id
),

-- If a customer is listed more than once, the last record counts, as in customer_attributes.
latest as (
    select
        customer_id,
        attributes
    from records
    where customer_id is not null
    qualify row_number() over (partition by customer_id order by source_id desc, source_line desc) = 1
),

today as (
    select
        features.customer_id,
        features.country
    from features
    inner join span on features.cutoff = span.as_of
),

final as (
    select
        sold.customer_id,
        cast(date_trunc('month', customers.first_purchase_date) as date) as cohort_month,
        customers.first_purchase_date,
        customers.last_purchase_date,
        today.country,
        channels.channel,
        latest.attributes,
        members.segment,
        members.value_tier,
        cast(sold.gross_revenue as decimal(28, 4)) as gross_revenue,
        cast(sold.returned_revenue as decimal(28, 4)) as returned_revenue,
        cast(sold.net_revenue as decimal(28, 4)) as net_revenue
    from sold
    left join customers on sold.customer_id = customers.customer_id
    left join members on sold.customer_id = members.customer_id
    left join channels on sold.customer_id = channels.customer_id
    left join today on sold.customer_id = today.customer_id
    left join latest on sold.customer_id = latest.customer_id
)

select * from final
