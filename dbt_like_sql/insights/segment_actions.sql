-- What to do about every segment, through which channel, and at what maximum cost.
with

profiles as (select * from segment_profiles),

settings as (select * from parameters),

-- Customers who were worth more justify a more expensive channel.
channels (segment, channel, channel_code) as (
    values
    ('Champions', 'personal message from a named contact, invitations', 'personal_message'),
    ('Loyal', 'e-mail, app or parcel insert with personal recommendations', 'recommendations'),
    ('Potential Loyalists', 'e-mail series, app', 'email_series_and_app'),
    ('New Customers', 'e-mail series after the first order', 'email_series_after_first_order'),
    ('Promising', 'e-mail reminder', 'email_reminder'),
    ('Need Attention', 'e-mail with an offer that ends', 'email_with_ending_offer'),
    ('About to Sleep', 'e-mail, retargeting', 'email_and_retargeting'),
    ('At Risk', 'personal e-mail, then a letter', 'personal_email_then_letter'),
    ('Can''t Lose', 'telephone call or a personal letter', 'telephone_or_letter'),
    ('Hibernating', 'seasonal e-mail', 'seasonal_email'),
    ('Lost', 'e-mail only', 'email_only')
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
        cast(channels.channel as varchar) as channel,
        cast(channels.channel_code as varchar) as channel_code,
        profiles.customers,
        profiles.horizon_days,
        profiles.expected_spend as expected_revenue_at_stake,
        profiles.clv as expected_margin,
        cast(per_customer.each_spent * 0.01 as decimal(28, 2)) as max_spend_per_customer,
        cast(per_customer.spent * 0.01 as decimal(28, 2)) as max_spend,
        settings.margin
    from profiles
    inner join per_customer on profiles.segment = per_customer.segment
    left join channels on profiles.segment = channels.segment
    cross join settings
)

select * from final
