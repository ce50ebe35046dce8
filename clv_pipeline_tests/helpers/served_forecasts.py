"""Past forecasts of several models with what came, and what was served of them."""

from collections.abc import Sequence
from datetime import date

import numpy as np
import polars as pl

from clv_pipeline.evaluation.metrics import evaluate
from clv_pipeline.evaluation.served import READ_SCHEMA, AsServed, as_served
from clv_pipeline_tests.helpers.model_metrics import HYBRID, LAST_YEAR, OWN_RATE, PARETO, months_back

CONTENDERS = (OWN_RATE, LAST_YEAR, PARETO, HYBRID)
NOISE = {"hybrid": 0.4, "pareto_nbd": 0.2, "own_rate": 0.9, "same_window_last_year": 0.7}
CUTOFFS = months_back(6, 30)
HORIZONS = (30, 60)
CUSTOMERS = 400


def window(cutoff: date, horizon: int, model: str) -> pl.DataFrame:
    """Customers whose rates are known, told with the model's noise."""
    rng = np.random.default_rng([cutoff.toordinal(), horizon])
    rate = rng.gamma(0.5, 1.0, CUSTOMERS) * horizon / 30.0
    purchases = rng.poisson(rate).astype(float)
    spent = purchases * rng.gamma(4.0, 5.0, CUSTOMERS)
    guess = rate * np.random.default_rng([*model.encode(), horizon]).lognormal(0.0, NOISE[model], CUSTOMERS)
    p = None if model in ("own_rate", "same_window_last_year") else pl.Series(-np.expm1(-guess))
    return pl.DataFrame(
        {
            "cutoff": cutoff,
            "horizon_days": horizon,
            "model": model,
            "customer_id": [f"c{i:04d}" for i in range(CUSTOMERS)],
            "frequency": rng.poisson(3.0, CUSTOMERS),
            "tenure_days": rng.integers(0, 800, CUSTOMERS),
            "expected_purchases": guess,
            "expected_spend": 20.0 * guess,
            "p_purchase": p,
            "p_alive": p,
            "actual_purchases": purchases,
            "actual_spend": spent,
        }
    ).cast(READ_SCHEMA)


def shop(cutoffs: Sequence[date] = tuple(CUTOFFS)) -> pl.DataFrame:
    return pl.concat([window(day, h, model) for day in cutoffs for h in HORIZONS for model in NOISE])


def country(place: int) -> str | None:
    """Three quarters live in two large countries, some in small ones, and of some no country is known."""
    return ("France", "Spain", "Spain", f"Island {place % 20}" if place % 8 == 7 else None)[place % 4]


CUSTOMERS_KNOWN = pl.DataFrame(
    [(f"c{i:04d}", "Loyal" if i % 4 else "Lost", country(i), float(i // 4)) for i in range(CUSTOMERS)],
    schema={"customer_id": pl.String, "segment": pl.String, "country": pl.String, "revenue": pl.Float64},
    orient="row",
)
"""What is known of the customers at every cutoff."""


def served(
    frame: pl.DataFrame, asked: list[tuple[str, date]] | None = None, known: pl.DataFrame = CUSTOMERS_KNOWN
) -> AsServed:
    def backtest(model: str, cutoff: date) -> pl.DataFrame:
        if asked is not None:
            asked.append((model, cutoff))
        return frame.filter(pl.col("model") == model, pl.col("cutoff") == cutoff)

    return as_served(backtest, evaluate(frame), CONTENDERS, lambda _: known, 0.8)


def walk(
    frame: pl.DataFrame, asked: list[tuple[str, date]] | None = None, known: pl.DataFrame = CUSTOMERS_KNOWN
) -> pl.DataFrame:
    """The metrics of what was served."""
    return served(frame, asked, known).accuracy
