-- What to do with a customer or a segment, and by which channel: every case, once.
with

costs as (select * from contact_costs),

settings as (select * from parameters),

-- The most personal channel that suits a segment: 1 e-mail, 2 letter, 3 telephone.
names (segment, claim, most_personal, action_code, action) as (
    values
    ('Champions', 'active', 2, 'reward', 'Reward: early access, invitations, referrals; no discounts needed'),
    ('Loyal', 'active', 1, 'grow_basket', 'Grow the basket: cross-sell and a loyalty programme'),
    ('Potential Loyalists', 'active', 1, 'build_habit', 'Build the habit: recommend what goes with it'),
    ('New Customers', 'active', 1, 'welcome', 'Welcome: help with the first order, invite the second'),
    ('Promising', 'active', 1, 'second_purchase', 'Bring about the second purchase'),
    ('Need Attention', 'neutral', 1, 'remind', 'Remind with a limited offer on what was bought before'),
    ('About to Sleep', 'fading', 1, 'reactivate', 'Reactivate: popular products, a reason to return'),
    ('At Risk', 'fading', 2, 'win_back', 'Win back: a personal message with a relevant offer'),
    ('Can''t Lose', 'fading', 3, 'make_good', 'Win back: ask what went wrong, offer to make it good'),
    ('Hibernating', 'fading', 1, 'seasonal_only', 'Include in seasonal campaigns only'),
    ('Lost', 'fading', 1, 'keep_in_touch', 'Keep in touch with the general newsletter only')
),

channels (personal, channel_code, channel) as (
    values
    (0, 'none', 'no contact'), (1, 'email', 'e-mail'), (2, 'letter', 'letter'),
    (3, 'telephone', 'telephone call')
),

affordable (affordable_channels) as (values (0), (1), (2), (3)),

expected (buys_anyway) as (values (false), (true)),

-- Who has gone quiet and is likelier than not to come back alone needs no offer.
cases as (
    select
        names.*,
        affordable.affordable_channels,
        expected.buys_anyway,
        expected.buys_anyway and names.claim = 'fading' as comes_back
    from names
    cross join affordable
    cross join expected
),

advised as (
    select
        segment,
        claim,
        affordable_channels,
        buys_anyway,
        case
            when affordable_channels = 0
                then 'Spend nothing: a contact costs more than the margin that is expected'
            when comes_back then 'Remind without a discount: they buy again anyway, more likely than not'
            else action
        end as recommended_action,
        case
            when affordable_channels = 0 then 'spend_nothing'
            when comes_back then 'remind_without_discount'
            else action_code
        end as recommended_action_code,
        least(affordable_channels, case when comes_back then 1 else most_personal end) as personal
    from cases
),

final as (
    select
        cast(advised.segment as varchar) as segment,
        cast(advised.claim as varchar) as claim,
        cast(advised.affordable_channels as integer) as affordable_channels,
        cast(advised.buys_anyway as boolean) as buys_anyway,
        cast(advised.recommended_action as varchar) as recommended_action,
        cast(advised.recommended_action_code as varchar) as recommended_action_code,
        cast(channels.channel as varchar) as channel,
        cast(channels.channel_code as varchar) as channel_code,
        cast(
            case
                when not settings.has_money then null
                when channels.personal = 0 then 0
                when channels.personal = 1 then costs.email
                when channels.personal = 2 then costs.letter
                when channels.personal = 3 then costs.telephone
            end as decimal(18, 4)
        ) as cost_per_contact
    from advised
    inner join channels on advised.personal = channels.personal
    cross join costs
    cross join settings
)

select * from final
