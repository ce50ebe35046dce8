-- In which month every customer first bought, and the channel that they came from: what is said of the
-- customer, else of the first purchase.
with

days as (select * from known_days),

attributes as (select * from customer_attributes),

lines as (select * from cleaned_transactions),

customers as (
    select
        customer_id,
        min(purchase_day) as first_purchase_date
    from days
    group by customer_id
),

stated as (
    select
        customer_id,
        coalesce(category, cast(number as varchar)) as channel
    from attributes
    where attribute_name = 'channel'
),

first_lines as (
    select
        customers.customer_id,
        lines.ordered_at,
        cast(cast(lines.attributes as json) as map (varchar, varchar)) as pairs
    from customers
    inner join lines
        on customers.customer_id = lines.customer_id and customers.first_purchase_date = lines.ordered_on
    -- Only attributes with a channel are taken apart.
    where lines.attributes like '%"channel":%' and coalesce(lines.amount > 0, true)
),

bought_by as (
    select
        customer_id,
        pairs['channel'] as channel
    from first_lines
    where lower(pairs['channel']) not in ('', 'nan', 'null', 'none', 'n/a')
    qualify row_number() over (partition by customer_id order by ordered_at, pairs['channel']) = 1
),

final as (
    select
        customers.customer_id,
        customers.first_purchase_date,
        cast(date_trunc('month', customers.first_purchase_date) as date) as first_month,
        cast(coalesce(stated.channel, bought_by.channel, 'not known') as varchar) as channel
    from customers
    left join stated on customers.customer_id = stated.customer_id
    left join bought_by on customers.customer_id = bought_by.customer_id
)

select * from final
