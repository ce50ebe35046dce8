-- The name of every pair of scores, for every kind of silence.
with

grid (r_score, f_score, if_usual, if_long, if_overdue) as (
    values
    (5, 1, 'New Customers', 'New Customers', 'Hibernating'),
    (5, 2, 'Potential Loyalists', 'Potential Loyalists', 'Hibernating'),
    (5, 3, 'Potential Loyalists', 'Potential Loyalists', 'At Risk'),
    (5, 4, 'Champions', 'Need Attention', 'At Risk'),
    (5, 5, 'Champions', 'Need Attention', 'Can''t Lose'),
    (4, 1, 'Promising', 'Promising', 'Hibernating'),
    (4, 2, 'Potential Loyalists', 'Potential Loyalists', 'Hibernating'),
    (4, 3, 'Potential Loyalists', 'Potential Loyalists', 'At Risk'),
    (4, 4, 'Loyal', 'Need Attention', 'At Risk'),
    (4, 5, 'Loyal', 'Need Attention', 'Can''t Lose'),
    (3, 1, 'Promising', 'Promising', 'About to Sleep'),
    (3, 2, 'Potential Loyalists', 'Potential Loyalists', 'About to Sleep'),
    (3, 3, 'Need Attention', 'Need Attention', 'Need Attention'),
    (3, 4, 'Loyal', 'Need Attention', 'At Risk'),
    (3, 5, 'Loyal', 'Need Attention', 'Can''t Lose'),
    (2, 1, 'Promising', 'Promising', 'Hibernating'),
    (2, 2, 'Potential Loyalists', 'Potential Loyalists', 'Hibernating'),
    (2, 3, 'Potential Loyalists', 'Potential Loyalists', 'At Risk'),
    (2, 4, 'Loyal', 'Need Attention', 'At Risk'),
    (2, 5, 'Loyal', 'Need Attention', 'Can''t Lose'),
    (1, 1, 'Promising', 'Promising', 'Lost'),
    (1, 2, 'Potential Loyalists', 'Potential Loyalists', 'Hibernating'),
    (1, 3, 'Potential Loyalists', 'Potential Loyalists', 'At Risk'),
    (1, 4, 'Loyal', 'Need Attention', 'At Risk'),
    (1, 5, 'Loyal', 'Need Attention', 'Can''t Lose')
),

silences (silence) as (
    values ('usual'), ('long'), ('overdue')
),

final as (
    select
        cast(grid.r_score as integer) as r_score,
        cast(grid.f_score as integer) as f_score,
        cast(silences.silence as varchar) as silence,
        cast(
            case silences.silence
                when 'usual' then grid.if_usual
                when 'long' then grid.if_long
                when 'overdue' then grid.if_overdue
            end as varchar
        ) as segment
    from grid
    cross join silences
)

select * from final
