-- The rule-based segment of every customer as of each cutoff of the backtest, and today. Scores and grid are
-- those of rfm and segments; the contract compares the rows of today with them.
with

customers as (select * from customer_features),

windows as (select * from forecast_windows),

-- Training-only cutoffs describe a sample of customers, which has no quintiles of its own.
cutoffs as (
    select cutoff
    from windows
    where not is_sampled
    group by cutoff
),

known as (
    select
        customers.customer_id,
        customers.cutoff,
        customers.days_since_last,
        customers.frequency
    from customers
    inner join cutoffs on customers.cutoff = cutoffs.cutoff
),

cut_points as (
    select
        cutoff,
        quantile_disc(days_since_last, 0.2) as r20,
        quantile_disc(days_since_last, 0.4) as r40,
        quantile_disc(days_since_last, 0.6) as r60,
        quantile_disc(days_since_last, 0.8) as r80,
        quantile_disc(frequency, 0.2) as f20,
        quantile_disc(frequency, 0.4) as f40,
        quantile_disc(frequency, 0.6) as f60,
        quantile_disc(frequency, 0.8) as f80
    from known
    group by cutoff
),

scores as (
    select
        known.customer_id,
        known.cutoff,
        5
        - cast(known.days_since_last > cut_points.r20 as integer)
        - cast(known.days_since_last > cut_points.r40 as integer)
        - cast(known.days_since_last > cut_points.r60 as integer)
        - cast(known.days_since_last > cut_points.r80 as integer) as r_score,
        1
        + cast(known.frequency > cut_points.f20 as integer)
        + cast(known.frequency > cut_points.f40 as integer)
        + cast(known.frequency > cut_points.f60 as integer)
        + cast(known.frequency > cut_points.f80 as integer) as f_score
    from known
    inner join cut_points on known.cutoff = cut_points.cutoff
),

-- Every pair of scores has exactly one segment.
grid (r_score, f_score, segment) as (
    values
    (5, 1, 'New Customers'), (5, 2, 'Potential Loyalists'), (5, 3, 'Potential Loyalists'),
    (5, 4, 'Champions'), (5, 5, 'Champions'),
    (4, 1, 'Promising'), (4, 2, 'Potential Loyalists'), (4, 3, 'Potential Loyalists'),
    (4, 4, 'Loyal'), (4, 5, 'Loyal'),
    (3, 1, 'About to Sleep'), (3, 2, 'About to Sleep'), (3, 3, 'Need Attention'),
    (3, 4, 'Loyal'), (3, 5, 'Loyal'),
    (2, 1, 'Hibernating'), (2, 2, 'Hibernating'), (2, 3, 'At Risk'),
    (2, 4, 'At Risk'), (2, 5, 'Can''t Lose'),
    (1, 1, 'Lost'), (1, 2, 'Hibernating'), (1, 3, 'At Risk'),
    (1, 4, 'At Risk'), (1, 5, 'Can''t Lose')
),

final as (
    select
        scores.customer_id,
        scores.cutoff,
        cast(grid.segment as varchar) as segment
    from scores
    inner join grid
        on scores.r_score = grid.r_score and scores.f_score = grid.f_score
)

select * from final
