-- Features of every customer as of every cutoff. Only what was known by the cutoff is read, so no future can
-- leak.
with

days as (select * from customer_days),

epochs as (select * from customer_epochs),

details as (select * from purchase_day_details),

windows as (select * from forecast_windows),

cutoffs as (
    select
        cutoff,
        bool_and(is_sampled) as is_sampled
    from windows
    group by cutoff
),

-- A ticket depends only on the id: a number below 2^64.
customers as (
    select
        customer_id,
        md5_number_upper(customer_id) as ticket,
        min(purchase_day) as first_purchase_date
    from days
    group by customer_id
),

-- The winning tickets: those of about 10,000 of the customers known by then, so that the cost of a training
-- window does not grow with the number of customers.
draws as (
    select
        cutoffs.cutoff,
        cutoffs.is_sampled,
        10000 * power(2, 64) / count(*) as winning
    from customers
    inner join cutoffs on customers.first_purchase_date <= cutoffs.cutoff
    group by cutoffs.cutoff, cutoffs.is_sampled
),

described_customers as (
    select
        customers.customer_id,
        draws.cutoff,
        customers.ticket < draws.winning as in_sample
    from customers
    inner join draws on customers.first_purchase_date <= draws.cutoff
    where not draws.is_sampled or customers.ticket < draws.winning
),

-- A gap looks back: it is known on the day that ends it. It changes only where the day before is lost, and
-- then the customer has one more epoch.
described_days as (
    select
        days.customer_id,
        days.purchase_day,
        days.orders,
        days.transaction_lines,
        days.revenue,
        greatest(days.known_from, coalesce(epochs.begins_on, days.known_from)) as known_from,
        least(
            coalesce(days.superseded_on, epochs.ends_on), coalesce(epochs.ends_on, days.superseded_on)
        ) as superseded_on,
        details.new_products,
        details.country,
        -- Rounded, so that the digits of a sum do not depend on the order in which rows are added.
        cast(
            case when days.revenue is not null then ln(greatest(days.revenue, 0.01)) end as decimal(18, 9)
        ) as log_revenue,
        cast(
            case when days.revenue is not null then power(ln(greatest(days.revenue, 0.01)), 2) end
            as decimal(18, 9)
        ) as squared_log_revenue,
        date_diff(
            'day',
            -- The latest earlier day, however many versions a day has.
            max(days.purchase_day) over (
                partition by days.customer_id, epochs.begins_on
                order by date_diff('day', date '1970-01-01', days.purchase_day)
                range between unbounded preceding and 1 preceding
            ),
            days.purchase_day
        ) as gap_days
    from days
    left join epochs
        on
            days.customer_id = epochs.customer_id
            and coalesce(days.superseded_on > epochs.begins_on, true)
            and coalesce(days.known_from < epochs.ends_on, true)
    left join details on days.customer_id = details.customer_id and days.purchase_day = details.purchase_day
),

histories as (
    select
        customers.customer_id,
        customers.cutoff,
        customers.in_sample,
        min(past.purchase_day) as first_purchase_date,
        max(past.purchase_day) as last_purchase_date,
        count(*) - 1 as frequency,
        sum(past.orders) as orders,
        sum(past.transaction_lines) as transaction_lines,
        sum(past.revenue) as revenue,
        sum(past.revenue) - arg_min(past.revenue, past.purchase_day) as repeat_revenue,
        arg_max(past.revenue, past.purchase_day) as last_spend,
        max(past.revenue) as largest_spend,
        sum(past.log_revenue) as log_spend,
        sum(past.squared_log_revenue) as squared_log_spend,
        sum(past.gap_days) as gap_days,
        sum(past.gap_days * past.gap_days) as squared_gap_days,
        sum(past.new_products) as products,
        arg_max(past.country, past.purchase_day) filter (where past.country is not null) as country,
        count(*) filter (where past.purchase_day > customers.cutoff - 30) as purchases_30_days,
        count(*) filter (where past.purchase_day > customers.cutoff - 90) as purchases_90_days,
        count(*) filter (where past.purchase_day > customers.cutoff - 180) as purchases_180_days,
        count(*) filter (where past.purchase_day > customers.cutoff - 365) as purchases_365_days,
        count(*) filter (
            where past.purchase_day > customers.cutoff - 365 and past.purchase_day <= customers.cutoff - 335
        ) as purchases_30_days_year_ago,
        count(*) filter (
            where past.purchase_day > customers.cutoff - 365 and past.purchase_day <= customers.cutoff - 275
        ) as purchases_90_days_year_ago,
        count(*) filter (
            where past.purchase_day > customers.cutoff - 365 and past.purchase_day <= customers.cutoff - 185
        ) as purchases_180_days_year_ago,
        sum(past.revenue) filter (where past.purchase_day > customers.cutoff - 30) as spend_30_days,
        sum(past.revenue) filter (where past.purchase_day > customers.cutoff - 90) as spend_90_days,
        sum(past.revenue) filter (where past.purchase_day > customers.cutoff - 180) as spend_180_days,
        sum(past.revenue) filter (where past.purchase_day > customers.cutoff - 365) as spend_365_days
    from described_customers as customers
    inner join described_days as past
        on
            customers.customer_id = past.customer_id
            and customers.cutoff >= past.known_from
            and coalesce(customers.cutoff < past.superseded_on, true)
    group by customers.customer_id, customers.cutoff, customers.in_sample
),

-- Only a shop without money has no revenue.
final as (
    select
        customer_id,
        cutoff,
        first_purchase_date,
        last_purchase_date,
        cast(frequency as integer) as frequency,
        cast(date_diff('day', first_purchase_date, last_purchase_date) as integer) as recency_days,
        cast(date_diff('day', first_purchase_date, cutoff) as integer) as tenure_days,
        cast(date_diff('day', last_purchase_date, cutoff) as integer) as days_since_last,
        cast(orders as integer) as orders,
        cast(revenue as decimal(28, 4)) as revenue,
        cast(
            case
                when revenue is null then null
                when frequency = 0 then 0
                else cast(repeat_revenue as double) / frequency
            end as decimal(28, 4)
        ) as monetary_value,
        last_spend,
        cast(largest_spend as decimal(28, 4)) as largest_spend,
        cast(log_spend as double) as log_spend,
        cast(squared_log_spend as double) as squared_log_spend,
        cast(purchases_30_days as integer) as purchases_30_days,
        cast(purchases_90_days as integer) as purchases_90_days,
        cast(purchases_180_days as integer) as purchases_180_days,
        cast(purchases_365_days as integer) as purchases_365_days,
        cast(purchases_30_days_year_ago as integer) as purchases_30_days_year_ago,
        cast(purchases_90_days_year_ago as integer) as purchases_90_days_year_ago,
        cast(purchases_180_days_year_ago as integer) as purchases_180_days_year_ago,
        cast(case when revenue is not null then coalesce(spend_30_days, 0) end as decimal(28, 4))
            as spend_30_days,
        cast(case when revenue is not null then coalesce(spend_90_days, 0) end as decimal(28, 4))
            as spend_90_days,
        cast(case when revenue is not null then coalesce(spend_180_days, 0) end as decimal(28, 4))
            as spend_180_days,
        cast(case when revenue is not null then coalesce(spend_365_days, 0) end as decimal(28, 4))
            as spend_365_days,
        case when frequency >= 1 then cast(gap_days as double) / frequency end as mean_gap_days,
        -- From sums of whole numbers, so that the digits do not depend on the order in which rows are added.
        case
            when frequency >= 2 then
                sqrt(
                    cast(frequency * squared_gap_days - gap_days * gap_days as double)
                    / (frequency * (frequency - 1))
                )
        end as gap_deviation_days,
        cast(transaction_lines as double) / orders as lines_per_order,
        cast(products as integer) as products,
        country,
        in_sample
    from histories
)

select * from final
