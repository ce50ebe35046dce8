"""Rolling-origin backtests: the windows, and the loop that fits and forecasts as of their cutoffs.

The split is by date, never by random customers: a model sees days up to the cutoff, and its holdout is (cutoff, cutoff
+ h].
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import product
from math import ceil

import numpy as np
import polars as pl

from clv_pipeline.evaluation.drivers import DRIVERS_SCHEMA, permutation_importance
from clv_pipeline.forecasting.ground import Ground, one_thread
from clv_pipeline.forecasting.outlook import WEEKS_SCHEMA, weeks_ahead
from clv_pipeline.forecasting.paths import Paths
from clv_pipeline.forecasting.protocol import (
    OUTCOME_COLUMNS,
    PIECES_DAYS,
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
        "is_served": pl.Boolean,
        "is_complete": pl.Boolean,
        "is_backtest": pl.Boolean,
        "is_sampled": pl.Boolean,
    }
)
BACKTEST_SCHEMA = pl.Schema(
    {
        "cutoff": pl.Date,
        "horizon_days": pl.Int64,
        "model": pl.String,
        "customer_id": pl.String,
        "frequency": pl.Int64,
        "tenure_days": pl.Int64,
        **dict.fromkeys(
            ("expected_purchases", "expected_spend", "p_purchase", "p_alive", *OUTCOME_COLUMNS), pl.Float64
        ),
    }
)
MINIMUM_HISTORY_DAYS = 28
STEP_DAYS = 30
"""Days between the cutoffs of a plan."""
MAXIMUM_CUTOFFS = 30
"""Most cutoffs of a plan, unless its backtests need more."""


@dataclass(frozen=True)
class Skipped:
    """A model that could not be backtested on a window, with the reason."""

    model: str
    cutoff: date
    horizon_days: int
    reason: str


@dataclass(frozen=True)
class Backtest:
    """Forecasts with outcomes (BACKTEST_SCHEMA), one report per fit, what was skipped, drivers (DRIVERS_SCHEMA).

    `weeks`: what the cohort table of each cutoff expected of the weeks after it (WEEKS_SCHEMA).
    """

    forecasts: pl.DataFrame
    reports: list[FitReport]
    skipped: list[Skipped]
    drivers: pl.DataFrame
    weeks: pl.DataFrame


def plan_windows(
    first_day: date,
    as_of: date,
    horizons_days: Sequence[int],
    origins: int,
    backtest_cutoffs: Sequence[date] = (),
) -> pl.DataFrame:
    """Plan the windows to score, to backtest and to train on, by horizon, latest first (WINDOWS_SCHEMA).

    All horizons share the cutoffs, because every distinct cutoff costs a description of all customers. Cutoffs are
    STEP_DAYS apart, back from `as_of`.

    - To score: from `as_of`, each of `horizons_days` (`is_served`); these windows are not complete.
    - To backtest: the same horizons wherever they are complete, from the latest `origins` cutoffs, from the latest
      cutoff at which each horizon is over, and from the days of `backtest_cutoffs`.
    - To train: each of PIECES_DAYS wherever it is complete, from the cutoffs of the backtests and earlier ones,
      MAXIMUM_CUTOFFS in all. Those that are not backtested are `is_sampled`: a sample of customers is enough. Where a
      piece could be learned as of a backtest or `as_of`, but no cutoff has it end at most STEP_DAYS earlier, a cutoff
      is added from which it ends there.

    A past window is left out when the days of history up to and including its cutoff are fewer than max(28, h / 4).

    Raises:
        ValueError: a horizon or the number of origins is below 1, a horizon is repeated, `as_of` lies before
            `first_day`, or a backtest cutoff does not lie before `as_of`.
    """
    if as_of < first_day:
        raise ValueError(f"as_of {as_of} lies before the first day of history {first_day}")
    if origins < 1 or any(horizon < 1 for horizon in horizons_days):
        raise ValueError(f"origins ({origins}) and horizons ({list(horizons_days)}) must be at least 1")
    if len(set(horizons_days)) < len(horizons_days):
        raise ValueError(f"a horizon is repeated: {list(horizons_days)}")
    if late := [str(cutoff) for cutoff in backtest_cutoffs if cutoff >= as_of]:
        raise ValueError(f"backtest cutoffs must lie before as_of {as_of}: {', '.join(late)}")
    history_days = (as_of - first_day).days + 1

    def is_usable(age: int, horizon: int) -> bool:
        """Whether the window that starts this many days before `as_of` is over and has enough history before it."""
        return age >= horizon and history_days - age >= max(MINIMUM_HISTORY_DAYS, horizon / 4)

    tried = {
        *(step * STEP_DAYS for step in range(1, origins + 1)),
        *(ceil(horizon / STEP_DAYS) * STEP_DAYS for horizon in horizons_days),
        *((as_of - cutoff).days for cutoff in backtest_cutoffs),
    }
    ages = {*tried, *(step * STEP_DAYS for step in range(MAXIMUM_CUTOFFS))}
    # Oldest first: a cutoff added for one serves the next.
    for age, piece in product(sorted({0, *tried}, reverse=True), PIECES_DAYS):
        over = age + piece
        if is_usable(over, piece) and not any(
            over <= other <= over + STEP_DAYS and is_usable(other, piece) for other in ages
        ):
            ages.add(over)

    to_score = {(0, horizon) for horizon in horizons_days}
    to_backtest = {window for window in product(tried, horizons_days) if is_usable(*window)}
    to_train = {window for window in product(ages, PIECES_DAYS) if is_usable(*window)} - to_backtest
    rows = [
        (
            as_of - timedelta(days=age),
            horizon,
            as_of + timedelta(days=horizon - age),
            horizon in horizons_days,
            age > 0,
            (age, horizon) in to_backtest,
            (age, horizon) in to_train,
        )
        for age, horizon in {*to_score, *to_backtest, *to_train}
    ]
    return pl.DataFrame(rows, schema=WINDOWS_SCHEMA, orient="row").sort(
        "horizon_days", "cutoff", descending=[False, True]
    )


def backtest(
    models: Sequence[Model],
    windows: pl.DataFrame,
    *,
    training_for: Callable[[date], TrainingData],
    customers_for: Callable[[date, Sequence[int]], pl.DataFrame],
    outcomes_for: Callable[[date, int], pl.DataFrame],
    explained: Collection[tuple[date, int]] = (),
) -> Backtest:
    """Fit every model once per cutoff of the backtest windows, and read its paths at every horizon of that cutoff.

    `windows` are those of `plan_windows`; only rows with `is_backtest` are run. The three callables return frames on
    demand, so that a caller reads from a database cutoff by cutoff: `training_for(cutoff)` and `customers_for(cutoff,
    horizons)` are called once per cutoff, `outcomes_for(cutoff, horizon_days)` once per window. A caller who wants
    smaller results passes the windows of one cutoff at a time. Parts that models share as of a cutoff are learned once
    (`Ground`). A model that cannot forecast a window is skipped with a reason. `explained`: windows, by cutoff and
    horizon, for which the drivers of every family are measured, too; drivers of baselines only where there is no
    family.

    Raises:
        ValueError: a customer has no outcome row. No purchase is an outcome of 0, not a missing row. Only in a shop
            without money is the spend of all customers unknown. Or a model forecasts other customers than it was asked
            for, or in another order.
    """
    families = [model.name for model in models if not model.is_baseline] or [model.name for model in models]
    drivers, weeks = [pl.DataFrame(schema=DRIVERS_SCHEMA)], [pl.DataFrame(schema=WEEKS_SCHEMA)]
    frames: list[pl.DataFrame] = []
    reports: list[FitReport] = []
    skipped: list[Skipped] = []
    chosen = windows.filter(pl.col("is_backtest")).sort("cutoff", "horizon_days")
    for (cutoff,), of_cutoff in chosen.partition_by("cutoff", as_dict=True, maintain_order=True).items():
        horizons = of_cutoff["horizon_days"].to_list()
        training = training_for(cutoff)
        if training.cutoff != cutoff:
            raise ValueError(f"training data as of {training.cutoff} was handed over for the cutoff {cutoff}")
        customers = customers_for(cutoff, horizons)
        outcomes = {
            horizon: _outcomes_of(customers, outcomes_for(cutoff, horizon), f"{horizon} days from {cutoff}")
            for horizon in horizons
        }
        with one_thread():
            ground = Ground(training)
            weeks.append(weeks_ahead(ground.cohorts))
            for model in models:
                fit = model.fit(ground)
                reports.append(fit.report)
                possible = [horizon for horizon in horizons if fit.can_forecast(horizon)]
                name, notes = fit.report.model, fit.report.notes
                skipped += [Skipped(name, cutoff, horizon, notes) for horizon in horizons if horizon not in possible]
                if possible:
                    paths = fit.forecast(customers, possible)
                    paths.require_coherence()
                    told = _beside(paths, customers, outcomes).with_columns(cutoff=pl.lit(cutoff), model=pl.lit(name))
                    frames.append(told.select(BACKTEST_SCHEMA.names()).cast(BACKTEST_SCHEMA))
                asked = [horizon for horizon in possible if (cutoff, horizon) in explained]
                if asked and name in families:
                    came = {horizon: outcomes[horizon] for horizon in asked}
                    drivers.append(permutation_importance(fit, customers, came))
    forecasts = pl.concat(frames) if frames else pl.DataFrame(schema=BACKTEST_SCHEMA)
    return Backtest(forecasts, reports, skipped, pl.concat(drivers), pl.concat(weeks))


def _beside(paths: Paths, customers: pl.DataFrame, outcomes: Mapping[int, pl.DataFrame]) -> pl.DataFrame:
    """The forecasts of these customers beside what was known of them and what came, by position.

    Raises:
        ValueError: the paths are not those of the customers in their order.
    """
    asked = customers["customer_id"]
    if not paths.customer_id.cast(asked.dtype).equals(asked):
        raise ValueError(f"{paths.model} forecasts other customers than asked for, or in another order")
    known = customers.select("frequency", "tenure_days")[np.repeat(np.arange(len(asked)), len(paths.days))]
    came = pl.concat([outcomes[day].select(*OUTCOME_COLUMNS) for day in paths.days])
    by_customer = np.arange(came.height).reshape(len(paths.days), len(asked)).T.ravel()
    return pl.concat([paths.frame(), known, came[by_customer]], how="horizontal")


def _outcomes_of(customers: pl.DataFrame, outcomes: pl.DataFrame, window: str) -> pl.DataFrame:
    require_columns(outcomes, ["customer_id", *OUTCOME_COLUMNS], "outcomes")
    matched = customers.select("customer_id").join(
        outcomes.select("customer_id", *OUTCOME_COLUMNS),
        on="customer_id",
        how="left",
        maintain_order="left",
        validate="1:1",
    )
    has_money = outcomes["actual_spend"].is_not_null().any()
    missing = matched.filter(pl.col("actual_purchases").is_null() | (pl.col("actual_spend").is_null() & has_money))
    if not missing.is_empty():
        example = missing["customer_id"][0]
        raise ValueError(f"{missing.height} customers have no outcome for {window}, e.g. {example}")
    return matched
