-- The raw rows with their money in the currency that is reported in, as a view.
with

raw_rows as (select * from raw_transactions),

settings as (select * from currency_settings),

rates as (select * from daily_rates),

rated as (
    select
        raw_rows.*,
        case
            when not settings.is_mapped then 1
            when raw_rows.currency is null then null
            when settings.report_in is null or raw_rows.currency = settings.report_in then 1
            else rates.rate
        end as rate
    from raw_rows
    cross join settings
    left join rates
        on raw_rows.currency = rates.currency and cast(raw_rows.ordered_at as date) = rates.ordered_on
),

-- What would not fit once it is converted is NULL.
final as (
    select
        source_id,
        source_line,
        customer_id,
        order_id,
        ordered_at,
        product_id,
        quantity,
        case
            when rate = 1 then unit_price
            when abs(unit_price * rate) < 99999999999999.9999 then cast(unit_price * rate as decimal(18, 4))
        end as unit_price,
        case
            when rate = 1 then amount
            when abs(amount * rate) < 99999999999999.9999 then cast(amount * rate as decimal(18, 4))
        end as amount,
        -- A cost below 0 says nothing.
        case
            when cost < 0 then null
            when rate = 1 then cost
            when abs(cost * rate) < 99999999999999.9999 then cast(cost * rate as decimal(18, 4))
        end as cost,
        country,
        currency,
        cast(rate as decimal(19, 12)) as rate,
        unit_price as original_unit_price,
        amount as original_amount,
        attributes,
        source_text
    from rated
)

select * from final
