-- ASSUMPTION, not a measurement: the order of contacts if a contact raised the expected margin as assumed.
with

customers as (select * from customer_overview),

campaign as (select * from campaign_settings),

contacts as (
    select
        customers.customer_id,
        customers.segment,
        customers.recommended_action,
        customers.recommended_action_code,
        customers.horizon_days,
        customers.clv as expected_margin,
        campaign.budget,
        campaign.cost_per_contact,
        campaign.assumed_uplift,
        customers.clv * campaign.assumed_uplift as expected_return
    from customers
    cross join campaign
),

-- A contact that costs more than its assumed return is not made. The uplift is the same for all, so the order
-- of margins is the order of returns.
ordered as (
    select
        *,
        row_number() over (order by expected_margin desc, customer_id asc) as contact_order
    from contacts
    where expected_return >= cost_per_contact
),

within_budget as (
    select
        *,
        contact_order * cost_per_contact as cumulative_cost,
        sum(expected_margin) over (order by contact_order) as cumulative_margin,
        sum(expected_return) over (order by contact_order) as cumulative_return
    from ordered
    where contact_order * cost_per_contact <= budget
),

final as (
    select
        cast(contact_order as integer) as contact_order,
        customer_id,
        segment,
        recommended_action,
        recommended_action_code,
        horizon_days,
        expected_margin,
        cost_per_contact,
        assumed_uplift,
        cast(expected_return as decimal(28, 4)) as expected_return,
        cast(cost_per_contact as double) / cast(expected_margin as double) as break_even_uplift,
        cast(cumulative_cost as decimal(18, 4)) as cumulative_cost,
        cast(cumulative_return as decimal(28, 4)) as cumulative_return,
        cast(cumulative_cost as double) / cast(cumulative_margin as double) as cumulative_break_even_uplift,
        cast(
            'ASSUMPTION, not a measurement: a contact raises the expected margin by '
            || cast(assumed_uplift * 100 as decimal(18, 2)) || ' %' as varchar
        ) as basis,
        cast('assumed_uplift' as varchar) as basis_code
    from within_budget
)

select * from final
