-- Everything that is known and expected of a customer in one row.
with

customers as (select * from rfm),

members as (select * from segments),

features as (select * from customer_features),

forecasts as (select * from clv_forecasts),

drivers as (select * from clv_drivers),

longest as (select max(horizon_days) as horizon_days from forecasts),

-- One pass and one row per customer: a sum of words per group would hold all of them in memory.
longest_forecasts as (
    select
        *,
        string_agg(
            horizon_days || ' days: spends ' || cast(expected_spend as decimal(18, 2))
            || coalesce(
                ' (' || cast(spend_lower as decimal(18, 2))
                || ' to ' || cast(spend_upper as decimal(18, 2)) || ')',
                ''
            )
            || ', buys with ' || cast(round(100 * p_purchase) as integer) || ' %',
            '; '
        ) over (partition by customer_id order by horizon_days) as forecasts_in_words
    from forecasts
    qualify row_number() over (partition by customer_id order by horizon_days desc) = 1
),

-- The facts of clv_drivers that a customer can be told about; the others have no single value.
facts (feature, label) as (
    values
    ('days_since_last', 'days since the last purchase'),
    ('frequency', 'repeat purchases'),
    ('spend_per_purchase', 'spend per purchase'),
    ('recent_activity', 'spend in the last 365 days'),
    ('basket_size', 'lines per order'),
    ('product_breadth', 'different products')
),

-- The three that move the forecasts most.
main_drivers as (
    select
        drivers.feature,
        drivers.direction,
        facts.label,
        row_number() over (order by drivers.importance desc, drivers.feature asc) as place
    from drivers
    inner join longest on drivers.horizon_days = longest.horizon_days
    inner join facts on drivers.feature = facts.feature
    where drivers.importance > 0 and drivers.direction in ('up', 'down')
    qualify row_number() over (order by drivers.importance desc, drivers.feature asc) <= 3
),

-- In one row, and the facts beside each other: a join or a group per customer would cost more.
places as (
    select
        max(case when place = 1 then feature end) as feature_1,
        max(case when place = 1 then direction end) as direction_1,
        max(case when place = 1 then label end) as label_1,
        max(case when place = 2 then feature end) as feature_2,
        max(case when place = 2 then direction end) as direction_2,
        max(case when place = 2 then label end) as label_2,
        max(case when place = 3 then feature end) as feature_3,
        max(case when place = 3 then direction end) as direction_3,
        max(case when place = 3 then label end) as label_3
    from main_drivers
),

today as (
    select
        customers.*,
        case when customers.frequency > 0 then customers.monetary_value else customers.revenue end
            as spend_per_purchase,
        features.spend_365_days,
        features.lines_per_order,
        features.products,
        features.country
    from customers
    inner join features on customers.customer_id = features.customer_id and customers.as_of = features.cutoff
),

measured as (
    select
        today.*,
        -- The type of such a mixture is said, because engines differ in it.
        cast(cast(
            case places.feature_1
                when 'days_since_last' then today.days_since_last
                when 'frequency' then today.frequency
                when 'spend_per_purchase' then today.spend_per_purchase
                when 'recent_activity' then today.spend_365_days
                when 'basket_size' then today.lines_per_order
                when 'product_breadth' then today.products
            end as double
        ) as decimal(18, 2)) as fact_1,
        cast(cast(
            case places.feature_2
                when 'days_since_last' then today.days_since_last
                when 'frequency' then today.frequency
                when 'spend_per_purchase' then today.spend_per_purchase
                when 'recent_activity' then today.spend_365_days
                when 'basket_size' then today.lines_per_order
                when 'product_breadth' then today.products
            end as double
        ) as decimal(18, 2)) as fact_2,
        cast(cast(
            case places.feature_3
                when 'days_since_last' then today.days_since_last
                when 'frequency' then today.frequency
                when 'spend_per_purchase' then today.spend_per_purchase
                when 'recent_activity' then today.spend_365_days
                when 'basket_size' then today.lines_per_order
                when 'product_breadth' then today.products
            end as double
        ) as decimal(18, 2)) as fact_3
    from today
    cross join places
),

medians as (
    select
        quantile_disc(fact_1, 0.5) as median_1,
        quantile_disc(fact_2, 0.5) as median_2,
        quantile_disc(fact_3, 0.5) as median_3
    from measured
),

explained as (
    select
        measured.*,
        case
            when measured.fact_1 <> medians.median_1 then
                case
                    when (measured.fact_1 > medians.median_1) = (places.direction_1 = 'up') then 'more'
                    else 'less'
                end
                || ' expected: ' || places.label_1
                || ' ' || replace(cast(measured.fact_1 as varchar), '.00', '')
                || ' (median ' || replace(cast(medians.median_1 as varchar), '.00', '') || ')'
        end as reason_1,
        case
            when measured.fact_2 <> medians.median_2 then
                case
                    when (measured.fact_2 > medians.median_2) = (places.direction_2 = 'up') then 'more'
                    else 'less'
                end
                || ' expected: ' || places.label_2
                || ' ' || replace(cast(measured.fact_2 as varchar), '.00', '')
                || ' (median ' || replace(cast(medians.median_2 as varchar), '.00', '') || ')'
        end as reason_2,
        case
            when measured.fact_3 <> medians.median_3 then
                case
                    when (measured.fact_3 > medians.median_3) = (places.direction_3 = 'up') then 'more'
                    else 'less'
                end
                || ' expected: ' || places.label_3
                || ' ' || replace(cast(measured.fact_3 as varchar), '.00', '')
                || ' (median ' || replace(cast(medians.median_3 as varchar), '.00', '') || ')'
        end as reason_3
    from measured
    cross join places
    cross join medians
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
        explained.monetary_value,
        explained.r_score,
        explained.f_score,
        explained.m_score,
        members.segment,
        members.cluster,
        members.cluster_name,
        members.value_tier,
        members.at_risk,
        members.recommended_action,
        longest_forecasts.horizon_days,
        longest_forecasts.model,
        longest_forecasts.purchase_model,
        longest_forecasts.expected_purchases,
        cast(longest_forecasts.expected_spend as decimal(18, 4)) as expected_spend,
        cast(longest_forecasts.spend_lower as decimal(18, 4)) as spend_lower,
        cast(longest_forecasts.spend_upper as decimal(18, 4)) as spend_upper,
        longest_forecasts.interval_level,
        longest_forecasts.p_purchase,
        longest_forecasts.p_alive,
        cast(longest_forecasts.clv as decimal(18, 4)) as clv,
        longest_forecasts.clv_rank,
        cast(longest_forecasts.forecasts_in_words as varchar) as forecasts_in_words,
        cast(
            nullif(concat_ws('; ', explained.reason_1, explained.reason_2, explained.reason_3), '') as varchar
        ) as drivers_in_words
    from explained
    inner join members on explained.customer_id = members.customer_id
    inner join longest_forecasts on explained.customer_id = longest_forecasts.customer_id
)

select * from final
