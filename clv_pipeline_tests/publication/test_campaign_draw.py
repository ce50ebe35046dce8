"""As many customers are drawn as a budget pays contacts for."""

from __future__ import annotations

import pytest

from clv_pipeline.publication.campaign_draw import affordable


@pytest.mark.parametrize("holdout", [0.05, 0.1, 0.3, 0.5])
@pytest.mark.parametrize("contacts", [1, 7, 45, 1_000])
def test_a_budget_is_used_up_and_never_exceeded(contacts: int, holdout: float) -> None:
    def most_contacts(customers: int) -> int:
        return customers - int(customers * holdout)

    most = affordable(contacts, holdout)
    assert most_contacts(most) <= contacts < most_contacts(most + 1)
