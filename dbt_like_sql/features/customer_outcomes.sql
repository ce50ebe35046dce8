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

-- Counted by the day, which is NULL of a customer without a purchase in the window.
activity as (
    select
        completed.customer_id,
        completed.cutoff,
        completed.horizon_days,
        count(days.purchase_day) as purchases,
        sum(days.revenue) as spend
    from completed
    left join days
        on
            completed.customer_id = days.customer_id
            and completed.cutoff < days.purchase_day
            and completed.outcome_ends >= days.known_from
            and coalesce(completed.outcome_ends < days.superseded_on, true)
    group by completed.customer_id, completed.cutoff, completed.horizon_days
),

final as (
    select
        activity.customer_id,
        activity.cutoff,
        cast(activity.horizon_days as integer) as horizon_days,
        cast(activity.purchases as integer) as actual_purchases,
        cast(case when settings.has_money then coalesce(activity.spend, 0) end as decimal(28, 4))
            as actual_spend
    from activity
    cross join settings
)

select * from final
