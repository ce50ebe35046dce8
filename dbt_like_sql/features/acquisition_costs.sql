-- What was spent on each channel in each month.
with

costs as (select * from raw_costs),

final as (
    select
        cast(date_trunc('month', costs.date) as date) as cost_month,
        cast(coalesce(costs.channel, 'not known') as varchar) as channel,
        cast(sum(costs.amount) as decimal(28, 4)) as cost
    from costs
    where costs.date is not null and costs.amount is not null
    group by date_trunc('month', costs.date), coalesce(costs.channel, 'not known')
)

select * from final
