-- Repeat purchases by day and cohort, the customers whose first purchase was in the same week. A row depends
-- only on days up to its own: read up to a cutoff, the table is what was known then.
with

days as (select * from customer_days),

customers as (
    select
        customer_id,
        min(purchase_day) as first_purchase_date
    from days
    group by customer_id
),

repeats as (
    select
        days.purchase_day,
        cast(date_trunc('week', customers.first_purchase_date) as date) as first_week
    from days
    inner join customers on days.customer_id = customers.customer_id
    where days.purchase_day > customers.first_purchase_date
),

final as (
    select
        first_week,
        purchase_day as "day",
        cast(count(*) as integer) as repeats
    from repeats
    group by first_week, purchase_day
)

select * from final
