"""The drivers of forecasts: permutation importance of facts about customers, with their direction.

Breiman 2001 (Machine Learning 45, sec. 10), model-agnostic as in Fisher, Rudin & Dominici 2019 (JMLR 20, 177): on a
holdout window, customers swap one fact with each other (`facts`); the increase of the loss is the importance of the
fact. The loss is the one that chose the champion (`choice`): it is lowest for the true mean. Losses of medians would
call facts harmful that a forecast of means needs. Similar facts share their importance, so a small one may only mean
that another fact stands in. The coefficients that fits report are here, too.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from clv_pipeline.evaluation.facts import amounts, facts_of, swapped
from clv_pipeline.evaluation.scores import POISSON, TWEEDIE, Outcome
from clv_pipeline.forecasting.frames import Floats, floats
from clv_pipeline.forecasting.protocol import OUTCOME_COLUMNS, PIECES_DAYS, FittedModel

REPEATS = 3
CUSTOMERS = 6_000
"""Most customers of the holdout window that the importance is measured on; more customers help more than more swaps."""

AGREEMENT = 1 / 3
"""Forecasts move `up` with a fact when two thirds of the money moved by swaps agree with its direction: 2/3 - 1/3."""

_SEED = 20_240_901

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

_VALUE_FEATURES = {
    "level": "intercept",
    "own_mean": "own_mean",
    "last": "last_spend_over_own_mean",
    "lines_per_order": "lines_per_order",
}
"""Names of the coefficients of the value of a purchase: in a report, and in the table."""


def permutation_importance(
    fitted: FittedModel, customers: pl.DataFrame, outcomes: Mapping[int, pl.DataFrame]
) -> pl.DataFrame:
    """Importance and direction of every fact at every horizon of `outcomes`, in DRIVERS_SCHEMA.

    `customers`: a customers frame of one cutoff; `outcomes`: by horizon (days) customer_id, actual_purchases and
    actual_spend of at least these. Above CUSTOMERS a seeded sample is taken; facts known of nobody are left out.
    Importance is the mean increase of the loss over REPEATS seeded permutations: half the log of the Tweedie deviance
    of spend and half the log of the Poisson deviance of purchases; null where all outcomes are 0. Both deviances leave
    out the customer with the largest error: one absurd order must not decide what forecasts depend on. A shop without
    money has purchases alone.

    The direction compares each customer's expected spend with that after a swap. `up`: at least two thirds of the money
    moved by swaps goes up where the fact's value goes up, and down where it goes down; `down`: the opposite; `mixed`:
    neither, or categories, which have no order; `none`: no forecast moves.
    """
    frame, horizons = _sample(customers), list(outcomes)
    forecast = _forecast(fitted, frame, horizons)
    came = [_outcomes_of(frame, outcomes[horizon], horizon)[-len(forecast) :] for horizon in horizons]
    losses = _losses(forecast, came)
    is_kept = np.arange(frame.height)[:, None] != losses.argmax(axis=1)[:, None]
    before = _loss(losses, is_kept)
    orders = [np.random.default_rng([_SEED, repeat]).permutation(frame.height) for repeat in range(REPEATS)]
    rows: list[tuple[object, ...]] = []
    for fact, columns in facts_of(frame).items():
        swaps = pl.concat([swapped(frame, fact, columns, order) for order in orders])
        after = _forecast(fitted, swaps, horizons).reshape(len(forecast), REPEATS, frame.height, -1)
        gains = np.array([_loss(_losses(after[:, repeat], came), is_kept) for repeat in range(REPEATS)]) - before
        amount = amounts(swaps, fact, columns).reshape(REPEATS, -1) - amounts(frame, fact, columns)
        rises = np.nan_to_num(np.sign(amount))
        moved = after - forecast[:, None]
        for place, horizon in enumerate(horizons):
            gain = gains[:, place]
            direction = _direction(moved[0, ..., place], rises) if moved[..., place].any() else "none"
            rows.append((horizon, fact, float(gain.mean()), float(gain.std(ddof=1)), direction))
    found = ("horizon_days", "feature", "importance", "importance_deviation", "direction")
    return (
        pl.DataFrame(rows, schema={name: DRIVERS_SCHEMA[name] for name in found}, orient="row")
        .with_columns(
            pl.col("importance", "importance_deviation").fill_nan(None),
            model=pl.lit(fitted.report.model),
            cutoff=pl.lit(fitted.report.as_of),
            customers=pl.lit(frame.height),
        )
        .select(DRIVERS_SCHEMA.names())
        .cast(DRIVERS_SCHEMA)
    )


def _sample(customers: pl.DataFrame) -> pl.DataFrame:
    """At most CUSTOMERS rows, ordered by customer, independent of the order of the input."""
    ordered = customers.sort("customer_id")
    if ordered.height <= CUSTOMERS:
        return ordered
    chosen = np.random.default_rng(_SEED).permutation(ordered.height)[:CUSTOMERS]
    return ordered[np.sort(chosen)]


def _outcomes_of(customers: pl.DataFrame, outcomes: pl.DataFrame, horizon_days: int) -> tuple[Outcome, Outcome]:
    """Actual spend and purchases of these customers.

    Raises:
        ValueError: a customer has no outcome.
    """
    known = customers.select("customer_id").join(
        outcomes.select("customer_id", *OUTCOME_COLUMNS),
        on="customer_id",
        how="left",
        maintain_order="left",
        validate="1:1",
    )
    if missing := known["actual_purchases"].null_count():
        raise ValueError(f"{missing} customers have no outcome for {horizon_days} days")
    return Outcome(floats(known, "actual_spend")), Outcome(floats(known, "actual_purchases"))


def _forecast(fitted: FittedModel, customers: pl.DataFrame, horizons_days: Sequence[int]) -> Floats:
    """Expected spend, if there is money, and expected purchases, shape (targets, customers, horizons).

    Raises:
        ValueError: the fit leaves out purchases, or spend although there is money.
    """
    paths = fitted.forecast(customers, horizons_days)
    has_money = customers["revenue"].is_not_null().any()
    if paths.purchases is None or (paths.spend is None and has_money):
        raise ValueError(f"{paths.model} says nothing of spend or of purchases: there is nothing to explain")
    return np.stack([told for told in (paths.spend, paths.purchases) if told is not None])


def _losses(forecast: Floats, came: Sequence[Sequence[Outcome]]) -> Floats:
    """Tweedie losses of spend and Poisson losses of purchases of each customer, in the shape of the forecast."""
    losses = np.empty_like(forecast)
    deviances = (TWEEDIE, POISSON)[-len(forecast) :]
    for horizon, outcomes in enumerate(came):
        for target, (deviance, outcome) in enumerate(zip(deviances, outcomes, strict=True)):
            losses[target, :, horizon] = deviance.losses(forecast[target, :, horizon], outcome)
    return losses


def _loss(losses: Floats, is_kept: NDArray[np.bool_]) -> Floats:
    """The loss of each horizon, as in the choice of the champion: the mean of the logs of the means; NaN at 0."""
    sums, numbers = np.where(is_kept, losses, 0.0).sum(axis=1), is_kept.sum(axis=1)
    means = np.divide(sums, numbers, out=np.full_like(sums, np.nan), where=(numbers > 0) & (sums > 0.0))
    return np.asarray(np.log(means).sum(axis=0) / len(means), dtype=np.float64)


def _direction(change: Floats, rises: Floats) -> str:
    total = float(np.abs(change[rises != 0.0]).sum())
    agreement = float((rises * change).sum()) / total if total > 0.0 else 0.0
    return "up" if agreement >= AGREEMENT else "down" if agreement <= -AGREEMENT else "mixed"


def linear_coefficients(fits: pl.DataFrame) -> pl.DataFrame:
    """The coefficients that the latest fits report, in COEFFICIENTS_SCHEMA.

    `fits`: model, as_of, parameters (those of the report, as JSON). `purchases`: the individual correction of each
    piece of the horizon. `spend`: the value of a purchase, which is the same in all pieces.
    """
    latest = fits.filter(pl.col("as_of") == pl.col("as_of").max()).sort("model")
    rows = [
        (horizon, model, target, name, value, cutoff)
        for model, cutoff, parameters in latest.select("model", "as_of", "parameters").iter_rows()
        for horizon, target, coefficients in _linear_parts(json.loads(parameters))
        for name, value in coefficients.items()
    ]
    return pl.DataFrame(rows, schema=COEFFICIENTS_SCHEMA, orient="row").sort("horizon_days", maintain_order=True)


def _linear_parts(parameters: Mapping[str, Any]) -> Iterator[tuple[int, str, Mapping[str, float]]]:
    """Horizon, target and coefficients of reports that have them; reports of models from extensions may differ."""
    correction, worth = parameters.get("correction"), parameters.get("value")
    pieces = correction.get("coefficients") if isinstance(correction, dict) else None
    for days in PIECES_DAYS:
        if isinstance(pieces, dict) and str(days) in pieces:
            yield days, "purchases", pieces[str(days)]
        if isinstance(worth, dict) and _VALUE_FEATURES.keys() <= worth.keys():
            yield days, "spend", {name: worth[reported] for reported, name in _VALUE_FEATURES.items()}
