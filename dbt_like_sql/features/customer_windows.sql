-- Purchases in two past windows of the horizon's length: the last one, and the one a year ago. Only rules
-- that are evaluated or serve read them; models learn from other tables.
with

customers as (select * from customer_features),

days as (select * from customer_days),

windows as (select * from forecast_windows),

settings as (select * from parameters),

-- Both windows end at or before the cutoff, for any horizon.
past_windows as (
    select
        customers.customer_id,
        windows.cutoff,
        windows.horizon_days,
        windows.cutoff - windows.horizon_days as last_starts,
        windows.cutoff - 365 as year_ago_starts,
        least(windows.cutoff - 365 + windows.horizon_days, windows.cutoff) as year_ago_ends
    from customers
    inner join windows on customers.cutoff = windows.cutoff
    where windows.is_served and not windows.is_sampled
),

-- Counted by the day, which is NULL of a customer without a purchase in either window.
activity as (
    select
        past_windows.customer_id,
        past_windows.cutoff,
        past_windows.horizon_days,
        count(days.purchase_day) filter (
            where days.purchase_day > past_windows.last_starts
        ) as purchases_last_window,
        sum(days.revenue) filter (where days.purchase_day > past_windows.last_starts) as spend_last_window,
        count(days.purchase_day) filter (
            where
            days.purchase_day > past_windows.year_ago_starts
            and days.purchase_day <= past_windows.year_ago_ends
        ) as purchases_same_window_last_year,
        sum(days.revenue) filter (
            where
            days.purchase_day > past_windows.year_ago_starts
            and days.purchase_day <= past_windows.year_ago_ends
        ) as spend_same_window_last_year
    from past_windows
    left join days
        on
            past_windows.customer_id = days.customer_id
            and past_windows.cutoff >= days.known_from
            and coalesce(past_windows.cutoff < days.superseded_on, true)
            and days.purchase_day > least(past_windows.last_starts, past_windows.year_ago_starts)
    group by past_windows.customer_id, past_windows.cutoff, past_windows.horizon_days
),

final as (
    select
        activity.customer_id,
        activity.cutoff,
        cast(activity.horizon_days as integer) as horizon_days,
        cast(activity.purchases_last_window as integer) as purchases_last_window,
        cast(case when settings.has_money then coalesce(activity.spend_last_window, 0) end as decimal(28, 4))
            as spend_last_window,
        cast(activity.purchases_same_window_last_year as integer) as purchases_same_window_last_year,
        cast(
            case when settings.has_money then coalesce(activity.spend_same_window_last_year, 0) end
            as decimal(28, 4)
        ) as spend_same_window_last_year
    from activity
    cross join settings
)

select * from final
