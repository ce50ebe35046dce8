"""What moves the forecasts: permutation importance of facts about customers, with the direction they push.

Breiman 2001 (Machine Learning 45, sec. 10), model-agnostic as in Fisher, Rudin & Dominici 2019 (JMLR 20, 177): on a
window that the fit has never seen, customers swap one fact with each other; what the error gains is what the forecasts
owe to it. Facts that say much the same share their importance, so a small one may only mean that another stands in.
Beside it the coefficients of linear models, which say it for their own forecasts.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date

import numpy as np
import polars as pl

from clv_pipeline.evaluation.scores import Integers
from clv_pipeline.forecasting.frames import Floats, floats
from clv_pipeline.forecasting.protocol import (
    ATTRIBUTE_PREFIX,
    EVENT_PREFIX,
    PAST_DAYS,
    FittedModel,
    Model,
    TrainingData,
)

REPEATS = 5
CUSTOMERS = 2_500
"""Customers of the holdout window that the importance is measured on at most."""

AGREEMENT = 1 / 3
"""Forecasts move `up` with a fact when two thirds of the money that swaps move goes its way: 2/3 - 1/3."""

_SEED = 20_240_901

_WINDOWS = (*(f"{days}_days" for days in reversed(PAST_DAYS)), "last_window")

FACTS: Mapping[str, tuple[str, ...]] = {
    "days_since_last": ("days_since_last",),
    "frequency": ("frequency", "recency_days", "orders", "mean_gap_days", "gap_deviation_days"),
    "spend_per_purchase": ("repeat_spend", "first_spend"),
    "recent_activity": (*(f"spend_{window}" for window in _WINDOWS), *(f"purchases_{window}" for window in _WINDOWS)),
    "same_window_last_year": ("spend_same_window_last_year", "purchases_same_window_last_year"),
    "basket_size": ("lines_per_order",),
    "product_breadth": ("products",),
    "country": ("country",),
}
"""Columns that state one fact together and are swapped together; the first gives the direction.

Swapped customers are possible ones, because what follows from the facts is made to follow: tenure T = t_x + days since
the last purchase, the day of the first one, and money: revenue = first_spend + frequency × monetary_value.
first_spend is what the first purchase day brought; repeat_spend is monetary_value, or first_spend of who has not come
back, in whose place a repeat purchase would bring as much.
"""

DRIVERS_SCHEMA = pl.Schema(
    {
        "horizon_days": pl.Int64,
        "feature": pl.String,
        "model": pl.String,
        "cutoff": pl.Date,
        "customers": pl.Int64,
        "importance": pl.Float64,
        "importance_deviation": pl.Float64,
        "direction": pl.String,
    }
)
COEFFICIENTS_SCHEMA = pl.Schema(
    {
        "horizon_days": pl.Int64,
        "model": pl.String,
        "target": pl.String,
        "feature": pl.String,
        "coefficient": pl.Float64,
        "cutoff": pl.Date,
    }
)


def find_drivers(
    champions: Mapping[int, Model],
    windows: pl.DataFrame,
    *,
    training_for: Callable[[date, Sequence[int]], TrainingData],
    customers_for: Callable[[date, int], pl.DataFrame],
    outcomes_for: Callable[[date, int], pl.DataFrame],
) -> pl.DataFrame:
    """Measure the drivers of every horizon's champion on its latest backtest window, in DRIVERS_SCHEMA.

    `champions`: by horizon (days); `windows`: those of `plan_windows`; the callables hand over frames as for
    `backtest`. The champion is fitted as of the window's cutoff. A horizon without a backtest window, or whose champion
    cannot forecast it from there, has no rows.
    """
    by_fit: dict[tuple[date, str], list[int]] = defaultdict(list)
    for horizon, cutoff in _latest_cutoffs(windows).items():
        if horizon in champions:
            by_fit[cutoff, champions[horizon].name].append(horizon)
    frames = [pl.DataFrame(schema=DRIVERS_SCHEMA)]
    for (cutoff, _), horizons in by_fit.items():
        fitted = champions[horizons[0]].fit(training_for(cutoff, horizons), horizons)
        frames += [
            permutation_importance(fitted, customers_for(cutoff, horizon), outcomes_for(cutoff, horizon), horizon)
            for horizon in horizons
            if fitted.can_forecast(horizon)
        ]
    return pl.concat(frames).sort("horizon_days", "importance", "feature", descending=[False, True, False])


def permutation_importance(
    fitted: FittedModel, customers: pl.DataFrame, outcomes: pl.DataFrame, horizon_days: int
) -> pl.DataFrame:
    """Importance and direction of every fact, in DRIVERS_SCHEMA.

    `customers`: a customers frame of one cutoff; `outcomes`: customer_id and actual_spend of at least these. Of more
    than CUSTOMERS a seeded sample is taken; facts that are known of nobody are left out. Importance is the mean, over
    REPEATS seeded permutations, of the gain in normalized MAE of spend (scores.py); null when nothing was spent.

    The direction compares each customer's forecast with the one after a swap. `up`: at least two thirds of the money
    that swaps move goes up where the fact's value goes up, and down where it goes down; `down`: the opposite; `mixed`:
    neither, or categories, which have no order; `none`: no forecast moves.
    """
    known = _sample(customers).join(
        outcomes.select("customer_id", "actual_spend"),
        on="customer_id",
        how="left",
        maintain_order="left",
        validate="1:1",
    )
    if missing := known["actual_spend"].null_count():
        raise ValueError(f"{missing} customers have no outcome for {horizon_days} days")
    actual = floats(known, "actual_spend")
    frame = _with_spend_per_purchase(known.drop("actual_spend"))
    forecast = _spend(fitted, frame, horizon_days)
    error = _normalized_mae(forecast, actual)
    orders = [np.random.default_rng([_SEED, repeat]).permutation(frame.height) for repeat in range(REPEATS)]
    rows = []
    for fact, columns in _facts_of(frame).items():
        swapped = pl.concat([_swapped(frame, order, columns) for order in orders])
        moved = _spend(fitted, swapped, horizon_days).reshape(REPEATS, frame.height)
        gains = np.array([_normalized_mae(after, actual) for after in moved]) - error
        direction = _direction((moved - forecast).ravel(), _rises(frame, swapped, columns[0]))
        rows.append((fact, float(gains.mean()), float(gains.std(ddof=1)), direction))
    shape = {name: DRIVERS_SCHEMA[name] for name in ("feature", "importance", "importance_deviation", "direction")}
    return (
        pl.DataFrame(rows, schema=shape, orient="row")
        .with_columns(
            pl.col("importance", "importance_deviation").fill_nan(None),
            horizon_days=pl.lit(horizon_days),
            model=pl.lit(fitted.report.model),
            cutoff=pl.lit(fitted.report.as_of),
            customers=pl.lit(frame.height),
        )
        .select(DRIVERS_SCHEMA.names())
        .cast(DRIVERS_SCHEMA)
    )


def _sample(customers: pl.DataFrame) -> pl.DataFrame:
    """At most CUSTOMERS, by customer, whatever the order of the rows."""
    ordered = customers.sort("customer_id")
    if ordered.height <= CUSTOMERS:
        return ordered
    chosen = np.random.default_rng(_SEED).permutation(ordered.height)[:CUSTOMERS]
    return ordered[np.sort(chosen)]


def _facts_of(frame: pl.DataFrame) -> dict[str, tuple[str, ...]]:
    """The facts of this frame with their columns, the optional ones too; without those that are known of nobody."""
    events: dict[str, list[str]] = defaultdict(list)
    for column in frame.columns:
        if column.startswith(EVENT_PREFIX):
            events[column.rpartition(":")[0]].append(column)
    facts = {
        **FACTS,
        **{column: (column,) for column in frame.columns if column.startswith(ATTRIBUTE_PREFIX)},
        **{event: tuple(columns) for event, columns in events.items()},
    }
    return {
        fact: columns
        for fact, columns in facts.items()
        if any(frame[column].null_count() < frame.height for column in columns)
    }


def _with_spend_per_purchase(customers: pl.DataFrame) -> pl.DataFrame:
    """The customers frame with first_spend and repeat_spend."""
    first = pl.col("revenue") - pl.col("frequency") * pl.col("monetary_value")
    repeat = pl.when(pl.col("frequency") > 0).then("monetary_value").otherwise(first)
    return customers.with_columns(first_spend=first, repeat_spend=repeat)


def _swapped(frame: pl.DataFrame, order: Integers, columns: tuple[str, ...]) -> pl.DataFrame:
    """Every customer with the fact of another, and what follows from it."""
    swapped = frame.with_columns(frame.select(columns)[order])
    tenure = pl.col("recency_days") + pl.col("days_since_last")
    follows = {"tenure_days": tenure, "first_purchase_date": pl.col("cutoff") - pl.duration(days=tenure)}
    # Money does not follow to the last digit, and must not change where another fact was swapped.
    if {"frequency", "repeat_spend"} & set(columns):
        value = pl.when(pl.col("frequency") > 0).then("repeat_spend").otherwise(0.0)
        follows |= {"monetary_value": value, "revenue": pl.col("first_spend") + pl.col("frequency") * value}
    return swapped.with_columns(**follows).cast({column: frame.schema[column] for column in follows})


def _spend(fitted: FittedModel, customers: pl.DataFrame, horizon_days: int) -> Floats:
    asked = customers.drop("first_spend", "repeat_spend")
    return floats(fitted.forecast(asked, horizon_days), "expected_spend")


def _normalized_mae(forecast: Floats, actual: Floats) -> float:
    total = float(actual.sum())
    return float(np.abs(forecast - actual).sum()) / total if total > 0.0 else np.nan


def _rises(frame: pl.DataFrame, swapped: pl.DataFrame, column: str) -> Floats:
    """Of every swap: 1 where the value rises, -1 where it falls, 0 where it does not or one of the two is unknown."""
    if not frame.schema[column].is_numeric():
        return np.zeros(swapped.height)
    before = pl.concat([frame[column]] * REPEATS).cast(pl.Float64)
    return (swapped[column].cast(pl.Float64) - before).sign().fill_null(0.0).to_numpy()


def _direction(change: Floats, rises: Floats) -> str:
    if not change.any():
        return "none"
    total = float(np.abs(change[rises != 0.0]).sum())
    agreement = float((rises * change).sum()) / total if total > 0.0 else 0.0
    return "up" if agreement >= AGREEMENT else "down" if agreement <= -AGREEMENT else "mixed"


def linear_coefficients(fits: pl.DataFrame, windows: pl.DataFrame) -> pl.DataFrame:
    """The coefficients that fits report as of each horizon's latest backtest cutoff, in COEFFICIENTS_SCHEMA.

    `fits`: model, as_of, parameters (the report's, as JSON). Of a report's horizons, every part with an `intercept` is
    one linear predictor. Coefficients are per standard deviation of the feature as the model takes it.
    """
    rows: list[tuple[object, ...]] = []
    for horizon, cutoff in _latest_cutoffs(windows).items():
        for model, parameters in fits.filter(as_of=cutoff).sort("model").select("model", "parameters").iter_rows():
            for target, coefficients in _linear_parts(json.loads(parameters), horizon):
                rows.extend((horizon, model, target, name, value, cutoff) for name, value in coefficients.items())
    return pl.DataFrame(rows, schema=COEFFICIENTS_SCHEMA, orient="row")


def _latest_cutoffs(windows: pl.DataFrame) -> dict[int, date]:
    """Per horizon, the cutoff of the latest backtest window."""
    backtests = windows.filter("is_backtest").sort("horizon_days", "cutoff")
    return dict(backtests.select("horizon_days", "cutoff").iter_rows())


def _linear_parts(parameters: Mapping[str, object], horizon_days: int) -> Iterator[tuple[str, Mapping[str, float]]]:
    horizons = parameters.get("horizons")
    parts = horizons.get(str(horizon_days), {}) if isinstance(horizons, dict) else {}
    for target, part in parts.items():
        if isinstance(part, dict) and "intercept" in part:
            yield target, part
