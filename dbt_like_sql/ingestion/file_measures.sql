-- Measures of the files of this load. The load itself builds them, before any row of the files goes further.
-- So raw_transactions holds only the new rows, rejected_at_sight holds what cleaning would reject on
-- their days, and cleaned_transactions holds the rows that were there before.
with

raw_rows as not materialized (select * from raw_transactions),

rejected as (select * from rejected_at_sight),

files as (select * from arrived_files),

settings as (select * from file_gate_settings),

shop as (select * from parameters),

known_rows as not materialized (select * from cleaned_transactions),

-- Rows of an erased customer no longer tell anything about their file, and rows that are not selected may be
-- empty on purpose. Not materialized: reading a few columns again is cheaper than writing all of them.
lines as not materialized (
    select
        *,
        try_cast(customer_id as double) as customer_number
    from raw_rows
    where
        coalesce(source_text, '') <> 'forgotten customer'
        and coalesce(source_text, '') not like 'not selected%'
),

-- Where files are sorted by customer number, the last rows have the highest ones.
last_numbers as (
    select
        source_id,
        max(customer_number) as last_number
    from (
        select
            source_id,
            customer_number
        from lines
        where customer_number is not null
        qualify row_number() over (partition by source_id order by source_line desc) <= 20
    ) as last_lines
    group by source_id
),

-- Geometric means, because one absurd value moves them little. Logarithms are decimals, so that their sum
-- does not depend on the order of the rows.
described as (
    select
        source_id,
        count(*) as arrived,
        cast(min(ordered_at) as date) as first_day,
        cast(max(ordered_at) as date) as last_day,
        count(ordered_at) as dated,
        count(amount) as valued,
        count(customer_id) as named,
        count(quantity) as counted,
        count(case when quantity = floor(quantity) then 1 end) as whole_quantities,
        count(case when amount = floor(amount) then 1 end) as whole_amounts,
        max(customer_number) as highest_number,
        count(case when ordered_at <> cast(ordered_at as date) then 1 end) as timed,
        date_diff('minute', date_trunc('minute', min(ordered_at)), date_trunc('minute', max(ordered_at)))
        / 60 as hours,
        exp(avg(cast(case when amount <> 0 then ln(abs(amount)) end as decimal(18, 6)))) as line_amount,
        exp(avg(cast(case when quantity <> 0 then ln(abs(quantity)) end as decimal(18, 6)))) as quantity,
        exp(avg(cast(case when unit_price <> 0 then ln(abs(unit_price)) end as decimal(18, 6)))) as unit_price
    from lines
    group by source_id
),

arrivals as (
    select
        files.source_id,
        files.source_file,
        files.sha256,
        files.bytes,
        described.first_day,
        described.last_day,
        described.dated,
        described.valued,
        described.named,
        described.timed,
        described.hours,
        described.line_amount,
        described.quantity,
        described.unit_price,
        files.is_complete,
        described.counted,
        described.whole_quantities,
        described.whole_amounts,
        last_numbers.last_number,
        described.highest_number,
        coalesce(described.arrived, 0) as arrived,
        row_number() over (
            order by described.last_day nulls last, described.first_day, files.source_file
        ) as place
    from files
    left join described on files.source_id = described.source_id
    left join last_numbers on files.source_id = last_numbers.source_id
),

-- The first of these files with a customer or a product; 0 is before all of them.
customers as (
    select
        lines.customer_id,
        lines.source_id,
        count(*) as line_count
    from lines
    where lines.customer_id is not null
    group by lines.customer_id, lines.source_id
),

first_customers as (
    select
        seen.customer_id,
        min(seen.place) as place
    from (
        select
            customers.customer_id,
            arrivals.place
        from customers
        inner join arrivals on customers.source_id = arrivals.source_id
        union all
        select
            customer_id,
            0 as place
        from known_rows
        where customer_id in (select customers.customer_id from customers)
        group by customer_id
    ) as seen
    group by seen.customer_id
),

of_known_customers as (
    select
        customers.source_id,
        sum(case when first_customers.place < arrivals.place then customers.line_count else 0 end)
        / sum(customers.line_count) as known_share
    from customers
    inner join arrivals on customers.source_id = arrivals.source_id
    inner join first_customers on customers.customer_id = first_customers.customer_id
    group by customers.source_id
),

products as (
    select
        lines.product_id,
        lines.source_id,
        count(*) as line_count
    from lines
    where lines.product_id is not null
    group by lines.product_id, lines.source_id
),

first_products as (
    select
        seen.product_id,
        min(seen.place) as place
    from (
        select
            products.product_id,
            arrivals.place
        from products
        inner join arrivals on products.source_id = arrivals.source_id
        union all
        select
            product_id,
            0 as place
        from known_rows
        where product_id in (select products.product_id from products)
        group by product_id
    ) as seen
    group by seen.product_id
),

of_known_products as (
    select
        products.source_id,
        sum(case when first_products.place < arrivals.place then products.line_count else 0 end)
        / sum(products.line_count) as known_share
    from products
    inner join arrivals on products.source_id = arrivals.source_id
    inner join first_products on products.product_id = first_products.product_id
    group by products.source_id
),

-- An order has one customer. If some of its rows name another customer or none, columns or rows are mixed up.
-- Hashes, also that of NULL, are compared faster than text.
orders as (
    select
        source_id,
        min(hash(customer_id)) = max(hash(customer_id)) as is_whole
    from lines
    where order_id is not null
    group by source_id, hash(order_id)
),

whole_orders as (
    select
        source_id,
        count_if(is_whole) / count(*) as whole_share
    from orders
    group by source_id
),

-- If files are sorted by customer number, a file that was cut ends far below the highest number. A ratio of
-- two digits shows that and identifies no customer.
highest_before as (
    select max(try_cast(customer_id as double)) as highest
    from known_rows
),

reaches as (
    select
        arrivals.source_id,
        round(
            arrivals.last_number / nullif(
                greatest(
                    coalesce(highest_before.highest, 0),
                    max(arrivals.highest_number) over (
                        order by arrivals.place rows between unbounded preceding and current row
                    )
                ), 0
            ), 2
        ) as reach
    from arrivals
    cross join highest_before
),

reasons as (
    select
        source_id,
        reason,
        count(*) as line_count
    from rejected
    where reason <> 'forgotten customer'
    group by source_id, reason
),

rejections as (
    select
        source_id,
        sum(case when reason <> 'not selected' then line_count else 0 end) as line_count
    from reasons
    group by source_id
),

measured as (
    select
        arrivals.source_file,
        arrivals.sha256,
        arrivals.first_day,
        arrivals.last_day,
        settings.measure,
        case settings.measure
            when 'rows' then arrivals.arrived
            when 'bytes' then arrivals.bytes
            -- Of dates alone, the first and the last say little.
            when 'hours' then case when arrivals.timed > 0 then arrivals.hours end
            when 'timed' then arrivals.timed / nullif(arrivals.dated, 0)
            when 'reach' then reaches.reach
            when 'complete' then cast(arrivals.is_complete as integer)
            when 'kept' then 1 - coalesce(rejections.line_count, 0) / nullif(arrivals.arrived, 0)
            when 'dates' then arrivals.dated / nullif(arrivals.arrived, 0)
            when 'amounts'
                then case when shop.has_money then arrivals.valued / nullif(arrivals.arrived, 0) end
            when 'customers' then arrivals.named / nullif(arrivals.arrived, 0)
            when 'known_customers' then of_known_customers.known_share
            when 'known_products' then of_known_products.known_share
            when 'whole_orders' then whole_orders.whole_share
            when 'whole_quantities' then arrivals.whole_quantities / nullif(arrivals.counted, 0)
            when 'whole_amounts' then arrivals.whole_amounts / nullif(arrivals.valued, 0)
            when 'line_amount' then arrivals.line_amount
            when 'quantity' then arrivals.quantity
            when 'unit_price' then arrivals.unit_price
            when 'rejected: not selected'
                then
                    coalesce(reasons.line_count, 0)
                    / nullif(arrivals.arrived + coalesce(reasons.line_count, 0), 0)
            else coalesce(reasons.line_count, 0) / nullif(arrivals.arrived, 0)
        end as observed
    from arrivals
    cross join settings
    cross join shop
    inner join reaches on arrivals.source_id = reaches.source_id
    left join rejections on arrivals.source_id = rejections.source_id
    left join reasons on arrivals.source_id = reasons.source_id and settings.reason = reasons.reason
    left join whole_orders on arrivals.source_id = whole_orders.source_id
    left join of_known_customers on arrivals.source_id = of_known_customers.source_id
    left join of_known_products on arrivals.source_id = of_known_products.source_id
),

final as (
    select
        source_file,
        sha256,
        first_day,
        last_day,
        measure,
        cast(observed as double) as observed
    from measured
    where observed is not null
)

select * from final
