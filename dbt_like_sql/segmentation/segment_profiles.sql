-- Past and expected value of every segment.
with

members as (select * from segments),

customers as (select * from rfm),

forecasts as (select * from clv_forecasts),

longest as (select max(horizon_days) as horizon_days from forecasts),

longest_forecasts as (
    select forecasts.*
    from forecasts
    inner join longest on forecasts.horizon_days = longest.horizon_days
),

totals as (select sum(revenue) as revenue from customers),

-- Codes of the recommended actions of `segments`, for other languages.
actions (segment, recommended_action_code) as (
    values
    ('Champions', 'reward'),
    ('Loyal', 'grow_basket'),
    ('Potential Loyalists', 'build_habit'),
    ('New Customers', 'welcome'),
    ('Promising', 'second_purchase'),
    ('Need Attention', 'remind'),
    ('About to Sleep', 'reactivate'),
    ('At Risk', 'win_back'),
    ('Can''t Lose', 'call_personally'),
    ('Hibernating', 'seasonal_only'),
    ('Lost', 'cheapest_channel')
),

profiles as (
    select
        members.segment,
        members.recommended_action,
        longest_forecasts.horizon_days,
        count(*) as customers,
        sum(customers.revenue) as revenue,
        quantile_disc(customers.days_since_last, 0.5) as median_days_since_last,
        quantile_disc(customers.frequency, 0.5) as median_frequency,
        sum(cast(longest_forecasts.expected_spend as decimal(28, 4))) as expected_spend,
        sum(cast(longest_forecasts.clv as decimal(28, 4))) as clv
    from members
    inner join customers on members.customer_id = customers.customer_id
    inner join longest_forecasts on members.customer_id = longest_forecasts.customer_id
    group by members.segment, members.recommended_action, longest_forecasts.horizon_days
),

final as (
    select
        profiles.segment,
        cast(profiles.customers as integer) as customers,
        cast(profiles.revenue as decimal(28, 4)) as revenue,
        cast(cast(profiles.revenue as double) / cast(totals.revenue as double) as double) as revenue_share,
        cast(profiles.median_days_since_last as integer) as median_days_since_last,
        cast(profiles.median_frequency as integer) as median_frequency,
        cast(profiles.horizon_days as integer) as horizon_days,
        cast(profiles.expected_spend as decimal(28, 4)) as expected_spend,
        cast(profiles.clv as decimal(28, 4)) as clv,
        profiles.recommended_action,
        cast(actions.recommended_action_code as varchar) as recommended_action_code
    from profiles
    cross join totals
    left join actions on profiles.segment = actions.segment
)

select * from final
