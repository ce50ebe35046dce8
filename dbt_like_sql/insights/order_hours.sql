-- When orders come: by weekday and hour.
with

orders as (select * from order_profile),

final as (
    select
        day_of_week,
        hour_of_day,
        cast(sum(orders) as integer) as orders,
        cast(sum(revenue) as decimal(28, 4)) as revenue
    from orders
    group by day_of_week, hour_of_day
)

select * from final
