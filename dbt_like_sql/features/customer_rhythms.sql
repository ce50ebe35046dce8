-- How long a silence is usual for every customer, as of as_of and of every cutoff with a backtest.
with

customers as (select * from customer_features),

windows as (select * from forecast_windows),

-- Training-only cutoffs describe a sample of customers, which has no rhythm of a shop.
cutoffs as (
    select cutoff
    from windows
    where not is_sampled
    group by cutoff
),

known as (
    select
        customers.customer_id,
        customers.cutoff,
        customers.last_purchase_date,
        customers.frequency,
        customers.recency_days,
        customers.days_since_last,
        customers.mean_gap_days
    from customers
    inner join cutoffs on customers.cutoff = cutoffs.cutoff
),

-- Every customer counts once, however many gaps they have. Decimals, so that the digits of the sum do not
-- depend on the order in which rows are added.
shops as (
    select
        cutoff,
        cast(sum(cast(mean_gap_days as decimal(18, 6))) as double) / count(*) as gap_days
    from known
    where frequency > 0
    group by cutoff
),

-- The shop's gap counts as one gap more, so that few gaps of a customer say little.
usual as (
    select
        known.*,
        (shops.gap_days + known.recency_days) / (known.frequency + 1) as usual_gap_days
    from known
    left join shops on known.cutoff = shops.cutoff
),

-- Gaps of somebody who buys at random are exponential; nine in ten are at most ln(10) times their mean.
limits as (
    select
        *,
        cast(floor(ln(10) * usual_gap_days) as integer) as overdue_after_days
    from usual
),

final as (
    select
        customer_id,
        cutoff,
        cast(usual_gap_days as double) as usual_gap_days,
        overdue_after_days,
        cast(
            case
                when days_since_last > overdue_after_days then last_purchase_date + overdue_after_days + 1
            end as date
        ) as overdue_since,
        cast(
            case
                when days_since_last > overdue_after_days then 'overdue'
                when days_since_last > 3 * mean_gap_days then 'long'
                else 'usual'
            end as varchar
        ) as silence
    from limits
)

select * from final
