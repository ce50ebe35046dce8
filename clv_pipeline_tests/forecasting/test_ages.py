"""What customers still bring by an age: read from their paths at days of their own."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from clv_pipeline.forecasting.ages import AGES_MONTHS, AHEAD_DAYS, age_days, ahead_columns, still_to_come
from clv_pipeline.forecasting.paths import Paths


def paths(spend_per_day: list[float]) -> Paths:
    """Customers who spend evenly, 10 a purchase."""
    spend = np.outer(spend_per_day, AHEAD_DAYS).astype(np.float64)
    names = pl.Series([f"c{place}" for place in range(len(spend_per_day))])
    return Paths("even", names, AHEAD_DAYS, purchases=spend / 10, spend=spend, discounted_spend=0.9 * spend)


def test_a_customer_brings_until_an_age_what_the_path_says_of_the_days_until_then() -> None:
    customers = pl.DataFrame({"customer_id": ["c0", "c1", "c2"], "tenure_days": [0, 100, 2_000]})
    ahead = still_to_come(customers, paths([2.0, 2.0, 2.0]), [0.5, 0.25, 1.0], 0.1)
    assert ahead["margin_ahead_12"].to_list() == pytest.approx([365.0, 0.25 * 2 * 265, 0.0])
    assert ahead["margin_ahead_3"].to_list() == pytest.approx([91.0, 0.0, 0.0])
    assert ahead["purchases_ahead_24"].to_list() == pytest.approx([146.0, 126.0, 0.0])
    present = 1.1 ** (-100 / 365.25)
    assert ahead["discounted_ahead"].to_list() == pytest.approx([985.5, 0.9 * 0.25 * 2 * 995 * present, 0.0])


def test_a_year_has_365_days_and_a_quarter() -> None:
    assert [age_days(months) for months in AGES_MONTHS] == [30, 91, 182, 273, 365, 547, 730, 913, 1095]


def test_a_model_that_cannot_tell_leaves_all_of_it_unknown() -> None:
    customers = pl.DataFrame({"customer_id": ["c0"], "tenure_days": [5]})
    ahead = still_to_come(customers, None, [1.0], 0.1)
    assert ahead.columns == ahead_columns()
    assert ahead.null_count().row(0) == (1,) * len(ahead.columns)
