-- Everything that is known and expected of a customer in one row.
with

customers as (select * from rfm),

members as (select * from segments),

features as (select * from customer_features),

forecasts as (select * from clv_forecasts),

outlooks as (select * from customer_outlook),

drivers as (select * from clv_drivers),

rhythms as (select * from customer_rhythms),

names as (select * from cluster_names),

settings as (select * from parameters),

shop as (select * from shop_margin),

margins as (select * from customer_margins),

everybody as (select * from dim_customer),

longest as (select max(horizon_days) as horizon_days from forecasts),

-- Rounded for readers. A customer who is more likely not to buy most likely spends nothing. Without money,
-- only purchases are told.
told as (
    select
        *,
        cast(expected_spend as decimal(28, 2)) as told_spend,
        cast(spend_lower as decimal(28, 2)) as told_lower,
        cast(spend_upper as decimal(28, 2)) as told_upper,
        case
            when p_purchase < 0.5 then 'most_likely_nothing'
            when expected_spend is null then 'buys'
            else 'spends'
        end as outcome,
        case
            when p_purchase > 0 and p_purchase < 0.01 then 'under 1'
            when p_purchase > 0.99 and p_purchase < 1 then 'over 99'
            else cast(cast(round(100 * p_purchase) as integer) as varchar)
        end as told_percent
    from forecasts
),

-- One pass and one row per customer: an aggregate of texts per group would hold all of them in memory.
longest_forecasts as (
    select
        *,
        string_agg(
            horizon_days || ' days: '
            || case
                when outcome = 'most_likely_nothing' then 'most likely nothing, '
                when outcome = 'spends' then 'spends ' || told_spend || ', '
                else ''
            end
            || 'buys with ' || told_percent || ' %'
            || coalesce(', ' || told_lower || ' to ' || told_upper, ''),
            '; '
        ) over (partition by customer_id order by horizon_days) as forecasts_in_words,
        string_agg(horizon_days || ':' || outcome, ';') over (
            partition by customer_id order by horizon_days
        ) as forecasts_codes,
        string_agg(
            '[' || horizon_days || ', "' || outcome || '", ' || cast(p_purchase as decimal(18, 4)) || ', '
            || coalesce(told_lower || ', ' || told_upper, 'null, null') || ', '
            || coalesce(cast(told_spend as varchar), 'null') || ']',
            ', '
        ) over (partition by customer_id order by horizon_days) as forecasts_facts
    from told
    qualify row_number() over (partition by customer_id order by horizon_days desc) = 1
),

-- The facts of clv_drivers that have a single value per customer; the others cannot be shown.
-- `measured` lists them in this order.
facts (feature, label, number) as (
    values
    ('days_since_last', 'days since the last purchase', 1),
    ('frequency', 'repeat purchases', 2),
    ('spend_per_purchase', 'spend per purchase', 3),
    ('recent_activity', 'spend in the last 365 days', 4),
    ('basket_size', 'lines per order', 5),
    ('product_breadth', 'different products', 6)
),

-- The three facts with the largest effect on forecasts.
main_drivers as (
    select
        drivers.feature,
        drivers.direction,
        facts.number,
        case
            when facts.feature = 'recent_activity' and not settings.has_money
                then 'purchases in the last 365 days'
            else facts.label
        end as fact_label,
        row_number() over (order by drivers.importance desc, drivers.feature asc) as place
    from drivers
    inner join longest on drivers.horizon_days = longest.horizon_days
    inner join facts on drivers.feature = facts.feature
    cross join settings
    where drivers.importance > 0 and drivers.direction in ('up', 'down')
    qualify row_number() over (order by drivers.importance desc, drivers.feature asc) <= 3
),

-- In one row, with the facts side by side: a join or a group per customer would cost more.
places as (
    select
        max(case when place = 1 then feature end) as feature_1,
        max(case when place = 1 then direction end) as direction_1,
        max(case when place = 1 then number end) as number_1,
        max(case when place = 1 then fact_label end) as label_1,
        max(case when place = 2 then feature end) as feature_2,
        max(case when place = 2 then direction end) as direction_2,
        max(case when place = 2 then number end) as number_2,
        max(case when place = 2 then fact_label end) as label_2,
        max(case when place = 3 then feature end) as feature_3,
        max(case when place = 3 then direction end) as direction_3,
        max(case when place = 3 then number end) as number_3,
        max(case when place = 3 then fact_label end) as label_3
    from main_drivers
),

today as (
    select
        customers.*,
        case when customers.frequency > 0 then customers.monetary_value else customers.revenue end
            as spend_per_purchase,
        coalesce(features.spend_365_days, features.purchases_365_days) as recent_activity,
        features.lines_per_order,
        features.products,
        features.country,
        features.mean_gap_days,
        rhythms.usual_gap_days,
        rhythms.overdue_since
    from customers
    inner join features on customers.customer_id = features.customer_id and customers.as_of = features.cutoff
    inner join rhythms on customers.customer_id = rhythms.customer_id and customers.as_of = rhythms.cutoff
),

listed as (
    select
        *,
        [
            cast(days_since_last as double),
            cast(frequency as double),
            cast(spend_per_purchase as double),
            cast(recent_activity as double),
            cast(lines_per_order as double),
            cast(products as double)
        ] as all_facts
    from today
),

-- The casts of positions tell the translation for Spark, which counts from 0, that they are whole numbers.
measured as (
    select
        listed.*,
        cast(listed.all_facts[cast(places.number_1 as integer)] as decimal(28, 2)) as fact_1,
        cast(listed.all_facts[cast(places.number_2 as integer)] as decimal(28, 2)) as fact_2,
        cast(listed.all_facts[cast(places.number_3 as integer)] as decimal(28, 2)) as fact_3
    from listed
    cross join places
),

medians as (
    select
        quantile_disc(fact_1, 0.5) as median_1,
        quantile_disc(fact_2, 0.5) as median_2,
        quantile_disc(fact_3, 0.5) as median_3
    from measured
),

compared as (
    select
        measured.*,
        places.feature_1,
        places.feature_2,
        places.feature_3,
        places.label_1,
        places.label_2,
        places.label_3,
        medians.median_1,
        medians.median_2,
        medians.median_3,
        case
            when measured.fact_1 <> medians.median_1 then
                case
                    when (measured.fact_1 > medians.median_1) = (places.direction_1 = 'up') then 'more'
                    else 'less'
                end
        end as effect_1,
        case
            when measured.fact_2 <> medians.median_2 then
                case
                    when (measured.fact_2 > medians.median_2) = (places.direction_2 = 'up') then 'more'
                    else 'less'
                end
        end as effect_2,
        case
            when measured.fact_3 <> medians.median_3 then
                case
                    when (measured.fact_3 > medians.median_3) = (places.direction_3 = 'up') then 'more'
                    else 'less'
                end
        end as effect_3
    from measured
    cross join places
    cross join medians
),

-- A value equal to the median is NULL, and so are its words, its code and its facts.
explained as (
    select
        *,
        effect_1 || ' expected: ' || label_1
        || ' ' || replace(cast(fact_1 as varchar), '.00', '')
        || ' (median ' || replace(cast(median_1 as varchar), '.00', '') || ')' as reason_1,
        feature_1 || ':' || effect_1 as code_1,
        '["' || feature_1 || '", "' || effect_1 || '", '
        || cast(fact_1 as varchar) || ', ' || cast(median_1 as varchar) || ']' as facts_1,
        effect_2 || ' expected: ' || label_2
        || ' ' || replace(cast(fact_2 as varchar), '.00', '')
        || ' (median ' || replace(cast(median_2 as varchar), '.00', '') || ')' as reason_2,
        feature_2 || ':' || effect_2 as code_2,
        '["' || feature_2 || '", "' || effect_2 || '", '
        || cast(fact_2 as varchar) || ', ' || cast(median_2 as varchar) || ']' as facts_2,
        effect_3 || ' expected: ' || label_3
        || ' ' || replace(cast(fact_3 as varchar), '.00', '')
        || ' (median ' || replace(cast(median_3 as varchar), '.00', '') || ')' as reason_3,
        feature_3 || ':' || effect_3 as code_3,
        '["' || feature_3 || '", "' || effect_3 || '", '
        || cast(fact_3 as varchar) || ', ' || cast(median_3 as varchar) || ']' as facts_3
    from compared
),

final as (
    select
        explained.customer_id,
        explained.as_of,
        explained.country,
        explained.first_purchase_date,
        explained.last_purchase_date,
        explained.days_since_last,
        explained.tenure_days,
        explained.recency_days,
        explained.frequency,
        explained.orders,
        explained.revenue,
        everybody.gross_revenue,
        everybody.returned_revenue,
        everybody.net_revenue,
        explained.monetary_value,
        cast(cast(explained.revenue as double) / explained.orders as decimal(28, 4)) as average_order_value,
        explained.mean_gap_days,
        explained.usual_gap_days,
        explained.overdue_since,
        explained.r_score,
        explained.f_score,
        explained.m_score,
        members.segment,
        members.cluster,
        members.cluster_name,
        names.cluster_name_code,
        names.cluster_name_facts,
        members.value_tier,
        members.at_risk,
        members.value_at_stake,
        members.recommended_action,
        members.recommended_action_code,
        members.recommended_action_facts,
        members.contact_channel,
        members.contact_channel_code,
        longest_forecasts.horizon_days,
        longest_forecasts.model,
        longest_forecasts.purchase_model,
        longest_forecasts.expected_purchases,
        cast(longest_forecasts.expected_spend as decimal(28, 4)) as expected_spend,
        cast(longest_forecasts.spend_lower as decimal(28, 4)) as spend_lower,
        cast(longest_forecasts.spend_upper as decimal(28, 4)) as spend_upper,
        longest_forecasts.interval_level,
        longest_forecasts.p_purchase,
        longest_forecasts.p_alive,
        cast(longest_forecasts.clv as decimal(28, 4)) as clv,
        longest_forecasts.clv_rank,
        cast(outlooks.value_per_purchase as decimal(28, 4)) as order_value,
        outlooks.next_order_date,
        outlooks.p_purchase_30_days,
        outlooks.p_purchase_90_days,
        outlooks.p_purchase_365_days,
        coalesce(
            margins.realised_margin,
            cast(shop.margin * cast(explained.revenue as double) as decimal(28, 4))
        ) as historic_value,
        cast(longest_forecasts.clv as decimal(28, 4)) as predicted_value,
        cast(coalesce(margins.margin, shop.margin) as double) as margin,
        shop.margin_source,
        cast(
            coalesce(
                margins.realised_margin,
                cast(shop.margin * cast(explained.revenue as double) as decimal(28, 4))
            )
            + cast(longest_forecasts.clv as decimal(28, 4)) as decimal(28, 4)
        ) as total_value,
        cast(outlooks.lifetime_value as decimal(28, 4)) as lifetime_value,
        cast(longest_forecasts.forecasts_in_words as varchar) as forecasts_in_words,
        cast(longest_forecasts.forecasts_codes as varchar) as forecasts_codes,
        cast('[' || longest_forecasts.forecasts_facts || ']' as varchar) as forecasts_facts,
        cast(
            nullif(concat_ws('; ', explained.reason_1, explained.reason_2, explained.reason_3), '') as varchar
        ) as drivers_in_words,
        cast(
            nullif(concat_ws(';', explained.code_1, explained.code_2, explained.code_3), '') as varchar
        ) as drivers_codes,
        cast(
            '[' || nullif(concat_ws(', ', explained.facts_1, explained.facts_2, explained.facts_3), '') || ']'
            as varchar
        ) as drivers_facts
    from explained
    inner join everybody on explained.customer_id = everybody.customer_id
    inner join members on explained.customer_id = members.customer_id
    inner join longest_forecasts on explained.customer_id = longest_forecasts.customer_id
    inner join outlooks on explained.customer_id = outlooks.customer_id
    left join names on members.cluster = names.cluster
    left join margins on explained.customer_id = margins.customer_id
    cross join shop
)

select * from final
