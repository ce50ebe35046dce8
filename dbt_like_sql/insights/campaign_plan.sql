-- The order of contacts by what they would add, with the uplift that was measured or is assumed.
with

customers as (select * from customer_overview),

forecasts as (select * from clv_forecasts),

campaign as (select * from campaign_settings),

uplifts as (select * from segment_uplifts),

contacts as (
    select
        customers.customer_id,
        customers.segment,
        customers.recommended_action,
        customers.recommended_action_code,
        uplifts.horizon_days,
        cast(forecasts.clv as decimal(28, 4)) as expected_margin,
        campaign.budget,
        campaign.cost_per_contact,
        campaign.assumed_uplift,
        cast(uplifts.uplift as decimal(9, 6)) as uplift,
        uplifts.uplift_deviation,
        uplifts.basis,
        uplifts.basis_code,
        uplifts.basis_facts,
        cast(forecasts.clv as decimal(28, 4)) * cast(uplifts.uplift as decimal(9, 6)) as expected_return
    from customers
    inner join uplifts on customers.segment = uplifts.segment
    inner join forecasts
        on customers.customer_id = forecasts.customer_id and uplifts.horizon_days = forecasts.horizon_days
    cross join campaign
),

-- A contact that costs more than it returns is not made.
ordered as (
    select
        *,
        row_number() over (order by expected_return desc, customer_id asc) as contact_order
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
        cast(uplift as double) as uplift,
        uplift_deviation,
        cast(expected_return as decimal(28, 4)) as expected_return,
        cast(cost_per_contact as double) / cast(expected_margin as double) as break_even_uplift,
        cast(cumulative_cost as decimal(18, 4)) as cumulative_cost,
        cast(cumulative_return as decimal(28, 4)) as cumulative_return,
        cast(cumulative_cost as double) / cast(cumulative_margin as double) as cumulative_break_even_uplift,
        basis,
        basis_code,
        basis_facts
    from within_budget
)

select * from final
