-- What the customers of a month and channel have brought by so many months after their first purchases. A
-- month is the twelfth part of a year of 365.25 days, rounded down to days.
with

customers as (select * from customer_channels),

days as (select * from known_days),

shop as (select * from shop_margin),

span as (select * from history_span),

settings as (select * from parameters),

ages (months, age_days) as (
    values
    (1, 30), (3, 91), (6, 182), (9, 273), (12, 365), (18, 547), (24, 730), (30, 913), (36, 1095)
),

-- The known margin of a day, and the share of the shop of the rest.
earned as (
    select
        customers.first_month,
        customers.channel,
        date_diff('day', customers.first_purchase_date, days.purchase_day) as age_days,
        cast(coalesce(days.costed_revenue - days.cost, 0) as double)
        + cast(days.revenue - coalesce(days.costed_revenue, 0) as double) * shop.margin as margin
    from customers
    inner join days on customers.customer_id = days.customer_id
    cross join shop
),

-- Rounded, so that the digits of a sum do not depend on the order in which rows are added.
by_age as (
    select
        earned.first_month,
        earned.channel,
        earned.age_days,
        sum(cast(earned.margin as decimal(28, 6))) as margin,
        sum(
            cast(
                earned.margin * power(1 + settings.annual_discount_rate, -earned.age_days / 365.25)
                as decimal(28, 6)
            )
        ) as discounted_margin
    from earned
    cross join settings
    group by earned.first_month, earned.channel, earned.age_days
),

acquired as (
    select
        first_month,
        channel,
        count(*) as customers
    from customers
    group by first_month, channel
),

final as (
    select
        acquired.first_month,
        acquired.channel,
        cast(ages.months as integer) as months,
        cast(ages.age_days as integer) as age_days,
        cast(acquired.customers as integer) as customers,
        last_day(acquired.first_month) + cast(ages.age_days as integer) <= span.as_of as is_complete,
        cast(sum(by_age.margin) as decimal(28, 4)) as margin,
        cast(sum(by_age.discounted_margin) as decimal(28, 4)) as discounted_margin
    from acquired
    cross join ages
    cross join span
    inner join by_age
        on
            acquired.first_month = by_age.first_month
            and acquired.channel = by_age.channel
            and ages.age_days >= by_age.age_days
    group by
        acquired.first_month, acquired.channel, ages.months, ages.age_days, acquired.customers, span.as_of
)

select * from final
