-- Details of a purchase day: products bought for the first time, and the country.
with

lines as (select * from cleaned_transactions),

days as (select * from customer_days),

-- Once, however many versions a day has.
known as (
    select
        customer_id,
        purchase_day
    from days
    group by customer_id, purchase_day
),

-- Once per product, not once per cutoff; by hash, which groups faster than text.
first_buys as (
    select
        lines.customer_id,
        min(lines.ordered_on) as purchase_day
    from lines
    inner join known on lines.customer_id = known.customer_id and lines.ordered_on = known.purchase_day
    where lines.product_id is not null and coalesce(lines.amount > 0, true)
    group by lines.customer_id, hash(lines.product_id)
),

breadths as (
    select
        customer_id,
        purchase_day,
        count(*) as new_products
    from first_buys
    group by customer_id, purchase_day
),

country_times as (
    select
        customer_id,
        ordered_on as purchase_day,
        country,
        max(ordered_at) as last_at
    from lines
    where country is not null and coalesce(amount > 0, true)
    group by customer_id, ordered_on, country
),

-- Of two countries at the same moment, the alphabetically later one, so that the order of rows does not
-- matter.
countries as (
    select
        customer_id,
        purchase_day,
        country
    from country_times
    qualify row_number() over (partition by customer_id, purchase_day order by last_at desc, country desc) = 1
),

final as (
    select
        known.customer_id,
        known.purchase_day,
        cast(breadths.new_products as integer) as new_products,
        countries.country
    from known
    left join
        breadths
        on known.customer_id = breadths.customer_id and known.purchase_day = breadths.purchase_day
    left join
        countries
        on known.customer_id = countries.customer_id and known.purchase_day = countries.purchase_day
    where breadths.new_products is not null or countries.country is not null
)

select * from final
