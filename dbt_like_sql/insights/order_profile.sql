-- Orders by value, number of lines, weekday and hour, counted once: what tables about orders are summed from.
with

lines as (select * from cleaned_transactions),

days as (select * from known_days),

-- By hash, which groups faster than text. Without a mapped order id, an order is a day (as in customer_days).
orders as (
    select
        customer_id,
        ordered_on,
        count(*) as line_count,
        sum(amount) as amount,
        min(ordered_at) as ordered_at
    from lines
    where coalesce(amount > 0, true)
    group by customer_id, ordered_on, hash(order_id)
),

-- What came back is known of a day, and taken off its orders in proportion.
netted as (
    select
        orders.ordered_on,
        orders.ordered_at,
        orders.line_count,
        case
            when days.returned = 0 then cast(orders.amount as decimal(28, 4))
            else
                cast(
                    cast(orders.amount as double)
                    * (cast(days.revenue as double) / cast(days.revenue + days.returned as double))
                    as decimal(28, 4)
                )
        end as revenue
    from orders
    inner join days
        on orders.customer_id = days.customer_id and orders.ordered_on = days.purchase_day
),

-- A day on which everything happened at midnight has no hours.
clocks as (
    select
        ordered_on,
        bool_or(ordered_at > cast(ordered_on as timestamp)) as has_hours
    from netted
    group by ordered_on
),

-- Ten-thousandths are whole numbers of at least 1, so that every power of ten is met exactly. Without money
-- they are NULL, as is everything that follows from them.
measured as (
    select
        *,
        case when revenue > 0.0001 then cast(10000 * revenue as double) when revenue is not null then 1 end
            as parts
    from netted
),

logarithms as (
    select
        *,
        floor(ln(parts) / ln(10)) as rough
    from measured
),

-- A logarithm may miss a power of ten by its last digit.
digits as (
    select
        *,
        case
            when power(10, rough + 1) <= parts then power(10, rough + 1)
            when power(10, rough) > parts then power(10, rough - 1)
            else power(10, rough)
        end as power_of_ten
    from logarithms
),

described as (
    select
        digits.revenue,
        case
            when digits.parts < 2 * digits.power_of_ten then digits.power_of_ten
            when digits.parts < 5 * digits.power_of_ten then 2 * digits.power_of_ten
            when digits.parts is not null then 5 * digits.power_of_ten
        end / 10000 as value_from,
        case
            when digits.line_count <= 10 then digits.line_count
            when digits.line_count <= 20 then 11
            when digits.line_count <= 50 then 21
            when digits.line_count <= 100 then 51
            when digits.line_count <= 200 then 101
            when digits.line_count <= 500 then 201
            else 501
        end as lines_from,
        -- Days since a Monday.
        (date_diff('day', date '1970-01-05', digits.ordered_on) % 7 + 7) % 7 + 1 as day_of_week,
        case
            when clocks.has_hours
                then date_diff('hour', cast(digits.ordered_on as timestamp), digits.ordered_at)
        end as hour_of_day
    from digits
    inner join clocks on digits.ordered_on = clocks.ordered_on
),

final as (
    select
        cast(value_from as decimal(28, 4)) as value_from,
        cast(lines_from as integer) as lines_from,
        cast(day_of_week as integer) as day_of_week,
        cast(hour_of_day as integer) as hour_of_day,
        cast(count(*) as integer) as orders,
        cast(sum(revenue) as decimal(28, 4)) as revenue
    from described
    group by value_from, lines_from, day_of_week, hour_of_day
)

select * from final
