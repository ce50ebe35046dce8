-- Expected and actual purchases of customers with 0, 1, 2 and more repeat purchases, by the serving model.
with

forecasts as (select * from backtest_forecasts),

leaderboard as (select * from model_leaderboard),

champions as (
    select
        horizon_days,
        model
    from leaderboard
    where is_champion
),

latest as (
    select
        forecasts.horizon_days,
        forecasts.model,
        max(forecasts.cutoff) as cutoff
    from forecasts
    inner join champions
        on forecasts.horizon_days = champions.horizon_days and forecasts.model = champions.model
    group by forecasts.horizon_days, forecasts.model
),

-- Decimals, so that sums do not depend on the order of rows.
judged as (
    select
        forecasts.cutoff,
        forecasts.horizon_days,
        least(forecasts.frequency, 7) as known_repeats,
        cast(forecasts.expected_purchases as decimal(18, 9)) as expected_purchases,
        cast(forecasts.actual_purchases as decimal(18, 9)) as actual_purchases,
        cast(forecasts.p_purchase as decimal(18, 12)) as p_purchase,
        cast(forecasts.actual_purchases > 0 as integer) as bought
    from forecasts
    inner join latest
        on
            forecasts.horizon_days = latest.horizon_days
            and forecasts.model = latest.model
            and forecasts.cutoff = latest.cutoff
),

final as (
    select
        cutoff,
        horizon_days,
        cast(
            case when known_repeats < 7 then cast(known_repeats as varchar) else '7+' end as varchar
        ) as repeats,
        cast(count(*) as integer) as customers,
        cast(sum(expected_purchases) as double) as expected_purchases,
        cast(sum(actual_purchases) as double) as actual_purchases,
        cast(avg(p_purchase) as double) as mean_p_purchase,
        cast(avg(bought) as double) as share_bought
    from judged
    group by cutoff, horizon_days, known_repeats
)

select * from final
