-- Customers who lost a purchase day because everything was returned later: the spans between such losses,
-- within which the days before and after a purchase stay the same.
with

days as (select * from customer_days),

lost as (
    select
        customer_id,
        max(superseded_on) as lost_on
    from days
    group by customer_id, purchase_day
    having count(*) = count(superseded_on)
),

starts as (
    select
        customer_id,
        lost_on as begins_on
    from lost
    union distinct
    select
        customer_id,
        date '0001-01-01' as begins_on
    from lost
),

final as (
    select
        customer_id,
        cast(begins_on as date) as begins_on,
        lead(begins_on) over (partition by customer_id order by begins_on) as ends_on
    from starts
)

select * from final
