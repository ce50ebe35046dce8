-- What every member of a campaign bought since it started, within each of its windows.
with

members as (select * from campaign_members),

started as (select * from campaigns),

days as (select * from known_days),

span as (select * from history_span),

forecasts as (select * from forecast_windows),

settings as (select * from parameters),

shop as (select * from shop_margin),

horizons as (
    select distinct horizon_days
    from forecasts
    where is_served
),

shorter as (
    select
        started.campaign,
        started.started_on,
        horizons.horizon_days
    from started
    cross join horizons
    cross join span
    where
        horizons.horizon_days < started.horizon_days
        and started.started_on + horizons.horizon_days <= span.as_of
),

-- The stated horizon from the start on, and shorter ones once they are over.
measured as (
    select
        campaign,
        started_on,
        horizon_days
    from shorter
    union all
    select
        campaign,
        started_on,
        horizon_days
    from started
),

windows as (
    select
        measured.*,
        measured.started_on + measured.horizon_days as ends_on,
        span.as_of,
        greatest(0, least(measured.horizon_days, date_diff('day', measured.started_on, span.as_of)))
            as days_measured
    from measured
    cross join span
),

-- Only days after the start count, as far as they are known.
bought as (
    select
        windows.campaign,
        windows.horizon_days,
        members.customer_id,
        sum(days.orders) as orders,
        sum(days.revenue) as revenue,
        sum(days.cost) as cost,
        sum(days.costed_revenue) as costed_revenue
    from windows
    inner join members on windows.campaign = members.campaign
    inner join days
        on
            members.customer_id = days.customer_id
            and windows.started_on < days.purchase_day
            and windows.ends_on >= days.purchase_day
            and windows.as_of >= days.purchase_day
    group by windows.campaign, windows.horizon_days, members.customer_id
),

final as (
    select
        windows.campaign,
        windows.horizon_days,
        members.customer_id,
        members.is_control,
        members.stratum,
        members.segment,
        cast(windows.days_measured as integer) as days_measured,
        members.expected_purchases,
        members.expected_margin,
        members.expected_deviation,
        cast(coalesce(bought.orders, 0) as integer) as orders,
        case
            when settings.has_money
                then cast(
                    coalesce(bought.costed_revenue - bought.cost, 0)
                    + cast(
                        cast(coalesce(bought.revenue - coalesce(bought.costed_revenue, 0), 0) as double)
                        * shop.margin as decimal(28, 4)
                    )
                    as decimal(28, 4)
                )
        end as margin
    from windows
    inner join members on windows.campaign = members.campaign
    cross join settings
    cross join shop
    left join bought
        on
            windows.campaign = bought.campaign
            and windows.horizon_days = bought.horizon_days
            and members.customer_id = bought.customer_id
)

select * from final
