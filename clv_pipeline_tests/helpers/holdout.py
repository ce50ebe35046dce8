"""What a process alone says of customers within a holdout, beside what came, as the papers judge it."""

from __future__ import annotations

from datetime import date

import numpy as np
import polars as pl

from clv_pipeline.evaluation.metrics import evaluate
from clv_pipeline.forecasting.buy_till_you_die import ProcessFit
from clv_pipeline.forecasting.frames import floats


def holdout(fitted: ProcessFit, customers: pl.DataFrame, days: int, outcomes: pl.DataFrame) -> pl.DataFrame:
    """Outcomes with expected_purchases, p_purchase and p_alive of the process in calendar time; no money."""
    x, t_x, T = (floats(customers, name) for name in ("frequency", "recency_days", "tenure_days"))
    alive = fitted.alive(x, t_x, T)
    expected, at_least_one = fitted.path_if_alive(x, t_x, T, np.array([float(days)]))
    assert outcomes["customer_id"].equals(customers["customer_id"])
    return outcomes.with_columns(
        expected_purchases=alive * expected[:, 0],
        p_purchase=alive * at_least_one[:, 0],
        p_alive=alive,
        expected_spend=None,
    )


def metrics_of(scored: pl.DataFrame) -> dict[tuple[str, str], float]:
    """The metrics of one forecast, by target and metric."""
    forecast = scored.with_columns(cutoff=date(2000, 1, 1), horizon_days=1, model=pl.lit("one"))
    return {(target, metric): value for target, metric, value in evaluate(forecast)["target", "metric", "value"].rows()}
