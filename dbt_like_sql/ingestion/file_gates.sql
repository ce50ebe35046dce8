-- Whether the files of this load are like the usual files. By itself, a file must be readable.
-- It is also compared with the 56 files before it. There are two expected values: the median of files of the
-- same weekday, and this median rescaled to the level of the last 6 files. A file is odd if it deviates from
-- both by more than the usual variation of files, and lies well outside the range of all but one of them.
with

measured as (select * from file_measures),

passed_before as (select * from passed_files),

settings as (select * from file_gate_settings),

-- A changed file is not compared with its own earlier version.
earlier as (
    select * from passed_before
    where source_file not in (select measured.source_file from measured)
),

listed as (
    select
        source_file,
        min(first_day) as first_day,
        min(last_day) as last_day,
        true as is_new
    from measured
    group by source_file
    union all
    select
        source_file,
        min(first_day) as first_day,
        min(last_day) as last_day,
        false as is_new
    from earlier
    group by source_file
),

counts as (
    select
        count(*) filter (where is_new) as new_files,
        count(*) filter (where not is_new) as earlier_files
    from listed
),

-- Files of the same night may all be broken in the same way. They count as history for each other only if
-- there is little other history, as in the first load.
files as (
    select
        listed.source_file,
        listed.last_day,
        listed.is_new,
        not listed.is_new or counts.new_files > counts.earlier_files as is_history,
        coalesce(
            count(case when not listed.is_new or counts.new_files > counts.earlier_files then 1 end) over (
                order by listed.last_day nulls last, listed.first_day, listed.source_file
                rows between unbounded preceding and 1 preceding
            ), 0
        ) as files_before
    from listed
    cross join counts
),

history as (
    select
        *,
        files_before + 1 as place
    from files
    where is_history
),

-- A file that is older than nearly all others is compared with the oldest ones.
compared as (
    select
        files.source_file,
        history.source_file as other_file,
        dayofweek(history.last_day) as day_of_week,
        files.files_before - history.place < 6 as is_recent
    from files
    inner join history
        on
            history.place > files.files_before - 56
            and history.place <= greatest(files.files_before, 28)
    where
        files.is_new
        and files.source_file <> history.source_file
        and (history.place <= files.files_before or (files.files_before < 12 and not history.is_new))
),

values_of as (
    select
        source_file,
        measure,
        observed,
        false as was_odd
    from measured
    union all
    select
        source_file,
        measure,
        observed,
        was_odd
    from earlier
),

-- Ratios are compared as differences of logarithms.
scaled as (
    select
        values_of.source_file,
        settings.measure,
        values_of.was_odd,
        case
            when settings.compares in ('share', 'difference') then values_of.observed
            when values_of.observed > 0 then ln(values_of.observed)
        end as scaled
    from values_of
    inner join settings on values_of.measure = settings.measure
),

seen as (
    select
        compared.source_file,
        compared.day_of_week,
        compared.is_recent,
        scaled.measure,
        scaled.was_odd,
        scaled.scaled
    from compared
    inner join scaled on compared.other_file = scaled.source_file
    where scaled.scaled is not null
),

levels as (
    select
        source_file,
        measure,
        count(*) as other_files,
        median(scaled) as usual,
        quantile_disc(scaled, 0.02) filter (where not was_odd) as lowest,
        quantile_disc(scaled, 0.98) filter (where not was_odd) as highest
    from seen
    group by source_file, measure
),

by_weekday as (
    select
        source_file,
        measure,
        day_of_week,
        median(scaled) as usual
    from seen
    group by source_file, measure, day_of_week
    having count(*) >= 4
),

residuals as (
    select
        seen.source_file,
        seen.measure,
        seen.is_recent,
        seen.scaled - coalesce(by_weekday.usual, levels.usual) as residual
    from seen
    inner join levels on seen.source_file = levels.source_file and seen.measure = levels.measure
    left join by_weekday
        on
            seen.source_file = by_weekday.source_file
            and seen.measure = by_weekday.measure
            and seen.day_of_week = by_weekday.day_of_week
),

spreads as (
    select
        source_file,
        measure,
        median(abs(residual)) as spread,
        coalesce(median(case when is_recent then residual end), 0) as drift
    from residuals
    group by source_file, measure
),

arrived as (
    select
        source_file,
        observed as arrived
    from measured
    where measure = 'rows'
),

expectations as (
    select
        measured.source_file,
        measured.sha256,
        measured.first_day,
        measured.last_day,
        measured.measure,
        measured.observed,
        arrived.arrived,
        levels.other_files,
        levels.lowest,
        levels.highest,
        coalesce(by_weekday.usual, levels.usual) as usual,
        coalesce(by_weekday.usual, levels.usual) + spreads.drift as expected,
        settings.slack,
        settings.strays * spreads.spread as stray
    from measured
    inner join settings on measured.measure = settings.measure
    inner join arrived on measured.source_file = arrived.source_file
    left join levels on measured.source_file = levels.source_file and measured.measure = levels.measure
    left join spreads on measured.source_file = spreads.source_file and measured.measure = spreads.measure
    left join by_weekday
        on
            measured.source_file = by_weekday.source_file
            and measured.measure = by_weekday.measure
            and dayofweek(measured.last_day) = by_weekday.day_of_week
),

usual_rows as (
    select
        source_file,
        exp(usual) as usual_rows
    from expectations
    where measure = 'rows'
),

scaled_ranges as (
    select
        expectations.*,
        settings.compares,
        settings.floor,
        coalesce(expectations.other_files, 0) >= 12 as has_history,
        -- With so few rows, half of them may be missing by chance.
        coalesce(usual_rows.usual_rows, 0) < settings.least_rows as has_few_rows,
        -- Means and shares of fewer rows stray more. One row more or less is never odd, unless it is the
        -- only one, and neither is a mean of few, one of which may be worth a hundred others.
        greatest(
            expectations.slack,
            expectations.stray * case
                when settings.compares in ('share', 'mean')
                    then greatest(1, sqrt(usual_rows.usual_rows / expectations.arrived))
                else 1
            end
        )
        + case settings.compares
            when 'share' then least(1 / expectations.arrived, 0.5)
            when 'mean' then 2 / sqrt(expectations.arrived)
            else 0
        end
            as allowed,
        -- A share near zero is odd if it usually covers many rows, however much it varies.
        case
            when settings.floor is not null and expectations.usual * expectations.arrived >= 10
                then expectations.usual / 10
        end as least_of_many,
        -- One unreadable row among a few does not make a broken file; all of them do.
        case
            when expectations.arrived >= settings.floor_rows
                then least(settings.floor, greatest(1 - 1.5 / expectations.arrived, 0.001))
        end as least_share,
        case
            when settings.judges_below
                then least(expectations.usual, expectations.expected)
        end as below,
        case
            when settings.judges_above
                then greatest(expectations.usual, expectations.expected)
        end as above
    from expectations
    inner join settings on expectations.measure = settings.measure
    left join usual_rows on expectations.source_file = usual_rows.source_file
),

ranges as (
    select
        source_file,
        sha256,
        first_day,
        last_day,
        measure,
        observed,
        case when compares in ('share', 'difference') then expected else exp(expected) end as expected,
        case
            when not has_history or has_few_rows then least_share
            when
                compares in ('share', 'difference')
                then
                    case
                        when
                            below is not null
                            then
                                greatest(
                                    least(below - allowed, lowest - slack / 2),
                                    least_of_many,
                                    least_share,
                                    0
                                )
                    end
            when below is not null then exp(least(below - allowed, lowest - slack / 2))
        end as lower,
        case
            when not has_history then null
            when
                compares in ('share', 'difference')
                then
                    case
                        when above is not null
                            then least(greatest(above + allowed, highest + slack / 2), 1)
                    end
            else exp(case when above is not null then greatest(above + allowed, highest + slack / 2) end)
        end as upper,
        case
            when
                not has_history and (least_share is null or observed >= least_share)
                then 'too little history'
            when has_few_rows and above is null then 'too few rows in such a file'
        end as not_judged_because
    from scaled_ranges
),

judged as (
    select
        ranges.*,
        settings.label,
        settings.digits,
        case
            when ranges.not_judged_because is not null then 'not judged: ' || ranges.not_judged_because
            when ranges.observed < ranges.lower then 'too low'
            when ranges.observed > ranges.upper then 'too high'
            else 'as usual'
        end as verdict,
        case
            when list_contains(settings.accepted_files, ranges.source_file) then 'accepted in clv.yaml'
            when passed.sha256 = ranges.sha256 or passed.observed = ranges.observed then 'passed before'
        end as excused_because,
        -- The first load has nothing to protect, and much of it may be odd for reasons that lie long ago.
        case
            when settings.severity = 'error' and not exists (select 1 from passed_before) then 'warn'
            else settings.severity
        end as severity
    from ranges
    inner join settings on ranges.measure = settings.measure
    left join passed_before as passed
        on ranges.source_file = passed.source_file and ranges.measure = passed.measure
),

final as (
    select
        source_file,
        measure,
        first_day,
        last_day,
        observed,
        expected,
        lower,
        upper,
        cast(verdict as varchar) as verdict,
        cast(excused_because as varchar) as excused_because,
        cast(severity as varchar) as severity,
        verdict in ('too low', 'too high') and excused_because is null and severity <> 'ignore' as is_alarm,
        cast(
            source_file || ': ' || label || ' ' || printf('%,.*f', digits, observed)
            || coalesce(
                ', expected ' || nullif(
                    concat_ws(
                        ' and ',
                        'at least ' || printf('%,.*f', digits, lower),
                        'at most ' || printf('%,.*f', digits, upper)
                    ), ''
                ), ''
            ) as varchar
        ) as finding
    from judged
)

select * from final
