-- The segment of every customer, its cluster, what is at stake, and what to do.
with

customers as (select * from rfm),

named as (select * from past_segments),

rhythms as (select * from customer_rhythms),

clusters as (select * from customer_clusters),

forecasts as (select * from clv_forecasts),

outlooks as (select * from customer_outlook),

advice as (select * from segment_advice),

costs as (select * from contact_costs),

shop as (select * from shop_margin),

margins as (select * from customer_margins),

longest as (select max(horizon_days) as horizon_days from forecasts),

cut_points as (
    select
        quantile_disc(revenue, 0.5) as median_revenue,
        quantile_disc(revenue, 0.8) as high_revenue
    from customers
),

-- Only who bought again has a rate of their own. A simple rule may not know what a purchase is worth.
expected as (
    select
        customers.customer_id,
        customers.revenue,
        named.segment,
        rhythms.silence,
        forecasts.expected_purchases,
        cast(forecasts.expected_spend as decimal(28, 4)) as expected_spend,
        forecasts.p_purchase,
        cast(forecasts.clv as decimal(28, 4)) as expected_margin,
        coalesce(outlooks.value_per_purchase, cast(customers.revenue as double) / (customers.frequency + 1))
            as value_per_purchase,
        case when customers.frequency > 0 then forecasts.horizon_days / rhythms.usual_gap_days else 0 end
            as own_purchases
    from customers
    inner join named on customers.customer_id = named.customer_id and customers.as_of = named.cutoff
    inner join rhythms on customers.customer_id = rhythms.customer_id and customers.as_of = rhythms.cutoff
    inner join forecasts on customers.customer_id = forecasts.customer_id
    inner join longest on forecasts.horizon_days = longest.horizon_days
    inner join outlooks on customers.customer_id = outlooks.customer_id
),

missing as (
    select
        expected.*,
        coalesce(margins.margin, shop.margin)
        * (expected.own_purchases * expected.value_per_purchase - cast(expected.expected_spend as double))
            as missing_margin,
        coalesce(expected.p_purchase >= 0.5, false) as buys_anyway,
        -- Without money only the cheapest channel is advised.
        case
            when expected.expected_margin is null then 1
            else
                cast(expected.expected_margin >= costs.email as integer)
                + cast(expected.expected_margin >= costs.letter as integer)
                + cast(expected.expected_margin >= costs.telephone as integer)
        end as affordable_channels,
        costs.email as cheapest_contact
    from expected
    cross join shop
    cross join costs
    left join margins on expected.customer_id = margins.customer_id
),

at_stake as (
    select
        *,
        cast(
            silence = 'overdue'
            and coalesce(missing_margin > 0, own_purchases > expected_purchases, false) as boolean
        ) as at_risk
    from missing
),

final as (
    select
        at_stake.customer_id,
        at_stake.segment,
        clusters.cluster,
        clusters.cluster_name,
        cast(
            case
                when at_stake.revenue is null then null
                when at_stake.revenue > cut_points.high_revenue then 'high'
                when at_stake.revenue > cut_points.median_revenue then 'middle'
                else 'low'
            end as varchar
        ) as value_tier,
        at_stake.at_risk,
        -- NULL stays NULL.
        cast(
            case when at_stake.at_risk or at_stake.missing_margin is null then at_stake.missing_margin else 0 end
            as decimal(28, 4)
        ) as value_at_stake,
        advice.recommended_action,
        advice.recommended_action_code,
        cast(
            '[' || coalesce(cast(cast(at_stake.p_purchase as decimal(18, 4)) as varchar), 'null') || ', '
            || coalesce(
                cast(at_stake.expected_margin as varchar) || ', '
                || cast(at_stake.cheapest_contact as varchar),
                'null, null'
            )
            || ']' as varchar
        ) as recommended_action_facts,
        advice.channel as contact_channel,
        advice.channel_code as contact_channel_code
    from at_stake
    cross join cut_points
    inner join clusters on at_stake.customer_id = clusters.customer_id
    inner join advice
        on
            at_stake.segment = advice.segment
            and at_stake.affordable_channels = advice.affordable_channels
            and at_stake.buys_anyway = advice.buys_anyway
)

select * from final
