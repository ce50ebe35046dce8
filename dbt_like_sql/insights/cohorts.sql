-- Purchases of customers with the same first month in the months that followed.
with

days as (select * from known_days),

span as (select * from history_span),

settings as (select * from parameters),

customer_months as (
    select
        days.customer_id,
        cast(date_trunc('month', days.purchase_day) as date) as activity_month,
        sum(days.revenue) as revenue
    from days
    group by days.customer_id, date_trunc('month', days.purchase_day)
),

with_cohort as (
    select
        activity_month,
        revenue,
        min(activity_month) over (partition by customer_id) as cohort_month
    from customer_months
),

activity as (
    select
        cohort_month,
        activity_month,
        count(*) as customers,
        sum(revenue) as revenue
    from with_cohort
    group by cohort_month, activity_month
),

-- Every month up to as_of, including those in which nobody came back.
ages as (
    select
        activity.cohort_month,
        activity.customers,
        unnest(
            cast(generate_series(activity.cohort_month, span.as_of, interval 1 month) as date[])
        ) as activity_month
    from activity
    cross join span
    where activity.activity_month = activity.cohort_month
),

grown as (
    select
        ages.cohort_month,
        ages.activity_month,
        ages.customers,
        coalesce(activity.customers, 0) as active_customers,
        case when settings.has_money then coalesce(activity.revenue, 0) end as revenue,
        sum(case when settings.has_money then coalesce(activity.revenue, 0) end) over (
            partition by ages.cohort_month order by ages.activity_month
        ) as cumulative_revenue
    from ages
    cross join settings
    left join activity
        on ages.cohort_month = activity.cohort_month and ages.activity_month = activity.activity_month
),

final as (
    select
        grown.cohort_month,
        cast(date_diff('month', grown.cohort_month, grown.activity_month) as integer) as age_months,
        grown.activity_month,
        cast(grown.customers as integer) as customers,
        cast(grown.active_customers as integer) as active_customers,
        cast(grown.active_customers as double) / grown.customers as retention,
        cast(grown.revenue as decimal(28, 4)) as revenue,
        cast(grown.cumulative_revenue as decimal(28, 4)) as cumulative_revenue,
        cast(
            cast(grown.cumulative_revenue as double) / grown.customers as decimal(28, 4)
        ) as cumulative_revenue_per_customer,
        last_day(grown.activity_month) <= span.as_of as is_complete
    from grown
    cross join span
)

select * from final
