-- Every raw row that is not kept by what it states itself, unchanged, with the first reason that applies.
with

-- Not materialized: reading the raw rows twice is cheaper than writing them again.
raw_rows as not materialized (select * from converted_transactions),

files as (select * from source_files),

settings as (select * from parameters),

run_days as (select * from run_day),

fence as (select * from outlier_fence),

-- Comparing 64-bit hashes of the most distinctive columns leaves only the few possible duplicates to be
-- compared in full. The order id is not hashed: it distinguishes hardly more and takes long to hash.
hashed as not materialized (
    select
        *,
        hash(customer_id, ordered_at, product_id, original_amount) as fingerprint
    from raw_rows
),

screened as not materialized (
    select
        hashed.*,
        case
            when hashed.source_text = 'forgotten customer' then 'forgotten customer'
            when hashed.source_text like 'unreadable line: %' then 'unreadable line'
            when hashed.source_text like 'not selected%' then 'not selected'
            when hashed.customer_id is null then 'no customer'
            when list_contains(settings.anonymous_ids, hashed.customer_id) then 'anonymous customer'
            when hashed.ordered_at is null then 'unparsable date'
            when settings.has_money and hashed.original_amount is null then 'unparsable number'
            when cast(hashed.ordered_at as date) > run_days.today then 'future date'
            when hashed.rate is null and hashed.currency is null then 'no currency'
            when hashed.rate is null then 'no rate'
            -- Too large a number once it is converted.
            when settings.has_money and hashed.amount is null then 'unparsable number'
            when hashed.quantity = 0 then 'non-positive quantity'
            -- Without money there is nothing to net.
            when (settings.returns = 'drop' or not settings.has_money) and hashed.quantity < 0
                then case
                    when hashed.order_id like 'C%' then 'cancellation'
                    else 'non-positive quantity'
                end
            when hashed.original_unit_price <= 0 then 'non-positive price'
            when hashed.amount = 0 or (settings.returns = 'drop' and hashed.amount < 0)
                then 'non-positive amount'
            when list_contains(settings.exclude_products, hashed.product_id) then 'excluded product'
            when settings.outliers = 'drop' and hashed.amount > fence.upper_amount then 'outlier'
        end as reason
    from hashed
    cross join settings
    cross join run_days
    cross join fence
),

-- Computed for all rows, because filtering them first would cost more than it saves.
shared_fingerprints as (
    select hashed.fingerprint
    from hashed
    cross join settings
    where settings.deduplicate
    group by hashed.fingerprint
    having count(*) > 1
),

-- One pass finds both the rows that are rejected at sight and the possible duplicates.
suspects as (
    select *
    from screened
    where
        reason is not null
        or fingerprint in (select shared_fingerprints.fingerprint from shared_fingerprints)
),

duplicates as (
    select suspects.* replace ('exact duplicate' as reason)
    from suspects
    inner join files on suspects.source_id = files.source_id
    where suspects.reason is null
    -- Ordered by the name of the file, because its number depends on when it arrived.
    qualify
        row_number() over (
            partition by
                suspects.customer_id, suspects.order_id, suspects.ordered_at, suspects.product_id,
                suspects.quantity, suspects.original_unit_price, suspects.original_amount, suspects.cost,
                suspects.country, suspects.currency, suspects.attributes
            order by files.source_file, suspects.source_line
        ) > 1
),

rejected as (
    select * from suspects
    where reason is not null
    union all
    select * from duplicates
),

final as (
    select
        rejected.source_id,
        rejected.source_line,
        files.source_file,
        cast(rejected.reason as varchar) as reason,
        rejected.customer_id,
        rejected.order_id,
        rejected.ordered_at,
        rejected.product_id,
        rejected.quantity,
        rejected.unit_price,
        rejected.amount,
        rejected.cost,
        rejected.country,
        rejected.currency,
        rejected.original_amount,
        rejected.attributes,
        rejected.source_text
    from rejected
    inner join files on rejected.source_id = files.source_id
)

select * from final
