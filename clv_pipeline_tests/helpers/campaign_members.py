"""A campaign, and members of it who bought as much more than expected as a test says."""

from __future__ import annotations

from datetime import date

import numpy as np
import polars as pl

from clv_pipeline.campaigns.results import Campaign

SPRING = Campaign("spring", date(2024, 3, 1), 90, assumed_uplift=0.1, cost_per_contact=2.0)


def members(
    customers: int = 4_000, uplift: float = 0.0, seed: int = 0, segments: dict[str, float] | None = None
) -> pl.DataFrame:
    """Members of a campaign, half of them left out, and what came of them; `segments` have uplifts of their own."""
    rng = np.random.default_rng(seed)
    effects = segments or {"Loyal": uplift}
    names = rng.choice(list(effects), customers)
    is_control = np.arange(customers) % 2 == 0
    effect = np.where(is_control, 0.0, [effects[name] for name in names])
    expected = rng.gamma(2.0, 0.5, customers)
    orders = rng.poisson(expected * (1.0 + effect))
    return pl.DataFrame(
        {
            "is_control": is_control,
            "stratum": pl.Series(names).rank("dense"),
            "segment": names,
            "expected_purchases": expected,
            "expected_margin": 20.0 * expected,
            "expected_deviation": 20.0 * np.sqrt(expected),
            "orders": orders,
            "margin": 20.0 * orders,
        }
    )
