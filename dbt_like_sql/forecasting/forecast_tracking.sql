-- Forecasts of earlier runs, and the outcomes once the horizon had passed.
with

forecasts as (select * from forecast_history),

days as (select * from customer_days),

span as (select * from history_span),

settings as (select * from parameters),

-- Forecasts up to today. Money is exact, so that sums do not depend on the order of rows.
made as (
    select
        forecasts.customer_id,
        forecasts.as_of,
        forecasts.horizon_days,
        forecasts.model,
        forecasts.purchase_model,
        forecasts.spend_lower,
        forecasts.spend_upper,
        forecasts.interval_level,
        forecasts.p_purchase,
        cast(forecasts.expected_spend as decimal(28, 4)) as expected_spend,
        forecasts.as_of + forecasts.horizon_days as horizon_ends,
        forecasts.as_of + forecasts.horizon_days <= span.as_of as has_passed,
        least(date_diff('day', forecasts.as_of, span.as_of) / forecasts.horizon_days, 1) as elapsed_share
    from forecasts
    inner join span on forecasts.as_of <= span.as_of
),

came as (
    select
        made.customer_id,
        made.as_of,
        made.horizon_days,
        sum(days.revenue) as spend,
        count(*) as purchases
    from made
    inner join days
        on
            made.customer_id = days.customer_id
            and made.as_of < days.purchase_day
            and made.horizon_ends >= days.known_from
            and coalesce(made.horizon_ends < days.superseded_on, true)
    where made.has_passed
    group by made.customer_id, made.as_of, made.horizon_days
),

judged as (
    select
        made.*,
        case when made.has_passed and settings.has_money then coalesce(came.spend, 0) end as actual_spend,
        case when made.has_passed then cast(came.purchases is not null as integer) end as bought
    from made
    cross join settings
    left join came
        on
            made.customer_id = came.customer_id
            and made.as_of = came.as_of
            and made.horizon_days = came.horizon_days
),

totals as (
    select
        as_of,
        horizon_days,
        model,
        purchase_model,
        has_passed,
        horizon_ends,
        elapsed_share,
        interval_level,
        count(*) as customers,
        sum(expected_spend) as forecast_spend,
        sum(actual_spend) as actual_spend,
        avg(abs(expected_spend - actual_spend)) as mae,
        count(*) filter (where cast(actual_spend as double) between spend_lower and spend_upper) as held,
        count(spend_lower) as with_interval,
        avg(cast(p_purchase as decimal(18, 12))) as forecast_buyers_share,
        avg(bought) as actual_buyers_share,
        avg(cast(power(p_purchase - bought, 2) as decimal(18, 12))) as brier
    from judged
    group by
        as_of, horizon_days, model, purchase_model, has_passed, horizon_ends, elapsed_share, interval_level
),

final as (
    select
        as_of,
        cast(horizon_days as integer) as horizon_days,
        model,
        purchase_model,
        cast(case when has_passed then 'passed' else 'running' end as varchar) as status,
        horizon_ends,
        cast(elapsed_share as double) as elapsed_share,
        cast(customers as integer) as customers,
        cast(forecast_spend as decimal(28, 4)) as forecast_spend,
        cast(actual_spend as decimal(28, 4)) as actual_spend,
        cast(forecast_spend as double) / nullif(cast(actual_spend as double), 0) - 1 as bias,
        cast(mae as double) as mae,
        interval_level,
        case when has_passed then cast(held as double) / nullif(with_interval, 0) end as interval_coverage,
        cast(forecast_buyers_share as double) as forecast_buyers_share,
        cast(actual_buyers_share as double) as actual_buyers_share,
        cast(brier as double) as brier
    from totals
)

select * from final
