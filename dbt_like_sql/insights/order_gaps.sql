-- How many days lie between a customer's purchases.
with

days as (select * from known_days),

bins (bin_lower_days, bin_upper_days) as (
    values
    (1, 1), (2, 3), (4, 7), (8, 14), (15, 30), (31, 60), (61, 90), (91, 180), (181, 365), (366, 730),
    (731, null)
),

gaps as (
    select
        date_diff(
            'day', lag(purchase_day) over (partition by customer_id order by purchase_day), purchase_day
        ) as gap_days
    from days
),

-- Counted by their length first, so that only a few numbers are compared with the bins.
lengths as (
    select
        gap_days,
        count(*) as gaps
    from gaps
    where gap_days is not null
    group by gap_days
),

ends as (select max(gap_days) as longest from lengths),

final as (
    select
        cast(bins.bin_lower_days as integer) as bin_lower_days,
        cast(bins.bin_upper_days as integer) as bin_upper_days,
        cast(coalesce(sum(lengths.gaps), 0) as integer) as gaps
    from bins
    inner join ends on bins.bin_lower_days <= ends.longest
    left join lengths
        on
            bins.bin_lower_days <= lengths.gap_days
            and coalesce(bins.bin_upper_days >= lengths.gap_days, true)
    group by bins.bin_lower_days, bins.bin_upper_days
)

select * from final
