-- What to do about every segment, through which channel, and at what maximum cost.
with

profiles as (select * from segment_profiles),

shop as (select * from shop_margin),

members as (select * from segments),

costs as (select * from contact_costs),

-- What is advised for each customer, counted.
contacts as (
    select
        members.segment,
        count_if(members.contact_channel_code = 'telephone') as telephone_customers,
        count_if(members.contact_channel_code = 'letter') as letter_customers,
        count_if(members.contact_channel_code = 'email') as email_customers,
        count_if(members.contact_channel_code = 'none') as no_contact_customers
    from members
    group by members.segment
),

cents as (
    select
        segment,
        customers,
        cast(clv * 100 as decimal(28, 2)) as brought
    from profiles
),

-- Each limit is in whole cents and rounded down, so that all customers together cost no more than they bring.
limits as (
    select
        segment,
        customers,
        cast(brought - brought % customers as decimal(28, 0)) as spent
    from cents
),

-- A quotient is a double, which may have too few digits. So the remainder is divided once more.
quotients as (
    select
        segment,
        customers,
        spent,
        cast(spent / customers as decimal(28, 0)) as nearly_each
    from limits
),

per_customer as (
    select
        segment,
        spent,
        nearly_each
        + cast(cast(spent - nearly_each * customers as decimal(28, 0)) / customers as decimal(28, 0))
            as each_spent
    from quotients
),

final as (
    select
        profiles.segment,
        profiles.recommended_action,
        profiles.recommended_action_code,
        profiles.channel,
        profiles.channel_code,
        profiles.customers,
        profiles.horizon_days,
        profiles.expected_spend as expected_revenue_at_stake,
        profiles.clv as expected_margin,
        cast(per_customer.each_spent * 0.01 as decimal(28, 2)) as max_spend_per_customer,
        cast(per_customer.spent * 0.01 as decimal(28, 2)) as max_spend,
        shop.margin,
        shop.margin_source,
        profiles.cost_per_contact,
        cast(
            case
                when profiles.cost_per_contact > 0
                    then
                        cast(profiles.cost_per_contact as double) * profiles.customers
                        / cast(nullif(profiles.clv, 0) as double)
            end as double
        ) as break_even_uplift,
        cast(contacts.telephone_customers as integer) as telephone_customers,
        cast(contacts.letter_customers as integer) as letter_customers,
        cast(contacts.email_customers as integer) as email_customers,
        cast(contacts.no_contact_customers as integer) as no_contact_customers,
        cast(
            case
                when profiles.clv is not null
                    then
                        contacts.telephone_customers * costs.telephone
                        + contacts.letter_customers * costs.letter
                        + contacts.email_customers * costs.email
            end as decimal(28, 2)
        ) as cost_of_contacts
    from profiles
    inner join per_customer on profiles.segment = per_customer.segment
    left join contacts on profiles.segment = contacts.segment
    cross join shop
    cross join costs
)

select * from final
