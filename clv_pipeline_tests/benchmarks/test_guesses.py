"""The table of guesses: what is wrong is told, and real shops are right or asked about."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.guesses import SHOPS, Shop, faults, row
from clv_pipeline.sources.guess import propose
from clv_pipeline.sources.proposal import Entry, Proposal, Proposed
from clv_pipeline_tests.helpers.shared_files import DATA


def test_a_wrong_guess_a_missing_column_and_unexpected_events_are_faults() -> None:
    shop = Shop("a shop", ("a.csv",), {"customer_id": "client", "ordered_at": "day", "amount": "total"})
    columns = [
        Entry("customer_id", "client"),
        Entry("ordered_at", "paid_on"),
        Entry("amount", "? which", is_question=True),
    ]
    proposal = Proposal(Proposed(["a.csv"], columns=columns), events=Proposed(["b.csv"]))
    assert faults(shop, proposal) == ["a shop: ordered_at is paid_on, not day", "a shop: events are ['b.csv']"]
    assert faults(shop, Proposal(Proposed(["a.csv"], columns=columns[2:]))) == [
        "a shop: customer_id is missing",
        "a shop: ordered_at is missing",
    ]
    assert row(shop, proposal) == "| a shop | customer_id: client, ordered_at: paid_on; events:  | amount |"


@pytest.mark.parametrize("shop", SHOPS, ids=lambda shop: shop.name)
def test_init_is_right_about_a_real_shop_or_asks(shop: Shop, tmp_path: Path) -> None:
    paths = [name if name.startswith("lifetimes:") else str(DATA / name) for name in shop.files]
    if any(not name.startswith("lifetimes:") and not Path(name).is_file() for name in paths):
        pytest.skip(f"{', '.join(shop.files)} is not beside the repository")
    assert faults(shop, propose(paths, tmp_path)) == []
