-- Every raw row that is not kept, unchanged, with the first reason that applies.
with

raw_rows as (select * from converted_transactions),

rejected as (select * from rejected_at_sight),

matches as (select * from matched_returns),

files as (select * from source_files),

-- A return of which nothing could be matched.
unmatched as (
    select
        source_id,
        source_line
    from matches
    group by source_id, source_line
    having count(purchase_day) = 0
),

together as (
    select * from rejected
    union all
    select
        raw_rows.source_id,
        raw_rows.source_line,
        files.source_file,
        'return without purchase' as reason,
        raw_rows.customer_id,
        raw_rows.order_id,
        raw_rows.ordered_at,
        raw_rows.product_id,
        raw_rows.quantity,
        raw_rows.unit_price,
        raw_rows.amount,
        raw_rows.cost,
        raw_rows.country,
        raw_rows.currency,
        raw_rows.original_amount,
        raw_rows.attributes,
        raw_rows.source_text
    from raw_rows
    inner join unmatched
        on raw_rows.source_id = unmatched.source_id and raw_rows.source_line = unmatched.source_line
    inner join files on raw_rows.source_id = files.source_id
),

final as (
    select
        source_id,
        source_line,
        source_file,
        cast(reason as varchar) as reason,
        customer_id,
        order_id,
        ordered_at,
        product_id,
        quantity,
        unit_price,
        amount,
        cost,
        country,
        currency,
        original_amount,
        attributes,
        source_text
    from together
)

select * from final
