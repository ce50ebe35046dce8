"""Drift between two runs: the population stability index of customers and of their forecasts."""

from collections.abc import Sequence
from datetime import date

import numpy as np
import polars as pl

from clv_pipeline.forecasting.frames import Floats, floats

BINS = 10
NOTED, DRIFTED = 0.1, 0.25
"""A shift is `noted`, and a measure has `drifted`, from these values on (Siddiqi 2006)."""

CUSTOMERS_PER_BIN = 50
"""Customers per bin at least, so that fewer customers have fewer bins: by chance alone, the index of two samples of n
customers is 2 (bins - 1) / n.
"""

DRIFT_SCHEMA = pl.Schema(
    {
        "measure": pl.String,
        "horizon_days": pl.Int64,
        "previous_as_of": pl.Date,
        "as_of": pl.Date,
        "previous_customers": pl.Int64,
        "customers": pl.Int64,
        "psi": pl.Float64,
        "level": pl.String,
    }
)


def population_stability_index(reference: Floats, current: Floats) -> float:
    """Σ (a - e) ln(a / e) over bins, where e and a are the shares of reference and current values in them.

    Siddiqi 2006, "Credit Risk Scorecards", ch. 9; it is Jeffreys' symmetric divergence. 0 for equal shares, never
    negative. There are at most BINS bins, cut at the quantiles of the reference, with about CUSTOMERS_PER_BIN values or
    more in each; one more bin holds values below the whole reference. Each bin counts half a value more than it holds,
    so that an empty one has a logarithm.

    Raises:
        ValueError: either side is empty.
    """
    if len(reference) == 0 or len(current) == 0:
        raise ValueError("the index compares two populations; one of them is empty")
    bins = int(np.clip(len(reference) // CUSTOMERS_PER_BIN, 1, BINS))
    cuts = np.quantile(reference, np.linspace(0.0, 1.0, bins + 1)[1:-1], method="inverted_cdf")
    # A bin includes its upper cut, so that equal values share a bin.
    ends = np.unique([np.nextafter(reference.min(), -np.inf), *cuts])

    def shares(values: Floats) -> Floats:
        counts = np.bincount(np.searchsorted(ends, values, side="left"), minlength=len(ends) + 1) + 0.5
        return np.asarray(counts / counts.sum(), dtype=np.float64)

    expected, actual = shares(reference), shares(current)
    return float(((actual - expected) * np.log(actual / expected)).sum())


def drift(before: pl.DataFrame, now: pl.DataFrame, measures: Sequence[str], horizon_days: int | None) -> pl.DataFrame:
    """The index of every measure between two snapshots, in DRIFT_SCHEMA.

    `before` and `now`: as_of and customers (one value each: the day, and the number of customers), and the measures of
    all customers or of a sample; nulls are left out. `horizon_days`: the horizon of the forecast that is measured, or
    None. Without customers on either side there are no rows.
    """
    rows: list[tuple[object, ...]] = []
    for measure in measures:
        reference, current = floats(before.drop_nulls(measure), measure), floats(now.drop_nulls(measure), measure)
        if len(reference) == 0 or len(current) == 0:
            continue
        index = population_stability_index(reference, current)
        days: list[date] = [frame["as_of"][0] for frame in (before, now)]
        customers: list[int] = [frame["customers"][0] for frame in (before, now)]
        rows.append((measure, horizon_days, *days, *customers, index, level_of(index)))
    return pl.DataFrame(rows, schema=DRIFT_SCHEMA, orient="row")


def level_of(index: float) -> str:
    """The level of an index: `stable`, `noted` or `drifted`."""
    return "drifted" if index > DRIFTED else "noted" if index > NOTED else "stable"
