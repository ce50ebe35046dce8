-- The drivers of the served forecasts.
with

drivers as (select * from family_drivers),

leaderboard as (select * from model_leaderboard),

-- One champion serves all horizons.
champion as (
    select distinct leaderboard.model
    from leaderboard
    where leaderboard.is_champion
),

final as (
    select
        cast(drivers.horizon_days as integer) as horizon_days,
        cast(drivers.feature as varchar) as feature,
        drivers.model,
        cast(drivers.cutoff as date) as cutoff,
        cast(drivers.customers as integer) as customers,
        cast(drivers.importance as double) as importance,
        cast(drivers.importance_deviation as double) as importance_deviation,
        cast(drivers.direction as varchar) as direction
    from drivers
    inner join champion on drivers.model = champion.model
)

select * from final
