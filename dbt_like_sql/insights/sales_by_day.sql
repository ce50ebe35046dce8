-- Revenue, orders and customers of every day of history, including days without sales.
with

days as (select * from sales_calendar),

final as (
    select
        calendar_day,
        revenue,
        orders,
        customers_of_day as customers,
        new_customers,
        cast(customers_of_day - new_customers as integer) as returning_customers
    from days
)

select * from final
