-- The purchase days as they are known today.
with

days as (select * from customer_days),

span as (select * from history_span),

final as (
    select
        days.customer_id,
        days.purchase_day,
        days.orders,
        days.transaction_lines,
        days.quantity,
        days.revenue,
        days.returned,
        days.cost,
        days.costed_revenue
    from days
    inner join span
        on days.known_from <= span.as_of and coalesce(days.superseded_on > span.as_of, true)
)

select * from final
