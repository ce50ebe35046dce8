-- Which share of revenue is margin: from what lines cost, or as configured. And how much the purchases of a
-- customer say about their own margin: the credibility of Bühlmann and Straub (1970), by moments.
with

lines as (select * from cleaned_transactions),

days as (select * from known_days),

span as (select * from history_span),

settings as (select * from parameters),

counted as (
    select
        count(*) as line_count,
        count(*) filter (where lines.cost is null) as without_cost
    from lines
    cross join span
    where lines.ordered_on <= span.as_of and coalesce(lines.amount > 0, true)
),

totals as (
    select
        sum(revenue) as revenue,
        sum(costed_revenue) as costed_revenue,
        sum(cost) as cost
    from days
),

-- No line loses more than its money here, so that one absurd cost does not decide for everybody.
rates as (
    select
        customer_id,
        costed_revenue as weight,
        greatest(
            -1,
            cast(costed_revenue - cost as double) / cast(nullif(costed_revenue, 0) as double)
        ) as rate
    from days
    where costed_revenue > 0
),

-- Rounded, so that the digits of a sum do not depend on the order in which rows are added.
moments as (
    select
        customer_id,
        count(*) as day_count,
        cast(sum(weight) as double) as weight,
        cast(sum(cast(cast(weight as double) * rate as decimal(28, 6))) as double) as weighted,
        cast(sum(cast(cast(weight as double) * rate * rate as decimal(28, 6))) as double) as squared
    from rates
    group by customer_id
),

spread as (
    select
        count(*) as customers,
        sum(day_count - 1) as freedom,
        cast(sum(cast(weight as decimal(28, 6))) as double) as weight,
        cast(sum(cast(weighted as decimal(28, 6))) as double) as weighted,
        cast(sum(cast(weighted * weighted / weight as decimal(28, 6))) as double) as of_customers,
        cast(sum(cast(squared as decimal(28, 6))) as double) as squared,
        cast(sum(cast(power(weight, 2) as decimal(38, 4))) as double) as squared_weight
    from moments
),

variances as (
    select
        customers,
        greatest(0, squared - of_customers) / nullif(freedom, 0) as within_customers,
        greatest(0, of_customers - weighted * weighted / weight) as between_sum,
        nullif(weight - squared_weight / weight, 0) as between_weight
    from spread
),

estimated as (
    select
        within_customers,
        (between_sum - (customers - 1) * within_customers) / between_weight as between_customers
    from variances
),

final as (
    select
        cast(
            case when settings.has_costs then 'cost per line' else 'forecast.margin' end as varchar
        ) as margin_source,
        cast(
            case
                when settings.has_costs
                    then
                        cast(totals.costed_revenue - totals.cost as double)
                        / cast(nullif(totals.costed_revenue, 0) as double)
                else settings.margin
            end as double
        ) as margin,
        counted.line_count as transaction_lines,
        cast(case when settings.has_costs then counted.without_cost end as bigint) as lines_without_cost,
        cast(totals.revenue as decimal(28, 4)) as revenue,
        cast(totals.costed_revenue as decimal(28, 4)) as costed_revenue,
        cast(totals.cost as decimal(28, 4)) as cost,
        cast(
            case
                when estimated.between_customers > 0
                    then estimated.within_customers / estimated.between_customers
            end as double
        ) as credibility_revenue
    from counted
    cross join totals
    cross join settings
    left join estimated on settings.has_costs
)

select * from final
