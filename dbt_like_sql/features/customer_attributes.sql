-- Demographics of everybody who has bought, each attribute as a number or as a category.
with

records as (select * from raw_customers),

days as (select * from customer_days),

-- If a customer is listed more than once, the last record counts.
latest as (
    select
        customer_id,
        cast(cast(attributes as json) as map (varchar, varchar)) as pairs
    from records
    where customer_id is not null
    qualify row_number() over (partition by customer_id order by source_id desc, source_line desc) = 1
),

named as (
    select
        customer_id,
        pairs,
        unnest(map_keys(pairs)) as attribute_name
    from latest
),

filled as (
    select
        customer_id,
        attribute_name,
        pairs[attribute_name] as category,
        try_cast(pairs[attribute_name] as double) as parsed
    from named
    where lower(pairs[attribute_name]) not in ('', 'nan', 'null', 'none', 'n/a')
),

-- Text such as 'inf' would be read as infinity.
parsed as (
    select
        customer_id,
        attribute_name,
        category,
        case when abs(parsed) < 1e300 then parsed end as number
    from filled
),

-- Judged on everybody who is listed: the type of an attribute does not depend on who buys.
kinds as (
    select
        attribute_name,
        case when count(number) >= 0.95 * count(*) then 'number' else 'category' end as kind
    from parsed
    group by attribute_name
),

buyers as (
    select distinct customer_id from days
),

final as (
    select
        parsed.customer_id,
        parsed.attribute_name,
        kinds.kind,
        case when kinds.kind = 'number' then parsed.number end as number,
        case when kinds.kind = 'category' then parsed.category end as category
    from parsed
    inner join kinds on parsed.attribute_name = kinds.attribute_name
    inner join buyers on parsed.customer_id = buyers.customer_id
    where kinds.kind = 'category' or parsed.number is not null
)

select * from final
