"""What `clv campaign` prints: the campaign that was started, and the list of campaigns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

from clv_pipeline.cli.list_text import guarded_line, ids_line

if TYPE_CHECKING:
    from clv_pipeline.publication.campaign import Listed, Started


def started_lines(started: Started) -> Iterator[str]:
    """What was drawn, what it can find, and where the lists are."""
    ends_on = started.started_on + timedelta(days=started.horizon_days)
    cost = "" if started.cost is None else f", which costs {started.cost:,.2f}"
    yield f"{started.contacts:,} customers to contact{cost}"
    yield f"{started.controls:,} customers left out by lot: contact none of them"
    yield f"what both buy after {started.started_on} counts, until {ends_on} ({started.horizon_days} days)"
    if started.detectable_uplift is not None:
        found = f"an uplift of {started.detectable_uplift:.1%} or more is found with a probability of 80 %"
        if started.detectable_uplift > started.assumed_uplift:
            needed = "more than there are" if started.customers_needed is None else f"{started.customers_needed:,}"
            found += f"; to find {started.assumed_uplift:.1%} it takes {needed} customers, or a larger share left out"
        yield found
    for overlap in started.overlaps:
        yield (
            f"note: {overlap.customers:,} of them are in the campaign {overlap.campaign}, too, until {overlap.ends_on};"
            f" it leaves out {overlap.controls:,} of these"
        )
    yield ids_line(started.pseudonyms)
    if started.guarded:
        yield guarded_line(started.guarded)
    yield f"wrote {started.folder}/audience.csv and {started.folder}/control.csv, which only you can read"


def campaign_lines(campaigns: Sequence[Listed]) -> Iterator[str]:
    """One line for each campaign, and its verdict below."""
    if not campaigns:
        yield "no campaign has started; `clv campaign start` starts one"
        return
    width = max(len("campaign"), *(len(campaign.name) for campaign in campaigns))
    yield f"{'campaign':<{width}}  {'started':<10}  {'days':>5}  {'contacts':>10}  {'left out':>10}"
    for campaign in campaigns:
        yield (
            f"{campaign.name:<{width}}  {campaign.started_on}  {campaign.horizon_days:>5}  {campaign.contacts:>10,}"
            f"  {campaign.controls:>10,}"
        )
        yield f"  {campaign.verdict or 'not measured yet; the next `clv run` measures'}"
