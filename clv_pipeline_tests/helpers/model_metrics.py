"""Made-up metrics of models on past windows, for tests of what is chosen from them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta

import numpy as np
import polars as pl

from clv_pipeline.evaluation.choice import Contender
from clv_pipeline.evaluation.metrics import METRICS_SCHEMA

AS_OF = date(2024, 12, 31)
HYBRID, PARETO, BG, OWN = (
    Contender(name, is_baseline=False) for name in ("hybrid", "pareto_nbd", "bg_nbd", "my_own_family")
)
OWN_RATE, LAST_YEAR, LAST_WINDOW = (
    Contender(name, is_baseline=True) for name in ("own_rate", "same_window_last_year", "last_window")
)


def months_back(number: int, horizon_days: int = 90) -> list[date]:
    """Cutoffs 30 days apart, the latest one whose window ends on AS_OF, oldest first."""
    return [AS_OF - timedelta(days=horizon_days + 30 * k) for k in reversed(range(number))]


def scored(
    model: str,
    loss: float | Sequence[float],
    cutoffs: Iterable[date] = tuple(months_back(6)),
    horizon_days: int = 90,
    skill: float | Sequence[float] = 0.4,
    **others: float,
) -> pl.DataFrame:
    """Metrics of a model with these deviances, of spend and of purchases, at every cutoff."""
    days = list(cutoffs)
    losses = np.broadcast_to(np.asarray(loss, dtype=np.float64), len(days)).tolist()
    skills = np.broadcast_to(np.asarray(skill, dtype=np.float64), len(days)).tolist()
    rows = []
    for day, deviance, known in zip(days, losses, skills, strict=True):
        spend: Mapping[str, float] = {"tweedie_deviance": 10.0 * deviance, "tweedie_skill": known} | others
        rows += [(day, horizon_days, model, "spend", metric, value) for metric, value in spend.items()]
        rows.append((day, horizon_days, model, "purchases", "poisson_deviance", deviance))
    return (
        pl.DataFrame(rows, schema=["cutoff", "horizon_days", "model", "target", "metric", "value"], orient="row")
        .with_columns(lower=None, upper=None, customers=100)
        .select(METRICS_SCHEMA.names())
        .cast(METRICS_SCHEMA)
    )


def noisy(level: float, noise: float, seed: int, number: int = 6) -> list[float]:
    """Deviances that scatter around a level from cutoff to cutoff."""
    scatter: list[float] = (level * np.exp(noise * np.random.default_rng(seed).standard_normal(number))).tolist()
    return scatter
