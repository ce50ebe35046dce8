"""The factors of a forecast multiply back to what is published."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clv_pipeline.publication.decomposition import Decomposition

positive = st.floats(0.001, 1e6)


@given(st.floats(0.001, 1.0), positive, positive, st.floats(0.0, 1e6), st.floats(0.01, 1.0) | st.none())
def test_a_decomposition_multiplies_back(
    p: float, purchases: float, spend: float, clv: float, margin: float | None
) -> None:
    row = {"p_purchase": p, "expected_purchases": purchases, "expected_spend": spend, "clv": clv}
    parts = Decomposition.of(row, margin)
    assert parts.purchases_if_buying is not None
    assert parts.spend_per_purchase is not None
    assert parts.discount is not None
    assert parts.p_purchase * parts.purchases_if_buying == pytest.approx(purchases)
    assert purchases * parts.spend_per_purchase == pytest.approx(spend)
    assert spend * parts.discount * (margin or 1.0) == pytest.approx(clv)
