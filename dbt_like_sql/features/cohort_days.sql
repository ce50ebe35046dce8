-- Repeat purchases by day and cohort, the customers whose first purchase was in the same week. Where a
-- purchase day is lost to a later return, a row of the day of that return takes it back: the rows known up to
-- a cutoff add up to what was known then.
with

days as (select * from customer_days),

epochs as (select * from customer_epochs),

-- Once per day and epoch, however many versions the day has.
placed as (
    select
        days.customer_id,
        days.purchase_day,
        epochs.begins_on,
        epochs.ends_on
    from days
    left join epochs
        on
            days.customer_id = epochs.customer_id
            and coalesce(days.superseded_on > epochs.begins_on, true)
            and coalesce(days.known_from < epochs.ends_on, true)
    group by days.customer_id, days.purchase_day, epochs.begins_on, epochs.ends_on
),

counted as (
    select
        purchase_day,
        greatest(purchase_day, coalesce(begins_on, purchase_day)) as known_from,
        ends_on,
        min(purchase_day) over (partition by customer_id, begins_on) as first_purchase_date
    from placed
),

repeats as (
    select
        purchase_day,
        known_from,
        ends_on,
        cast(date_trunc('week', first_purchase_date) as date) as first_week
    from counted
    where purchase_day > first_purchase_date
),

changes as (
    select
        first_week,
        purchase_day,
        known_from,
        1 as repeats
    from repeats
    union all
    select
        first_week,
        purchase_day,
        ends_on as known_from,
        -1 as repeats
    from repeats
    where ends_on is not null
),

final as (
    select
        first_week,
        purchase_day as "day",
        known_from,
        cast(sum(repeats) as integer) as repeats
    from changes
    group by first_week, purchase_day, known_from
    having sum(repeats) <> 0
)

select * from final
