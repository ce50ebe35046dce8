-- Every raw row that is not kept, as it came, with the first reason that applies.
with

raw_rows as (select * from raw_transactions),

settings as (select * from parameters),

fence as (select * from outlier_fence),

screened as (
    select
        raw_rows.*,
        case
            when raw_rows.read_error is not null then 'unreadable line'
            when raw_rows.customer_id is null then 'no customer'
            when raw_rows.ordered_at is null then 'unparsable date'
            when raw_rows.amount is null then 'unparsable number'
            when cast(raw_rows.ordered_at as date) > settings.today then 'future date'
            when raw_rows.quantity = 0 then 'non-positive quantity'
            when settings.returns = 'drop' and raw_rows.quantity < 0
                then case
                    when raw_rows.order_id like 'C%' then 'cancellation'
                    else 'non-positive quantity'
                end
            when raw_rows.unit_price <= 0 then 'non-positive price'
            when raw_rows.amount = 0 or (settings.returns = 'drop' and raw_rows.amount < 0)
                then 'non-positive amount'
            when list_contains(settings.exclude_products, raw_rows.product_id) then 'excluded product'
            when settings.outliers = 'drop' and raw_rows.amount > fence.upper_amount then 'outlier'
        end as reason
    from raw_rows
    cross join settings
    cross join fence
),

-- Comparing 64-bit hashes first leaves only the few rows that may have a twin to be compared in full.
fingerprints as (
    select
        screened.source_file,
        screened.source_line,
        hash(
            screened.customer_id, screened.order_id, screened.ordered_at, screened.product_id,
            screened.quantity, screened.unit_price, screened.amount, screened.country, screened.attributes
        ) as fingerprint
    from screened
    cross join settings
    where screened.reason is null and settings.deduplicate
),

shared_fingerprints as (
    select fingerprint
    from fingerprints
    group by fingerprint
    having count(*) > 1
),

possible_duplicates as (
    select
        fingerprints.source_file,
        fingerprints.source_line
    from fingerprints
    inner join shared_fingerprints on fingerprints.fingerprint = shared_fingerprints.fingerprint
),

duplicates as (
    select screened.*
    from screened
    inner join possible_duplicates
        on
            screened.source_file = possible_duplicates.source_file
            and screened.source_line = possible_duplicates.source_line
    qualify
        row_number() over (
            partition by
                screened.customer_id, screened.order_id, screened.ordered_at, screened.product_id,
                screened.quantity, screened.unit_price, screened.amount, screened.country, screened.attributes
            order by screened.source_file, screened.source_line
        ) > 1
),

rejected as (
    select * from screened
    where reason is not null
    union all
    select * replace ('exact duplicate' as reason) from duplicates
),

final as (
    select
        source_file,
        source_line,
        cast(reason as varchar) as reason,
        customer_id,
        order_id,
        ordered_at,
        product_id,
        quantity,
        unit_price,
        amount,
        country,
        attributes,
        read_error,
        source_text
    from rejected
)

select * from final
