-- The rows that count: every raw row that was not rejected.
with

raw_rows as (select * from converted_transactions),

rejected as (select * from rejected_transactions),

settings as (select * from parameters),

fence as (select * from outlier_fence),

kept as (
    select *
    from raw_rows
    where not exists (
        select 1 from rejected
        where
            rejected.source_id = raw_rows.source_id
            and rejected.source_line = raw_rows.source_line
    )
),

final as (
    select
        kept.source_id,
        kept.source_line,
        kept.customer_id,
        kept.order_id,
        kept.ordered_at,
        cast(kept.ordered_at as date) as ordered_on,
        kept.product_id,
        kept.quantity,
        -- Rows of files that are gone may still hold money that is no longer mapped.
        case when settings.has_money then kept.unit_price end as unit_price,
        case
            when not settings.has_money then null
            when settings.outliers = 'cap' then least(kept.amount, fence.upper_amount)
            else kept.amount
        end as amount,
        cast(
            case
                when not settings.has_money then null
                when settings.outliers = 'cap' then greatest(kept.amount - fence.upper_amount, 0)
                else 0
            end as decimal(18, 4)
        ) as amount_cut,
        kept.country,
        kept.currency,
        kept.original_amount,
        kept.attributes
    from kept
    cross join settings
    cross join fence
)

select * from final
