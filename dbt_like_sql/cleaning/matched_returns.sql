-- Which purchase every return belongs to. A return takes back the latest money that is left of its order; if
-- the customer never bought under that order, of its product; else of anything. Only what came before it
-- counts, so what is known on a day never changes later.
with

raw_rows as not materialized (select * from converted_transactions),

rejected as (select * from rejected_at_sight),

files as (select * from source_files),

settings as (select * from parameters),

fence as (select * from outlier_fence),

returners as (
    select distinct customer_id
    from raw_rows
    where amount < 0
),

kept as (
    select raw_rows.*
    from raw_rows
    inner join returners on raw_rows.customer_id = returners.customer_id
    cross join settings
    where
        settings.returns = 'net'
        and settings.has_money
        and not exists (
            select 1 from rejected
            where
                rejected.source_id = raw_rows.source_id
                and rejected.source_line = raw_rows.source_line
        )
),

-- A purchase comes before a return of the same moment. What else is of the same moment is ordered by what it
-- says, and only then by where it stands: by the name of the file, as its number depends on when it arrived.
lines as (
    select
        kept.source_id,
        kept.source_line,
        kept.customer_id,
        kept.order_id,
        kept.product_id,
        cast(kept.ordered_at as date) as ordered_on,
        kept.amount < 0 as is_return,
        case when settings.outliers = 'cap' then least(kept.amount, fence.upper_amount) else kept.amount end
            as amount,
        case
            when not settings.has_costs or kept.amount < 0 then null
            when settings.outliers = 'cap' and kept.amount > fence.upper_amount
                then
                    cast(
                        cast(kept.cost as double)
                        * (cast(fence.upper_amount as double) / cast(kept.amount as double))
                        as decimal(18, 4)
                    )
            else kept.cost
        end as cost,
        row_number() over (
            partition by kept.customer_id
            order by
                kept.ordered_at, kept.amount < 0, coalesce(kept.order_id, ''), coalesce(kept.product_id, ''),
                kept.amount, files.source_file, kept.source_line
        ) as place
    from kept
    inner join files on kept.source_id = files.source_id
    cross join settings
    cross join fence
),

-- The first purchases tell whether the customer had bought under an order or of a product before a return.
-- Windows over all lines would tell the same, and sort them by text twice more.
first_of_orders as (
    select
        customer_id,
        order_id,
        min(place) as place
    from lines
    where not is_return and order_id is not null
    group by customer_id, order_id
),

first_of_products as (
    select
        customer_id,
        product_id,
        min(place) as place
    from lines
    where not is_return and product_id is not null
    group by customer_id, product_id
),

returned as (
    select
        lines.*,
        case
            when first_of_orders.place < lines.place then 'order'
            when first_of_products.place < lines.place then 'product'
            else 'customer'
        end as pool,
        case
            when first_of_orders.place < lines.place then lines.order_id
            when first_of_products.place < lines.place then lines.product_id
            else ''
        end as pool_key
    from lines
    left join first_of_orders
        on lines.customer_id = first_of_orders.customer_id and lines.order_id = first_of_orders.order_id
    left join first_of_products
        on
            lines.customer_id = first_of_products.customer_id
            and lines.product_id = first_of_products.product_id
    where lines.is_return
),

pools as (
    select distinct
        customer_id,
        pool,
        pool_key
    from returned
),

-- A purchase is in each pool that something is returned to.
pooled as (
    select
        pools.pool,
        pools.pool_key,
        lines.*
    from pools
    inner join lines on pools.customer_id = lines.customer_id
    where
        not lines.is_return
        and (
            pools.pool = 'customer'
            or (pools.pool = 'order' and pools.pool_key = lines.order_id)
            or (pools.pool = 'product' and pools.pool_key = lines.product_id)
        )
    union all
    select
        returned.pool,
        returned.pool_key,
        returned.source_id,
        returned.source_line,
        returned.customer_id,
        returned.order_id,
        returned.product_id,
        returned.ordered_on,
        returned.is_return,
        returned.amount,
        returned.cost,
        returned.place
    from returned
),

-- A pool is a stack of money: purchases add to its top, returns take from there, and it is never below 0. Its
-- height is the running sum less the lowest that the sum has been (the reflection of Skorokhod, 1961).
summed as (
    select
        *,
        sum(amount) over (
            partition by customer_id, pool, pool_key
            order by place rows between unbounded preceding and current row
        ) as total
    from pooled
),

lowest as (
    select
        *,
        least(
            0,
            min(total) over (
                partition by customer_id, pool, pool_key
                order by place rows between unbounded preceding and 1 preceding
            )
        ) as lowest_before
    from summed
),

steps as (
    select
        *,
        total - least(lowest_before, total) as height,
        total - amount - lowest_before as height_before
    from lowest
),

-- A return takes from every purchase before it whose part of the stack it cuts into, unless a later purchase
-- lies above that part.
cuts as (
    select
        later.source_id,
        later.source_line,
        later.place,
        later.height as cut_from,
        least(
            later.height_before,
            coalesce(
                min(earlier.height_before) over (
                    partition by later.source_id, later.source_line
                    order by earlier.place desc rows between unbounded preceding and 1 preceding
                ),
                later.height_before
            )
        ) as cut_to,
        earlier.source_id as purchase_id,
        earlier.source_line as purchase_line,
        earlier.ordered_on as purchase_day,
        earlier.amount as purchase_amount,
        earlier.cost as purchase_cost,
        earlier.height_before as lies_from,
        earlier.height as lies_to
    from steps as later
    inner join steps as earlier
        on
            later.customer_id = earlier.customer_id
            and later.pool = earlier.pool
            and later.pool_key = earlier.pool_key
            and later.place > earlier.place
    where
        later.is_return
        and not earlier.is_return
        and earlier.height > later.height
        and earlier.height_before < later.height_before
),

portions as (
    select
        *,
        least(lies_to, cut_to) - greatest(lies_from, cut_from) as portion
    from cuts
    where least(lies_to, cut_to) > greatest(lies_from, cut_from)
),

-- A purchase may be in more than one pool, but its money is returned only once: to whoever came first.
claims as (
    select
        *,
        sum(portion) over (
            partition by purchase_id, purchase_line
            order by place rows between unbounded preceding and current row
        ) as claimed
    from portions
),

shares as (
    select
        *,
        least(claimed, purchase_amount) as until_now,
        least(claimed - portion, purchase_amount) as until_then
    from claims
    where claimed - portion < purchase_amount
),

-- A purchase gives back its cost in proportion. Rounded is the cost up to now, so that nothing is left of the
-- cost of a purchase that comes back whole.
costed as (
    select
        *,
        cast(
            cast(purchase_cost as double) * (cast(until_now as double) / cast(purchase_amount as double))
            as decimal(28, 4)
        ) as cost_until_now,
        cast(
            cast(purchase_cost as double) * (cast(until_then as double) / cast(purchase_amount as double))
            as decimal(28, 4)
        ) as cost_before
    from shares
),

matched as (
    select
        source_id,
        source_line,
        purchase_day,
        sum(until_now - until_then) as amount,
        sum(cost_until_now - cost_before) as cost,
        sum(case when purchase_cost is null then 0 else until_now - until_then end) as costed_amount
    from costed
    group by source_id, source_line, purchase_day
),

totals as (
    select
        source_id,
        source_line,
        sum(amount) as amount
    from matched
    group by source_id, source_line
),

booked as (
    select
        returned.source_id,
        returned.source_line,
        returned.customer_id,
        returned.ordered_on,
        matched.purchase_day,
        matched.amount,
        matched.cost,
        matched.costed_amount
    from returned
    inner join matched
        on returned.source_id = matched.source_id and returned.source_line = matched.source_line
    union all
    select
        returned.source_id,
        returned.source_line,
        returned.customer_id,
        returned.ordered_on,
        null as purchase_day,
        -returned.amount - coalesce(totals.amount, 0) as amount,
        null as cost,
        null as costed_amount
    from returned
    left join totals
        on returned.source_id = totals.source_id and returned.source_line = totals.source_line
    where -returned.amount > coalesce(totals.amount, 0)
),

final as (
    select
        booked.source_id,
        booked.source_line,
        booked.customer_id,
        booked.ordered_on as returned_on,
        cast(booked.purchase_day as date) as purchase_day,
        cast(booked.amount as decimal(38, 4)) as amount,
        cast(case when settings.has_costs then booked.cost end as decimal(28, 4)) as cost,
        cast(case when settings.has_costs then booked.costed_amount end as decimal(28, 4)) as costed_amount
    from booked
    cross join settings
)

select * from final
