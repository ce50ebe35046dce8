-- How many customers were in each segment at the end of every month.
with

histories as (select * from month_end_segments),

sizes as (
    select
        calendar_month,
        month_end,
        segment,
        sum(customers) as customers
    from histories
    group by calendar_month, month_end, segment
),

final as (
    select
        calendar_month,
        segment,
        month_end,
        cast(customers as integer) as customers,
        cast(customers as double) / cast(sum(customers) over (partition by calendar_month) as double)
            as customer_share,
        month_end < last_day(calendar_month) as is_partial
    from sizes
)

select * from final
