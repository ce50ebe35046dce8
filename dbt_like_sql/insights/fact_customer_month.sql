-- What every customer bought in every month, and the segment that they were in at its end.
with

days as (select * from sold_days),

states as (select * from customer_month_states),

histories as (select * from month_end_segments),

shop as (select * from shop_margin),

months as (
    select
        customer_id,
        cast(date_trunc('month', purchase_day) as date) as calendar_month,
        sum(orders) as orders,
        sum(purchase_days) as purchase_days,
        sum(gross_revenue) as gross_revenue,
        sum(returned_revenue) as returned_revenue,
        sum(net_revenue) as net_revenue,
        sum(cost) as cost,
        sum(costed_revenue) as costed_revenue
    from days
    group by customer_id, cast(date_trunc('month', purchase_day) as date)
),

final as (
    select
        months.customer_id,
        months.calendar_month,
        cast(months.orders as integer) as orders,
        cast(months.purchase_days as integer) as purchase_days,
        cast(months.gross_revenue as decimal(28, 4)) as gross_revenue,
        cast(months.returned_revenue as decimal(28, 4)) as returned_revenue,
        cast(months.net_revenue as decimal(28, 4)) as net_revenue,
        cast(
            coalesce(months.costed_revenue - months.cost, 0)
            + cast(
                cast(months.net_revenue - coalesce(months.costed_revenue, 0) as double) * shop.margin
                as decimal(28, 4)
            )
            as decimal(28, 4)
        ) as net_margin,
        histories.segment
    from months
    cross join shop
    -- What was bought and returned on one day changes no state: the one of an earlier month still stands.
    left join states
        on
            months.customer_id = states.customer_id
            and months.calendar_month >= states.calendar_month
            and coalesce(months.calendar_month < states.until_month, true)
    left join histories
        on
            months.calendar_month = histories.calendar_month
            and states.first_purchase_date = histories.first_purchase_date
            and states.last_purchase_date = histories.last_purchase_date
            and states.frequency = histories.frequency
)

select * from final
