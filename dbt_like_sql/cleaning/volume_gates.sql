-- Whether new days are as usual. A day has two expected values: the median of its weekday in
-- the last 8 weeks, and this median rescaled to the level of the last 6 days. A day is odd if it deviates
-- from both by more than the usual day-to-day variation. So neither a December nor a growing shop is odd.
with

volumes as (select * from daily_volumes),

settings as (select * from gate_settings),

passed as (select * from passed_volumes),

run as (select * from run_day),

measured as (
    select
        volumes.ordered_on,
        settings.measure,
        settings.compares,
        settings.slack,
        settings.strays,
        settings.judges_below,
        settings.judges_above,
        case settings.measure
            when 'rows' then volumes.kept_rows
            when 'kept' then volumes.kept_rows / nullif(volumes.arrived_rows, 0)
            when 'customers' then volumes.customers
            when 'revenue' then volumes.revenue
            when 'line_amount' then volumes.line_amount
            when 'without_customer' then volumes.without_customer
            when 'rejected' then volumes.rejected
            when 'first_hour' then volumes.first_hour
            when 'last_hour' then volumes.last_hour
        end as observed
    from volumes
    cross join settings
),

-- Ratios are compared as differences of logarithms. A day without rows has none; missing_days judges it.
scaled as (
    select
        *,
        case
            when compares = 'difference' then observed
            when observed > 0 then ln(observed)
        end as scaled
    from measured
),

by_weekday as (
    select
        *,
        median(scaled) over same_weekday as usual,
        count(scaled) over same_weekday as comparable_days
    from scaled
    window same_weekday as (
        partition by measure, dayofweek(ordered_on)
        order by ordered_on rows between 8 preceding and 1 preceding
    )
),

comparable as (
    select * from by_weekday
    where scaled is not null and comparable_days >= 4
),

at_level as (
    select
        *,
        usual + coalesce(median(scaled - usual) over last_days, 0) as expected
    from comparable
    window last_days as (partition by measure order by ordered_on rows between 6 preceding and 1 preceding)
),

tolerated as (
    select
        *,
        greatest(slack, strays * median(abs(scaled - expected)) over recent_days) as tolerance,
        count(*) over recent_days as recent_days
    from at_level
    window recent_days as (partition by measure order by ordered_on rows between 48 preceding and 1 preceding)
),

scaled_ranges as (
    select
        ordered_on,
        measure,
        compares,
        expected,
        case when judges_below then least(usual, expected) - tolerance end as lower,
        case when judges_above then greatest(usual, expected) + tolerance end as upper
    from tolerated
    where recent_days >= 12
),

ranges as (
    select
        ordered_on,
        measure,
        case when compares = 'ratio' then exp(expected) else expected end as expected,
        case when compares = 'ratio' then exp(lower) else lower end as lower,
        case when compares = 'ratio' then exp(upper) else upper end as upper
    from scaled_ranges
),

weekdays as (
    select
        ordered_on,
        arrived_rows,
        kept_rows,
        median(kept_rows) over same_weekday as usual_rows,
        count(*) over same_weekday as days_before,
        count_if(kept_rows > 0) over same_weekday as open_days_before
    from volumes
    window same_weekday as (
        partition by dayofweek(ordered_on) order by ordered_on rows between 8 preceding and 1 preceding
    )
),

open_days as (
    select
        ordered_on,
        date_diff('day', lag(ordered_on) over (order by ordered_on), ordered_on) - 1 as closed_days_before
    from volumes
    where arrived_rows > 0
),

silence as (
    select
        max(open_days.ordered_on) as ordered_on,
        greatest(date_diff('day', max(open_days.ordered_on), any_value(run.today)) - 1, 0) as silent_days,
        coalesce(max(open_days.closed_days_before), 0) as longest_before
    from open_days
    cross join run
),

judged as (
    select
        measured.ordered_on,
        measured.measure,
        measured.observed,
        ranges.expected,
        ranges.lower,
        ranges.upper,
        case
            when measured.ordered_on >= run.today then 'the day is not over'
            when weekdays.kept_rows = 0 and measured.measure <> 'kept' then 'no row is kept'
            when ranges.measure is null then 'too little history'
            -- With so few rows, half of them may be missing by chance.
            when weekdays.usual_rows < 20 then 'too few rows on such a day'
        end as not_judged_because
    from measured
    inner join weekdays on measured.ordered_on = weekdays.ordered_on
    cross join run
    left join ranges on measured.ordered_on = ranges.ordered_on and measured.measure = ranges.measure
    where measured.observed is not null and weekdays.arrived_rows > 0
    union all
    select
        ordered_on,
        'missing_days' as measure,
        arrived_rows as observed,
        usual_rows as expected,
        -- One closed day in eight is a holiday. If there are more, the shop is often closed on such days.
        case when open_days_before >= 0.875 * days_before then 1 end as lower,
        null as upper,
        case
            when days_before < 4 then 'too little history'
            when usual_rows < 20 then 'too few rows on such a day'
        end as not_judged_because
    from weekdays
    where arrived_rows = 0
    union all
    select
        silence.ordered_on,
        'silence' as measure,
        silence.silent_days as observed,
        silence.longest_before as expected,
        null as lower,
        greatest(silence.longest_before, settings.slack) as upper,
        case when silence.silent_days > 146 then 'nothing here is recent' end as not_judged_because
    from silence
    inner join settings on settings.measure = 'silence'
    where silence.ordered_on is not null
),

compared as (
    select
        judged.ordered_on,
        judged.measure,
        cast(judged.observed as double) as observed,
        cast(judged.expected as double) as expected,
        cast(judged.lower as double) as lower,
        cast(judged.upper as double) as upper,
        settings.severity,
        settings.label,
        settings.digits,
        case
            when judged.not_judged_because is not null then 'not judged: ' || judged.not_judged_because
            when judged.observed < judged.lower then 'too low'
            when judged.observed > judged.upper then 'too high'
            else 'as usual'
        end as verdict,
        case
            when list_contains(settings.accepted_days, judged.ordered_on) then 'accepted in clv.yaml'
            when passed.observed = judged.observed then 'passed before'
        end as excused_because
    from judged
    inner join settings on judged.measure = settings.measure
    left join passed on judged.ordered_on = passed.ordered_on and judged.measure = passed.measure
    -- New and changed days of the last 5 weeks. Older days no longer have a history before them.
    where judged.ordered_on > (select max(volumes.ordered_on) - 35 from volumes)
),

final as (
    select
        ordered_on,
        measure,
        observed,
        expected,
        lower,
        upper,
        verdict,
        excused_because,
        -- The first load has nothing to protect, and much of it may be odd for reasons that lie long ago.
        case
            when severity = 'error' and not exists (select 1 from passed) then 'warn'
            else severity
        end as severity,
        verdict in ('too low', 'too high') and excused_because is null and severity <> 'ignore' as is_alarm,
        strftime(ordered_on, '%A %Y-%m-%d: ') || label || ' ' || printf('%,.*f', digits, observed)
        || ', expected ' || concat_ws(
            ' and ',
            'at least ' || printf('%,.*f', digits, lower),
            'at most ' || printf('%,.*f', digits, upper)
        ) as finding
    from compared
)

select * from final
