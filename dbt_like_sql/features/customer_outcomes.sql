-- What every customer did after the cutoff, for the windows that are over.
with

customers as (select * from customer_features),

days as (select * from customer_days),

windows as (select * from forecast_windows),

completed as (
    select * from windows
    where is_complete
),

activity as (
    select
        days.customer_id,
        completed.cutoff,
        completed.horizon_days,
        count(*) as purchases,
        sum(days.revenue) as spend
    from days
    inner join completed
        on days.purchase_day > completed.cutoff and days.purchase_day <= completed.outcome_ends
    group by days.customer_id, completed.cutoff, completed.horizon_days
),

final as (
    select
        customers.customer_id,
        customers.cutoff,
        cast(completed.horizon_days as integer) as horizon_days,
        cast(coalesce(activity.purchases, 0) as integer) as actual_purchases,
        cast(coalesce(activity.spend, 0) as decimal(18, 4)) as actual_spend
    from customers
    inner join completed on customers.cutoff = completed.cutoff
    left join activity
        on
            customers.customer_id = activity.customer_id
            and customers.cutoff = activity.cutoff
            and completed.horizon_days = activity.horizon_days
)

select * from final
