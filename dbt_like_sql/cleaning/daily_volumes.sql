-- The volumes of every recent calendar day, including days without rows. New days are compared with them.
with

raw_rows as (select * from raw_transactions),

rejected_rows as (select * from rejected_transactions),

cleaned as (select * from cleaned_transactions),

run as (select * from run_day),

settings as (select * from parameters),

arrived_per_day as (
    select
        cast(ordered_at as date) as ordered_on,
        count(*) as arrived
    from raw_rows
    group by cast(ordered_at as date)
),

rejected_per_day as (
    select
        cast(ordered_at as date) as ordered_on,
        count(*) as rejected,
        count(*) filter (where customer_id is null) as without_customer,
        count(*) filter (where reason = 'forgotten customer') as forgotten
    from rejected_rows
    group by cast(ordered_at as date)
),

counts as (
    select
        arrived_per_day.ordered_on,
        arrived_per_day.arrived,
        arrived_per_day.arrived - coalesce(rejected_per_day.rejected, 0) as kept,
        coalesce(rejected_per_day.rejected, 0) as rejected,
        coalesce(rejected_per_day.without_customer, 0) as without_customer,
        coalesce(rejected_per_day.forgotten, 0) as forgotten
    from arrived_per_day
    left join rejected_per_day on arrived_per_day.ordered_on = rejected_per_day.ordered_on
),

pauses as (
    select
        counts.ordered_on,
        date_diff(
            'day', lag(counts.ordered_on) over (order by counts.ordered_on), counts.ordered_on
        ) as pause_days
    from counts
    cross join run
    -- What was bought by customers who were forgotten since tells that the day is known.
    where counts.kept > 0 or (counts.forgotten > 0 and counts.ordered_on <= run.today)
),

-- Far is more than a month, and more than ten times the usual pause.
limits as (select greatest(30, 10 * median(pause_days)) as pause_days from pauses),

-- A lone day far after all others, for example from a mistyped year, does not end the history: a second day
-- near it must confirm it.
confirmed as (
    select max(pauses.ordered_on) as last_day
    from pauses
    cross join limits
    where pauses.pause_days is null or pauses.pause_days <= limits.pause_days
),

-- Rows may have arrived for later days without one that is kept.
arrived_until as (
    select max(counts.ordered_on) as last_day
    from counts
    cross join run
    cross join confirmed
    cross join limits
    where
        counts.ordered_on <= run.today
        and coalesce(date_diff('day', confirmed.last_day, counts.ordered_on) <= limits.pause_days, true)
),

-- 21 weeks: 5 that may be judged, 8 that show how much days vary, and 8 that give the expected values of the
-- first of those.
history as (
    select
        greatest(min(counts.ordered_on), max(arrived_until.last_day) - 146) as first_day,
        max(arrived_until.last_day) as last_day
    from counts
    cross join arrived_until
    where counts.ordered_on <= arrived_until.last_day
),

calendar as (
    select unnest(cast(generate_series(first_day, last_day, interval 1 day) as date[])) as ordered_on
    from history
),

-- Only recent rows are read, because a bound on ordered_at reaches the table scan.
sales as (
    select
        ordered_on,
        count(distinct customer_id) as customers,
        sum(amount) as revenue,
        quantile_disc(amount, 0.5) as line_amount,
        min(ordered_at) as first_at,
        max(ordered_at) as last_at
    from cleaned
    where ordered_at >= (select history.first_day from history)
    group by ordered_on
),

final as (
    select
        calendar.ordered_on,
        coalesce(counts.arrived, 0) as arrived_rows,
        coalesce(counts.kept, 0) as kept_rows,
        coalesce(counts.forgotten, 0) as forgotten_rows,
        coalesce(sales.customers, 0) as customers,
        cast(case when settings.has_money then coalesce(sales.revenue, 0) end as decimal(38, 4)) as revenue,
        sales.line_amount,
        -- Every row without a customer is rejected.
        counts.without_customer / counts.arrived as without_customer,
        (counts.rejected - counts.without_customer)
        / nullif(counts.arrived - counts.without_customer, 0) as rejected,
        date_diff('minute', cast(calendar.ordered_on as timestamp), sales.first_at) / 60 as first_hour,
        date_diff('minute', cast(calendar.ordered_on as timestamp), sales.last_at) / 60 as last_hour
    from calendar
    left join counts on calendar.ordered_on = counts.ordered_on
    left join sales on calendar.ordered_on = sales.ordered_on
    cross join settings
)

select * from final
