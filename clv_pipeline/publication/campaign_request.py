"""What may be asked of a new campaign, and what is refused before anything is read."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path

from clv_pipeline.errors import CampaignError, ExportError
from clv_pipeline.publication.export import BEST_FIRST, MOST_AT_STAKE_FIRST

_MOST = 2_147_483_647
"""Most customers and most money: what the tables hold, and nobody has."""

_LEAST_AMOUNT = Decimal("0.0001")
"""The least money that the tables tell from nothing."""

_NAME = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}"


@dataclass(frozen=True)
class Request:
    """What is asked of a new campaign. What is None has the default of the settings or of the publication."""

    name: str
    started_on: date
    folder: Path
    """Gets the lists; it must not exist."""
    segment: str | None = None
    at_risk: bool = False
    """Only customers at risk, those with the most at stake first."""
    top: int | None = None
    budget: Decimal | None = None
    holdout: float = 0.1
    horizon_days: int | None = None
    cost_per_contact: Decimal | None = None
    assumed_uplift: float | None = None
    seed: int = 0

    @property
    def order(self) -> str:
        """SQL for the order in which customers are taken and listed."""
        return MOST_AT_STAKE_FIRST if self.at_risk else BEST_FIRST


def check(request: Request) -> None:
    """Refuse what can be seen to be impossible without looking anywhere.

    Raises:
        CampaignError: says what.
        ExportError: the folder exists.
    """
    if not re.fullmatch(_NAME, request.name):
        raise CampaignError(
            f"{request.name!r}: a campaign's name should be of letters, digits, - _ and ., begin with a letter or a"
            " digit, and have at most 64 of them"
        )
    if request.segment is None and not request.at_risk and request.top is None and request.budget is None:
        raise CampaignError(
            "whom to contact is missing",
            to_do="name a --segment, say --at-risk, or say how many with --top or --budget",
        )
    if request.top is not None and not 1 <= request.top <= _MOST:
        raise CampaignError(f"--top {request.top}: should be a number of customers from 1 to {_MOST:,}")
    for option, amount in (("--budget", request.budget), ("--cost-per-contact", request.cost_per_contact)):
        if amount is not None and not (amount.is_finite() and _LEAST_AMOUNT <= amount <= _MOST):
            raise CampaignError(f"{option} {amount}: should be an amount from {_LEAST_AMOUNT} to {_MOST:,}")
    if not 0.0 < request.holdout <= 0.5:
        raise CampaignError(f"--holdout {request.holdout}: should be a share above 0 and at most 0.5, such as 0.1")
    if request.assumed_uplift is not None and not 1e-6 <= request.assumed_uplift <= 1.0:
        raise CampaignError(f"--assumed-uplift {request.assumed_uplift}: should be from 0.000001 to 1; 0.05 is 5 %")
    if request.folder.exists():
        raise ExportError(f"{request.folder} exists", to_do="name another folder with --out")
