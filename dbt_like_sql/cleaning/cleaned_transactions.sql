-- The rows that count: every raw row that was not rejected.
with

raw_rows as (select * from converted_transactions),

rejected as (select * from rejected_transactions),

matches as (select * from matched_returns),

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

-- A return counts as far as it takes back a purchase.
returned as (
    select
        source_id,
        source_line,
        sum(amount) as amount,
        sum(cost) as cost,
        sum(costed_amount) as costed_amount
    from matches
    where purchase_day is not null
    group by source_id, source_line
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
            when settings.returns = 'net' and kept.amount < 0 then -cast(returned.amount as decimal(18, 4))
            when settings.outliers = 'cap' then least(kept.amount, fence.upper_amount)
            else kept.amount
        end as amount,
        cast(
            case
                when not settings.has_money then null
                when settings.returns = 'net' and kept.amount < 0 then kept.amount + returned.amount
                when settings.outliers = 'cap' then greatest(kept.amount - fence.upper_amount, 0)
                else 0
            end as decimal(18, 4)
        ) as amount_cut,
        -- What capping takes off a line it takes off its cost in proportion.
        case
            when not settings.has_costs or not settings.has_money then null
            when settings.returns = 'net' and kept.amount < 0 then -cast(returned.cost as decimal(18, 4))
            when settings.outliers = 'cap' and kept.amount > fence.upper_amount
                then
                    cast(
                        cast(kept.cost as double)
                        * (cast(fence.upper_amount as double) / cast(kept.amount as double))
                        as decimal(18, 4)
                    )
            else kept.cost
        end as cost,
        case
            when not settings.has_costs or not settings.has_money then null
            when settings.returns = 'net' and kept.amount < 0
                then -cast(returned.costed_amount as decimal(18, 4))
            when kept.cost is null then 0
            when settings.outliers = 'cap' then least(kept.amount, fence.upper_amount)
            else kept.amount
        end as costed_amount,
        kept.country,
        kept.currency,
        kept.original_amount,
        kept.attributes
    from kept
    cross join settings
    cross join fence
    left join returned
        on kept.source_id = returned.source_id and kept.source_line = returned.source_line
)

select * from final
