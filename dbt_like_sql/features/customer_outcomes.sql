-- Outcomes of every customer after the cutoff, for the complete windows, as known when the window ended.
with

customers as (select * from customer_features),

days as (select * from customer_days),

windows as (select * from forecast_windows),

settings as (select * from parameters),

completed as (
    select
        customers.customer_id,
        windows.cutoff,
        windows.horizon_days,
        windows.outcome_ends
    from customers
    inner join windows on customers.cutoff = windows.cutoff
    where windows.is_complete and (customers.in_sample or not windows.is_sampled)
),

activity as (
    select
        completed.customer_id,
        completed.cutoff,
        completed.horizon_days,
        count(*) as purchases,
        sum(days.revenue) as spend
    from completed
    inner join days
        on
            completed.customer_id = days.customer_id
            and completed.cutoff < days.purchase_day
            and completed.outcome_ends >= days.known_from
            and coalesce(completed.outcome_ends < days.superseded_on, true)
    group by completed.customer_id, completed.cutoff, completed.horizon_days
),

final as (
    select
        completed.customer_id,
        completed.cutoff,
        cast(completed.horizon_days as integer) as horizon_days,
        cast(coalesce(activity.purchases, 0) as integer) as actual_purchases,
        cast(case when settings.has_money then coalesce(activity.spend, 0) end as decimal(28, 4))
            as actual_spend
    from completed
    cross join settings
    left join activity
        on
            completed.customer_id = activity.customer_id
            and completed.cutoff = activity.cutoff
            and completed.horizon_days = activity.horizon_days
)

select * from final
