"""Names that the tables hold and pages say: what segments, tiers, clusters, actions and channels are called.

`term` marks them for the catalogues of words. A page says such a name by `Display.words`; one that is not here, as of a
segment of one's own, stays as it is.
"""


def term(name: str) -> str:
    """The name itself."""
    return name


SEGMENTS = (
    term("Champions"),
    term("Loyal"),
    term("Potential Loyalists"),
    term("New Customers"),
    term("Promising"),
    term("Need Attention"),
    term("About to Sleep"),
    term("At Risk"),
    term("Can't Lose"),
    term("Hibernating"),
    term("Lost"),
)

ACTIONS = (
    term("Reward: early access, invitations, referrals; no discounts needed"),
    term("Grow the basket: cross-sell and a loyalty programme"),
    term("Build the habit: recommend what goes with it"),
    term("Welcome: help with the first order, invite the second"),
    term("Bring about the second purchase"),
    term("Remind with a limited offer on what was bought before"),
    term("Reactivate: popular products, a reason to return"),
    term("Win back: a personal message with a relevant offer"),
    term("Win back: ask what went wrong, offer to make it good"),
    term("Include in seasonal campaigns only"),
    term("Keep in touch with the general newsletter only"),
    term("Spend nothing: a contact costs more than the margin that is expected"),
    term("Remind without a discount: they buy again anyway, more likely than not"),
)

CHANNELS = (term("no contact"), term("e-mail"), term("letter"), term("telephone call"))
"""How a customer is reached."""

TIERS = (term("high"), term("middle"), term("low"))

CLUSTERS = (
    term("All customers"),
    term("High value, recent"),
    term("High value, cooling"),
    term("High value, lapsed"),
    term("Medium value, recent"),
    term("Medium value, cooling"),
    term("Medium value, lapsed"),
    term("Low value, recent"),
    term("Low value, cooling"),
    term("Low value, lapsed"),
    term("High frequency, recent"),
    term("High frequency, cooling"),
    term("High frequency, lapsed"),
    term("Medium frequency, recent"),
    term("Medium frequency, cooling"),
    term("Medium frequency, lapsed"),
    term("Low frequency, recent"),
    term("Low frequency, cooling"),
    term("Low frequency, lapsed"),
)
"""The names of clusters that are unlike all others; of those that are alike, a number follows."""

UNKNOWN = (term("not known"),)

TERMS = (*SEGMENTS, *ACTIONS, *CHANNELS, *TIERS, *CLUSTERS, *UNKNOWN)
