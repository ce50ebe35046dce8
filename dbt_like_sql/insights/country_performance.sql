-- Revenue of every country, and how many of its customers came back.
with

days as (select * from known_days),

details as (select * from purchase_day_details),

buyers as (
    select
        details.country,
        sum(days.revenue) as revenue,
        sum(days.orders) as orders,
        count(*) as purchase_days
    from days
    inner join details
        on days.customer_id = details.customer_id and days.purchase_day = details.purchase_day
    where details.country is not null
    group by details.country, days.customer_id
),

countries as (
    select
        country,
        sum(revenue) as revenue,
        sum(orders) as orders,
        count(*) as customers,
        count(*) filter (where purchase_days > 1) as repeat_customers
    from buyers
    group by country
),

totals as (select sum(revenue) as revenue from countries),

final as (
    select
        countries.country,
        cast(
            case when countries.revenue is not null then rank() over (order by countries.revenue desc) end
            as integer
        ) as revenue_rank,
        cast(countries.revenue as decimal(28, 4)) as revenue,
        cast(countries.revenue as double) / cast(totals.revenue as double) as revenue_share,
        cast(countries.orders as integer) as orders,
        cast(countries.customers as integer) as customers,
        cast(countries.repeat_customers as integer) as repeat_customers,
        cast(countries.repeat_customers as double) / countries.customers as repeat_share
    from countries
    cross join totals
)

select * from final
