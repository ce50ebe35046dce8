-- The rule-based segment of every customer, its cluster, and the recommended action.
with

customers as (select * from rfm),

clusters as (select * from customer_clusters),

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

actions (segment, at_risk, recommended_action) as (
    values
    ('Champions', false, 'Reward: early access, referral and review requests; no discounts needed'),
    ('Loyal', false, 'Grow the basket: cross-sell and a loyalty programme'),
    ('Potential Loyalists', false, 'Build the habit: offer membership, recommend related products'),
    ('New Customers', false, 'Welcome: help with the first order and bring about the second'),
    ('Promising', false, 'Bring about the second purchase while the first is remembered'),
    ('Need Attention', false, 'Remind with a limited offer on what was bought before'),
    ('About to Sleep', false, 'Reactivate by low-cost channels: popular products, a reason to return'),
    ('At Risk', true, 'Win back now: personal message with a relevant offer'),
    ('Can''t Lose', true, 'Call or write personally: ask what went wrong, offer to make it good'),
    ('Hibernating', false, 'Include in seasonal campaigns only'),
    ('Lost', false, 'Spend nothing beyond the cheapest channel')
),

cut_points as (
    select
        quantile_disc(revenue, 0.5) as median_revenue,
        quantile_disc(revenue, 0.8) as high_revenue
    from customers
),

final as (
    select
        customers.customer_id,
        cast(grid.segment as varchar) as segment,
        clusters.cluster,
        clusters.cluster_name,
        cast(
            case
                when customers.revenue is null then null
                when customers.revenue > cut_points.high_revenue then 'high'
                when customers.revenue > cut_points.median_revenue then 'middle'
                else 'low'
            end as varchar
        ) as value_tier,
        cast(actions.at_risk as boolean) as at_risk,
        cast(actions.recommended_action as varchar) as recommended_action
    from customers
    cross join cut_points
    inner join grid
        on customers.r_score = grid.r_score and customers.f_score = grid.f_score
    inner join actions on grid.segment = actions.segment
    inner join clusters on customers.customer_id = clusters.customer_id
)

select * from final
