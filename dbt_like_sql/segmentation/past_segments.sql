-- The rule-based segment of every customer as of as_of, and of each cutoff of the backtest.
with

customers as (select * from customer_features),

rhythms as (select * from customer_rhythms),

names as (select * from segment_names),

-- The customers of whole cutoffs; the others describe a sample, which has no quintiles of its own.
known as (
    select
        rhythms.customer_id,
        rhythms.cutoff,
        rhythms.silence,
        customers.days_since_last,
        customers.frequency
    from rhythms
    inner join customers
        on rhythms.customer_id = customers.customer_id and rhythms.cutoff = customers.cutoff
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
        known.silence,
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

final as (
    select
        scores.customer_id,
        scores.cutoff,
        cast(scores.r_score as integer) as r_score,
        cast(scores.f_score as integer) as f_score,
        scores.silence,
        names.segment
    from scores
    inner join names
        on
            scores.r_score = names.r_score
            and scores.f_score = names.f_score
            and scores.silence = names.silence
)

select * from final
