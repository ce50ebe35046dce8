-- Past and expected value of every segment.
with

members as (select * from segments),

customers as (select * from rfm),

forecasts as (select * from clv_forecasts),

advice as (select * from segment_advice),

costs as (select * from contact_costs),

longest as (select max(horizon_days) as horizon_days from forecasts),

longest_forecasts as (
    select forecasts.*
    from forecasts
    inner join longest on forecasts.horizon_days = longest.horizon_days
),

totals as (select sum(revenue) as revenue from customers),

profiles as (
    select
        members.segment,
        longest_forecasts.horizon_days,
        count(*) as customers,
        sum(customers.revenue) as revenue,
        quantile_disc(customers.days_since_last, 0.5) as median_days_since_last,
        quantile_disc(customers.frequency, 0.5) as median_frequency,
        cast(sum(cast(longest_forecasts.expected_purchases as decimal(18, 6))) as double)
            as expected_purchases,
        cast(sum(cast(longest_forecasts.p_purchase as decimal(18, 6))) as double) as expected_buyers,
        sum(cast(longest_forecasts.expected_spend as decimal(28, 4))) as expected_spend,
        sum(cast(longest_forecasts.clv as decimal(28, 4))) as clv,
        count_if(members.at_risk) as at_risk_customers,
        sum(members.value_at_stake) as value_at_stake
    from members
    inner join customers on members.customer_id = customers.customer_id
    inner join longest_forecasts on members.customer_id = longest_forecasts.customer_id
    group by members.segment, longest_forecasts.horizon_days
),

-- The limit of all customers together is held against the cost of reaching all of them.
judged as (
    select
        profiles.*,
        coalesce(profiles.expected_buyers / profiles.customers >= 0.5, false) as buys_anyway,
        -- Without money only the cheapest channel is advised.
        case
            when profiles.clv is null then 1
            else
                cast(profiles.clv >= costs.email * profiles.customers as integer)
                + cast(profiles.clv >= costs.letter * profiles.customers as integer)
                + cast(profiles.clv >= costs.telephone * profiles.customers as integer)
        end as affordable_channels
    from profiles
    cross join costs
),

final as (
    select
        judged.segment,
        cast(judged.customers as integer) as customers,
        cast(judged.revenue as decimal(28, 4)) as revenue,
        cast(cast(judged.revenue as double) / cast(totals.revenue as double) as double) as revenue_share,
        cast(judged.median_days_since_last as double) as median_days_since_last,
        cast(judged.median_frequency as double) as median_frequency,
        cast(judged.horizon_days as integer) as horizon_days,
        cast(judged.expected_spend as decimal(28, 4)) as expected_spend,
        cast(judged.clv as decimal(28, 4)) as clv,
        advice.recommended_action,
        advice.recommended_action_code,
        advice.channel,
        advice.channel_code,
        advice.cost_per_contact,
        advice.claim,
        cast(judged.expected_purchases / judged.customers as double) as expected_purchases_each,
        cast(judged.expected_buyers / judged.customers as double) as p_purchase,
        cast(judged.at_risk_customers as integer) as at_risk_customers,
        cast(judged.value_at_stake as decimal(28, 4)) as value_at_stake
    from judged
    cross join totals
    left join advice
        on
            judged.segment = advice.segment
            and judged.affordable_channels = advice.affordable_channels
            and judged.buys_anyway = advice.buys_anyway
)

select * from final
