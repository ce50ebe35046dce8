"""Rolling-origin backtests: the windows, and the driver that fits and forecasts as of their cutoffs.

Split by date, never by random customers: a model sees days up to the cutoff, and is judged on (cutoff, cutoff
+ h].
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import polars as pl

from clv_pipeline.forecasting.frames import FORECAST_SCHEMA
from clv_pipeline.forecasting.protocol import (
    OUTCOME_COLUMNS,
    FitReport,
    Model,
    TrainingData,
    require_columns,
)

WINDOWS_SCHEMA = pl.Schema(
    {
        "cutoff": pl.Date,
        "horizon_days": pl.Int64,
        "outcome_ends": pl.Date,
        "is_complete": pl.Boolean,
        "is_backtest": pl.Boolean,
        "is_sampled": pl.Boolean,
    }
)
BACKTEST_SCHEMA = pl.Schema(
    [
        ("cutoff", pl.Date),
        ("horizon_days", pl.Int64),
        ("model", pl.String),
        *FORECAST_SCHEMA.items(),
        ("actual_purchases", pl.Float64),
        ("actual_spend", pl.Float64),
    ]
)
MINIMUM_HISTORY_DAYS = 28
STEP_DAYS = 30
"""Days between the cutoffs of training windows."""
NEAR_DAYS = 10
"""A cutoff this little older than the best one serves as well, and is not worth another."""
MAXIMUM_CUTOFFS = 30
"""Distinct cutoffs of a plan at most, unless the backtests alone need more."""


@dataclass(frozen=True)
class Skipped:
    """A model that could not be backtested on a window, and why."""

    model: str
    cutoff: date
    horizon_days: int
    reason: str


@dataclass(frozen=True)
class Backtest:
    """Forecasts with outcomes (BACKTEST_SCHEMA), one report per fit, and what was skipped."""

    forecasts: pl.DataFrame
    reports: list[FitReport]
    skipped: list[Skipped]


def plan_windows(
    first_day: date,
    as_of: date,
    horizons_days: Sequence[int],
    folds: int,
    backtest_cutoffs: Sequence[date] | None = None,
) -> pl.DataFrame:
    """Plan the windows to score, to backtest and to train on, by horizon, latest first (WINDOWS_SCHEMA).

    To score: per horizon h one window from `as_of`, not complete. To backtest: per horizon `folds` windows with
    cutoffs `as_of` - k h, which end where the next begins; or, where `backtest_cutoffs` are given, one from each
    of them whose window is complete. To train: windows of every horizon from every cutoff of the plan at which
    they are complete; those that are not backtested too are `is_sampled`: a sample of customers will do.

    Every distinct cutoff costs a description of all customers, so all horizons and backtests share the cutoffs.
    Fixed are `as_of`, those of the backtests, and for either the latest window that is over by then (c - h), if
    no other cutoff lies at most NEAR_DAYS before it. Between these and behind the oldest, further cutoffs are
    STEP_DAYS apart, latest first, as long as there is history and the plan has at most MAXIMUM_CUTOFFS.

    A past window is left out when the days of history up to and including its cutoff are fewer than
    max(28, h / 4). ValueError for a horizon or a number of folds below 1, a repeated horizon, `as_of` before
    `first_day`, or a backtest cutoff that does not lie before `as_of`.
    """
    if as_of < first_day:
        raise ValueError(f"as_of {as_of} lies before the first day of history {first_day}")
    if folds < 1 or any(horizon < 1 for horizon in horizons_days):
        raise ValueError(f"folds ({folds}) and horizons ({list(horizons_days)}) must be at least 1")
    if len(set(horizons_days)) < len(horizons_days):
        raise ValueError(f"a horizon is repeated: {list(horizons_days)}")
    if late := [str(cutoff) for cutoff in backtest_cutoffs or () if cutoff >= as_of]:
        raise ValueError(f"backtest cutoffs must lie before as_of {as_of}: {', '.join(late)}")

    def is_usable(cutoff: date, horizon: int) -> bool:
        """Whether this past window is over and has enough history before it."""
        history_days = (cutoff - first_day).days + 1
        return cutoff + timedelta(days=horizon) <= as_of and history_days >= max(MINIMUM_HISTORY_DAYS, horizon / 4)

    def origins(horizon: int) -> Sequence[date]:
        if backtest_cutoffs is not None:
            return backtest_cutoffs
        return [as_of - timedelta(days=k * horizon) for k in range(1, folds + 1)]

    backtests = {
        (cutoff, horizon) for horizon in horizons_days for cutoff in origins(horizon) if is_usable(cutoff, horizon)
    }
    rows = []
    for cutoff in _shared_cutoffs(as_of, horizons_days, backtests, is_usable):
        for horizon in horizons_days:
            if cutoff == as_of or is_usable(cutoff, horizon):
                is_complete, is_backtest = cutoff < as_of, (cutoff, horizon) in backtests
                ends = cutoff + timedelta(days=horizon)
                rows.append((cutoff, horizon, ends, is_complete, is_backtest, is_complete and not is_backtest))
    return pl.DataFrame(rows, schema=WINDOWS_SCHEMA, orient="row").sort(
        "horizon_days", "cutoff", descending=[False, True]
    )


def _shared_cutoffs(
    as_of: date,
    horizons_days: Sequence[int],
    backtests: Collection[tuple[date, int]],
    is_usable: Callable[[date, int], bool],
) -> set[date]:
    """The cutoffs that `plan_windows` describes: the fixed ones, and steps between and behind them."""
    chosen = {as_of, *(cutoff for cutoff, _ in backtests)}
    for cutoff, horizon in sorted({*backtests, *((as_of, horizon) for horizon in horizons_days)}, reverse=True):
        latest_over = cutoff - timedelta(days=horizon)
        near = any(0 <= (latest_over - other).days <= NEAR_DAYS for other in chosen)
        if not near and is_usable(latest_over, horizon):
            chosen.add(latest_over)
    fixed = sorted(chosen)
    shortest = min(horizons_days)
    step = as_of
    while len(chosen) < MAXIMUM_CUTOFFS:
        while fixed and fixed[-1] >= step:
            fixed.pop()
        step -= timedelta(days=STEP_DAYS)
        if fixed and fixed[-1] >= step - timedelta(days=NEAR_DAYS):
            step = fixed[-1]
        elif is_usable(step, shortest):
            chosen.add(step)
        elif step + timedelta(days=shortest) <= as_of:
            break  # No history is left.
    return chosen


def backtest(
    models: Sequence[Model],
    windows: pl.DataFrame,
    *,
    training_for: Callable[[date, Sequence[int]], TrainingData],
    customers_for: Callable[[date, int], pl.DataFrame],
    outcomes_for: Callable[[date, int], pl.DataFrame],
    annual_discount_rate: float = 0.0,
) -> Backtest:
    """Fit every model once per cutoff of the backtest windows and forecast every horizon of that cutoff.

    `windows` are those of `plan_windows`; only rows with `is_backtest` are run. The three callables hand over
    frames when they are needed, so a caller reads from a database cutoff by cutoff: `training_for(cutoff, horizons)`
    once per cutoff,
    `customers_for(cutoff, horizon_days)` and `outcomes_for(cutoff, horizon_days)` once per window. A caller
    who wants smaller results passes the windows of one cutoff at a time. ValueError when a customer has no
    outcome row (no purchase is an outcome of 0, not a missing row). A model that cannot forecast a window is
    skipped with a reason.
    """
    frames: list[pl.DataFrame] = []
    reports: list[FitReport] = []
    skipped: list[Skipped] = []
    chosen = windows.filter(pl.col("is_backtest")).sort("cutoff", "horizon_days")
    for (cutoff,), of_cutoff in chosen.partition_by("cutoff", as_dict=True, maintain_order=True).items():
        horizons = of_cutoff["horizon_days"].to_list()
        training = training_for(cutoff, horizons)
        if training.cutoff != cutoff:
            raise ValueError(f"training data as of {training.cutoff} was handed over for the cutoff {cutoff}")
        fitted = [model.fit(training, horizons) for model in models]
        reports.extend(fit.report for fit in fitted)
        for horizon in horizons:
            customers = customers_for(cutoff, horizon)
            outcomes = _outcomes_of(customers, outcomes_for(cutoff, horizon), f"{horizon} days from {cutoff}")
            for fit in fitted:
                name = fit.report.model
                if not fit.can_forecast(horizon):
                    skipped.append(Skipped(name, cutoff, horizon, fit.report.notes))
                    continue
                forecast = fit.forecast(customers, horizon, annual_discount_rate)
                frames.append(
                    pl.concat([forecast.select(FORECAST_SCHEMA.names()), outcomes], how="horizontal")
                    .with_columns(
                        pl.lit(cutoff).alias("cutoff"),
                        pl.lit(horizon).alias("horizon_days"),
                        pl.lit(name).alias("model"),
                    )
                    .select(BACKTEST_SCHEMA.names())
                    .cast(BACKTEST_SCHEMA)
                )
    forecasts = pl.concat(frames) if frames else pl.DataFrame(schema=BACKTEST_SCHEMA)
    return Backtest(forecasts, reports, skipped)


def _outcomes_of(customers: pl.DataFrame, outcomes: pl.DataFrame, window: str) -> pl.DataFrame:
    require_columns(outcomes, ["customer_id", *OUTCOME_COLUMNS], "outcomes")
    matched = customers.select("customer_id").join(
        outcomes.select("customer_id", *OUTCOME_COLUMNS),
        on="customer_id",
        how="left",
        maintain_order="left",
        validate="1:1",
    )
    missing = matched.filter(pl.col("actual_purchases").is_null() | pl.col("actual_spend").is_null())
    if not missing.is_empty():
        example = missing["customer_id"][0]
        raise ValueError(f"{missing.height} customers have no outcome for {window}, e.g. {example}")
    return matched.select(*OUTCOME_COLUMNS)
