"""Names that tables hold and pages show, listed once so that catalogues have words for them (`Display.term`).

Tables stay in English; a test holds every list against the SQL, contract or module that the names come from.
"""

from __future__ import annotations


def term(name: str) -> str:
    """Mark a name as one that catalogues have words for; it stays as it is."""
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
"""segment of segment_advice and of all tables of customers."""

NO_CUSTOMERS = (term("not yet a customer"), term("no longer a customer"))
"""from_segment and to_segment of segment_flows and segment_migrations, beside segments."""

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
    term("Remind without a discount: they buy again anyway, more likely than not"),
    term("Spend nothing: a contact costs more than the margin that is expected"),
)
"""recommended_action."""

CHANNELS = (term("no contact"), term("e-mail"), term("letter"), term("telephone call"))
"""contact_channel."""

CLAIMS = (term("active"), term("neutral"), term("fading"))
"""claim: what the name of a segment says of the silence."""

SILENCES = (term("usual"), term("long"), term("overdue"))
"""silence of customer_rhythms."""

VALUE_TIERS = (term("high"), term("middle"), term("low"))
"""value_tier."""

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
"""cluster_name where no two are alike; `cluster_in_words` numbers those that are."""

OUTCOMES = (
    term("kept"),
    term("forgotten customer"),
    term("unreadable line"),
    term("not selected"),
    term("no customer"),
    term("anonymous customer"),
    term("unparsable date"),
    term("unparsable number"),
    term("future date"),
    term("no currency"),
    term("no rate"),
    term("non-positive quantity"),
    term("cancellation"),
    term("non-positive price"),
    term("non-positive amount"),
    term("excluded product"),
    term("outlier"),
    term("exact duplicate"),
    term("return without purchase"),
)
"""outcome of row_ledger: kept, or why a row was rejected."""

GATE_VERDICTS = (
    term("as usual"),
    term("too low"),
    term("too high"),
    term("not judged: the day is not over"),
    term("not judged: no row is kept"),
    term("not judged: too little history"),
    term("not judged: too few rows on such a day"),
    term("not judged: too few rows in such a file"),
    term("not judged: nothing here is recent"),
)
"""verdict of file_gates and volume_gates."""

EXCUSES = (term("accepted in clv.yaml"), term("passed before"))
"""excused_because of file_gates and volume_gates."""

SEVERITIES = (term("error"), term("warn"), term("ignore"))
"""severity of the gates."""

FIT_VERDICTS = (
    term("ok"),
    term("at_bound"),
    term("degenerate"),
    term("not_converged"),
    term("no_training_data"),
)
"""verdict of fitted_models."""

FIT_NOTES = (
    term("A rule; no process is estimated."),
    term("Cannot forecast more days than history has."),
    term("Cannot forecast without a year of history, nor more than a year."),
    term("Nobody bought before the cutoff day."),
    term("No customer bought twice."),
    term("As on the calendar, the data do not decide."),
    term("No start converged."),
    term("The data do not identify all parameters (flat likelihood); the estimates are used."),
    term("A weak prior, as other shops are, decides what the data leave open."),
    term("Too few purchases in completed windows to learn of single customers: the process stands."),
    term("The process stands."),
    term("The total is what the process expects: there is too little history for more."),
    term("The total is that of the cohorts by age; below a year of history no season is known."),
    term("The total is that of the cohorts by age and season."),
)
"""Sentences of notes of fits that have no numbers of their own."""

STATUSES = (term("running"), term("passed"))
"""status of forecast_tracking."""

TARGETS = (term("spend"), term("purchases"), term("purchase"), term("alive"))
"""target of tables of accuracy."""

OUTLOOK_TARGETS = (term("known_revenue"), term("new_revenue"), term("total_revenue"), term("new_customers"))
"""target of revenue_outlook_backtest."""

GROUP_KINDS = (
    *(term("all"), term("decile"), term("segment"), term("country")),
    *(term("value"), term("age"), term("p_class")),
)
"""group_kind of served_accuracy."""

GROUPS = (
    term("best 1 %"),
    term("0-30 days"),
    term("31-90 days"),
    term("91-365 days"),
    term("over 365 days"),
    term("other"),
    term("unknown"),
)
"""group_name of served_accuracy, beside deciles, segments and classes of P(buy)."""

DIRECTIONS = (term("up"), term("down"), term("mixed"), term("none"))
"""direction of clv_drivers."""

FEATURES = {
    "days_since_last": term("days since the last purchase"),
    "frequency": term("repeat purchases"),
    "spend_per_purchase": term("spend per purchase"),
    "recent_activity": term("what was bought lately"),
    "same_window_last_year": term("what was bought in the same days of last year"),
    "basket_size": term("lines per order"),
    "product_breadth": term("different products"),
    "country": term("country"),
}
"""feature of clv_drivers, beside attributes and events, and what it is called."""

FACTS = (
    term("days since the last purchase"),
    term("repeat purchases"),
    term("spend per purchase"),
    term("spend in the last 365 days"),
    term("purchases in the last 365 days"),
    term("lines per order"),
    term("different products"),
)
"""Facts in drivers_in_words of customer_overview."""

ACQUISITION_METHODS = (
    term("the same months of last year"),
    term("the same months of last year at the level of the last three months"),
    term("exponential smoothing without a season"),
    term("exponential smoothing with a season of twelve months"),
    term("the mean of the last three months"),
    term("nobody new"),
)
"""By what new customers are forecast."""

SCOPES = (term("shop"), term("channel"), term("month"), term("month and channel"))
"""scope of acquisition_value."""

PAYBACKS = (term("realised"), term("projected"), term("none"))
"""payback of acquisition_value."""

NOT_KNOWN = term("not known")
"""channel of who came from nobody knows where."""

MARGIN_SOURCES = (term("cost per line"), term("forecast.margin"))
"""margin_source."""

MEASURES = (term("margin"), term("orders"))
"""measure of campaign_results."""

PERIODS = (term("day"), term("week"), term("month"))
"""period of sales_trends."""

SLICES = (
    term("decile 1"),
    term("decile 2"),
    term("decile 3"),
    term("decile 4"),
    term("decile 5"),
    term("decile 6"),
    term("decile 7"),
    term("decile 8"),
    term("decile 9"),
    term("decile 10"),
    term("top 1 %"),
    term("top 5 %"),
    term("top 10 %"),
    term("top 20 %"),
)
"""slice of revenue_distribution."""
