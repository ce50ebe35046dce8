-- Forecast against outcome of single customers over all past dates, counted in bins.
with

bins as (select * from served_bins),

-- Decimals, so that the digits of a sum do not depend on the order in which rows are added.
final as (
    select
        horizon_days,
        forecast_lower,
        forecast_upper,
        actual_lower,
        actual_upper,
        target,
        cast(sum(customers) as integer) as customers,
        cast(sum(cast(forecast as decimal(38, 6))) as double) as forecast,
        cast(sum(cast(actual as decimal(38, 6))) as double) as actual
    from bins
    group by horizon_days, target, forecast_lower, forecast_upper, actual_lower, actual_upper
)

select * from final
