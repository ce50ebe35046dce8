-- What to do about every segment, by which channel, and how much it may cost.
with

profiles as (select * from segment_profiles),

settings as (select * from parameters),

-- The dearer the channel, the more a customer of the segment was worth.
channels (segment, channel) as (
    values
    ('Champions', 'personal message from a named contact, invitations'),
    ('Loyal', 'e-mail, app or parcel insert with personal recommendations'),
    ('Potential Loyalists', 'e-mail series, app'),
    ('New Customers', 'e-mail series after the first order'),
    ('Promising', 'e-mail reminder'),
    ('Need Attention', 'e-mail with an offer that ends'),
    ('About to Sleep', 'e-mail, retargeting'),
    ('At Risk', 'personal e-mail, then a letter'),
    ('Can''t Lose', 'telephone call or a personal letter'),
    ('Hibernating', 'seasonal e-mail'),
    ('Lost', 'e-mail only')
),

-- In whole cents and rounded down, so that all customers together cost no more than they bring.
limits as (
    select
        segment,
        cast(floor(clv * 100) as bigint) // customers as cents_per_customer
    from profiles
),

final as (
    select
        profiles.segment,
        profiles.recommended_action,
        cast(channels.channel as varchar) as channel,
        profiles.customers,
        profiles.horizon_days,
        profiles.expected_spend as expected_revenue_at_stake,
        profiles.clv as expected_margin,
        cast(limits.cents_per_customer * 0.01 as decimal(18, 2)) as max_spend_per_customer,
        cast(limits.cents_per_customer * 0.01 * profiles.customers as decimal(18, 2)) as max_spend,
        settings.margin
    from profiles
    inner join limits on profiles.segment = limits.segment
    left join channels on profiles.segment = channels.segment
    cross join settings
)

select * from final
