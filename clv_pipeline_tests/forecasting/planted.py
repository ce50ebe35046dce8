"""Rows of completed windows whose purchases follow a law that was planted: what a correction should find."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import polars as pl

from clv_pipeline.forecasting.correction import Correction, PieceRows
from clv_pipeline.forecasting.frames import Floats
from clv_pipeline.forecasting.ground import Ground
from clv_pipeline.forecasting.pareto_nbd import ParetoNbd
from clv_pipeline.forecasting.residual import Flags
from clv_pipeline.forecasting.windows import Seen
from clv_pipeline_tests.helpers.forecast_examples import CUTOFF, shop, varied

VIP, APP, AGE = "attribute:vip", "attribute:app", "attribute:age"
BUSY = 5.0


@cache
def ground() -> Ground:
    """A shop of 500 customers."""
    return Ground(shop(500).training(CUTOFF))


@cache
def rows() -> PieceRows:
    """Its windows as Pareto/NBD sees them, with attributes of customers that have nothing to do with each other."""
    seen = Seen.of(ground(), ground().process(ParetoNbd())).rows
    assert seen is not None
    return replace(seen, customers=with_attributes(varied(seen.customers)))


def with_attributes(customers: pl.DataFrame) -> pl.DataFrame:
    """VIP and APP: 0 or 1; AGE: 20 to 79; by the name of the customer."""
    drawn = pl.col("customer_id").hash(1)
    return customers.with_columns(
        (drawn % 2).cast(pl.Float64).alias(VIP),
        (drawn // 2 % 2).cast(pl.Float64).alias(APP),
        (20 + drawn // 4 % 60).cast(pl.Float64).alias(AGE),
    )


def has(attribute: str) -> Flags:
    """Rows whose customer has it."""
    return (rows().customers[attribute] > 0.0).to_numpy()


def is_of_middle_age() -> Flags:
    """Rows of the middle half of ages: a straight line through all ages says nothing of them."""
    return rows().customers[AGE].is_between(35, 65, closed="left").to_numpy()


def exactly_one() -> Flags:
    """Rows whose customer has one of the attributes and not the other: of which neither says anything by itself."""
    return np.not_equal(has(VIP), has(APP))


def came(logs: Floats, busy: float = BUSY, seed: int = 1) -> PieceRows:
    """The rows with purchases as the process expects them times factors, one per row, and `busy` times as many."""
    mean = busy * rows().expected * np.exp(logs)[:, np.newaxis]
    drawn = np.random.default_rng(seed).poisson(mean).astype(np.float64)
    return replace(rows(), expected=busy * rows().expected, came=np.where(np.isfinite(rows().came), drawn, np.nan))


def log_factors(correction: Correction, of: PieceRows) -> Floats:
    """What a correction says of rows."""
    return correction.log_factors(of.customers, of.alive, of.expected, of.days)
