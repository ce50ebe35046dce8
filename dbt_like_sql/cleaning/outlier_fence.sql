-- The line amount above which a line counts as an outlier: Tukey's far-out fence (Q3 + 3 × IQR; Tukey 1977)
-- on the logarithm, because line amounts are skewed by orders of magnitude. NULL where outliers are kept.
with

raw_rows as (select * from converted_transactions),

settings as (select * from parameters),

run_days as (select * from run_day),

log_amounts as (
    select ln(cast(raw_rows.amount as double)) as log_amount
    from raw_rows
    cross join settings
    cross join run_days
    where
        settings.outliers <> 'keep'
        and settings.has_money
        and raw_rows.amount > 0
        and raw_rows.customer_id is not null
        and coalesce(raw_rows.source_text, '') not like 'not selected%'
        -- The fence must not be learned from the future.
        and cast(raw_rows.ordered_at as date) <= coalesce(run_days.as_of, run_days.today)
),

quartiles as (
    select
        quantile_cont(log_amount, 0.25) as lower_quartile,
        quantile_cont(log_amount, 0.75) as upper_quartile
    from log_amounts
),

far_out as (
    select upper_quartile + 3 * (upper_quartile - lower_quartile) as log_amount
    from quartiles
),

final as (
    select
        settings.outliers as treatment,
        cast(
            case
                -- Above the largest amount that fits, nothing is an outlier.
                when far_out.log_amount > 32 then 99999999999999
                else exp(far_out.log_amount)
            end as decimal(18, 4)
        ) as upper_amount
    from far_out
    cross join settings
)

select * from final
