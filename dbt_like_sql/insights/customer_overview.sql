-- Everything that is known and expected of a customer in one row.
with

customers as (select * from rfm),

members as (select * from segments),

features as (select * from customer_features),

forecasts as (select * from clv_forecasts),

drivers as (select * from clv_drivers),

longest as (select max(horizon_days) as horizon_days from forecasts),

longest_forecasts as (
    select forecasts.*
    from forecasts
    inner join longest on forecasts.horizon_days = longest.horizon_days
),

sentences as (
    select
        customer_id,
        string_agg(
            horizon_days || ' days: spends ' || cast(expected_spend as decimal(18, 2))
            || coalesce(
                ' (' || cast(spend_lower as decimal(18, 2))
                || ' to ' || cast(spend_upper as decimal(18, 2)) || ')',
                ''
            )
            || ', buys with ' || cast(round(100 * p_purchase) as integer) || ' %',
            '; ' order by horizon_days
        ) as forecasts_in_words
    from forecasts
    group by customer_id
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

today as (
    select
        customers.customer_id,
        customers.days_since_last,
        customers.frequency,
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
        today.customer_id,
        main_drivers.place,
        main_drivers.direction,
        main_drivers.label,
        -- The type of such a mixture is said, because engines differ in it.
        cast(cast(
            case main_drivers.feature
                when 'days_since_last' then today.days_since_last
                when 'frequency' then today.frequency
                when 'spend_per_purchase' then today.spend_per_purchase
                when 'recent_activity' then today.spend_365_days
                when 'basket_size' then today.lines_per_order
                when 'product_breadth' then today.products
            end as double
        ) as decimal(18, 2)) as fact
    from today
    cross join main_drivers
),

medians as (
    select
        place,
        quantile_disc(fact, 0.5) as median
    from measured
    group by place
),

reasons as (
    select
        measured.customer_id,
        string_agg(
            case
                when (measured.fact > medians.median) = (measured.direction = 'up') then 'more'
                else 'less'
            end
            || ' expected: ' || measured.label || ' ' || replace(cast(measured.fact as varchar), '.00', '')
            || ' (median ' || replace(cast(medians.median as varchar), '.00', '') || ')',
            '; ' order by measured.place
        ) as drivers_in_words
    from measured
    inner join medians on measured.place = medians.place
    where measured.fact <> medians.median
    group by measured.customer_id
),

final as (
    select
        customers.customer_id,
        customers.as_of,
        today.country,
        customers.first_purchase_date,
        customers.last_purchase_date,
        customers.days_since_last,
        customers.tenure_days,
        customers.recency_days,
        customers.frequency,
        customers.orders,
        customers.revenue,
        customers.monetary_value,
        customers.r_score,
        customers.f_score,
        customers.m_score,
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
        cast(sentences.forecasts_in_words as varchar) as forecasts_in_words,
        cast(reasons.drivers_in_words as varchar) as drivers_in_words
    from customers
    inner join members on customers.customer_id = members.customer_id
    inner join longest_forecasts on customers.customer_id = longest_forecasts.customer_id
    inner join sentences on customers.customer_id = sentences.customer_id
    inner join today on customers.customer_id = today.customer_id
    left join reasons on customers.customer_id = reasons.customer_id
)

select * from final
