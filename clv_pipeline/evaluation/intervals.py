"""Predictive intervals of spend, per customer and for the total, learned from how past forecasts came out.

A customer's predictive distribution has a point mass at 0 (1 - p_purchase) and a lognormal body (the shape of Wang,
Liu & Miao 2019, arXiv 1912.07753), learned in bins of the forecast. Split-conformal prediction (Vovk, Gammerman &
Shafer 2005, ch. 2) then chooses one nominal level for all, so that the stated share of customers is covered.

Why the nominal level is not the stated one: most customers are quiet. Where nothing comes with more than the stated
probability, the honest interval is [0, 0] and covers more than asked; were all others covered as stated, the mean
over customers would lie well above it. So the others get a little less, but never more than `MISS_LIMIT` times
the stated share of misses: below that, [0, 0] would be told of customers who may well buy. In a shop, or over a
horizon, where nearly nobody buys, the mean coverage therefore stays above the stated level.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import polars as pl
from numpy.typing import NDArray

from clv_pipeline.evaluation.metrics import METRICS_SCHEMA
from clv_pipeline.evaluation.scores import Floats, Integers
from clv_pipeline.forecasting.frames import floats
from clv_pipeline.forecasting.protocol import require_columns

TOTALS_SCHEMA = pl.Schema(
    {
        "horizon_days": pl.Int64,
        "as_of": pl.Date,
        "model": pl.String,
        "expected_spend": pl.Float64,
        "spend_lower": pl.Float64,
        "spend_upper": pl.Float64,
        "interval_level": pl.Float64,
        "cutoffs": pl.Int64,
        "notes": pl.String,
    }
)

MISS_LIMIT = 2.0
"""How many times the stated share of misses a customer's interval may miss, nominally."""

MINIMUM_BUYERS = 30
"""Past buyers without whom no interval is learned."""

_BUYERS_PER_BIN = 100
_BINS = 10
_TINY = 1e-9

INTERVAL_METRICS = ("interval_coverage", "interval_width", "interval_score", "total_covered")


def _require_level(level: float) -> None:
    if not 0.0 < level < 1.0:
        raise ValueError(f"the interval level must lie between 0 and 1, not {level}")


@dataclass(frozen=True)
class SpendIntervals:
    """What intervals of customers are made from: the body's location and scale per bin, and the nominal level.

    log(spend) of a buyer is normal with mean log(forecast + offset) + location and deviation scale of the bin,
    which begins at the forecast in `starts`. The offset, a shop's mean forecast, makes the body relative for large
    forecasts and absolute for small ones.
    """

    level: float
    nominal_level: float
    offset: float
    starts: Floats
    location: Floats
    scale: Floats

    @classmethod
    def learn(cls, past: pl.DataFrame, customers: pl.DataFrame, level: float) -> SpendIntervals | None:
        """Learn intervals for `customers` from past forecasts (expected_spend, p_purchase, actual_spend) of others.

        All cutoffs of the past are pooled. `customers` (p_purchase) are those to whom the level refers, or a sample of
        them: past customers count as often as makes them alike in p_purchase (conformal prediction under covariate
        shift: Tibshirani, Foygel Barber, Candès & Ramdas 2019, NeurIPS 32), because the share of quiet customers grows
        with a shop's age.

        None when fewer than `MINIMUM_BUYERS` of the past customers spent anything, or there are no customers.
        ValueError unless 0 < level < 1.
        """
        _require_level(level)
        require_columns(past, ["expected_spend", "p_purchase", "actual_spend"], "past forecasts")
        forecast, spent = floats(past, "expected_spend"), floats(past, "actual_spend")
        bought = spent > 0.0
        if bought.sum() < MINIMUM_BUYERS or customers.is_empty():
            return None
        # Where nothing was forecast for anybody, there is no scale of money but that of the outcomes.
        offset = float(forecast.mean()) or float(spent.mean())
        starts = _bin_starts(np.sort(forecast[bought]))
        deviation = np.log(spent[bought] / (forecast[bought] + offset))
        bins = _bin_of(starts, forecast[bought])
        of_bins = [deviation[bins == i] for i in range(len(starts))]
        location = np.array([values.mean() for values in of_bins])
        # All buyers of a bin may have spent the same; a body of no width has no density.
        scale = np.array([max(float(values.std(ddof=1)), 1e-3) for values in of_bins])
        body = cls(level, level, offset, starts, location, scale)
        p = _probability(past)
        scores = body._scores(forecast, p, spent)
        order = np.argsort(scores, kind="stable")
        covered = np.cumsum(_weights(p, _probability(customers))[order])
        # The finite-sample quantile of split-conformal prediction: the new customer counts as one more.
        place = np.searchsorted(covered, min(level * (len(p) + 1) / len(p), 1.0) * covered[-1])
        found = scores[order][min(int(place), len(p) - 1)]
        nominal = float(np.clip(found, 1.0 - MISS_LIMIT * (1.0 - level), 1.0 - _TINY))
        return cls(level, nominal, offset, starts, location, scale)

    def bounds(self, customers: pl.DataFrame) -> tuple[Floats, Floats]:
        """Lower and upper ends of spend for customers with expected_spend and p_purchase, row by row."""
        forecast, p = floats(customers, "expected_spend"), _probability(customers)
        two_sided, tail = self._is_two_sided(p), 0.5 * (1.0 - self.nominal_level)
        lower = np.where(two_sided, self._quantile(forecast, p, tail), 0.0)
        upper = self._quantile(forecast, p, np.where(two_sided, 1.0 - tail, self.nominal_level))
        return lower, upper

    def _is_two_sided(self, p: Floats) -> NDArray[np.bool_]:
        """Whether a customer is so sure to buy that 0 belongs to the lower tail that is left out."""
        return 1.0 - p < 0.5 * (1.0 - self.level)

    def _scores(self, forecast: Floats, p: Floats, spent: Floats) -> Floats:
        """The smallest nominal level whose interval holds what was spent."""
        from scipy.special import ndtr

        location, scale = self._body(forecast)
        bought = spent > 0.0
        standardised = (np.log(np.where(bought, spent, 1.0)) - location) / scale
        below = np.where(bought, 1.0 - p + p * ndtr(standardised), 1.0 - p)
        one_sided = np.where(bought, below, 0.0)
        # The lower end is 0, and holds those who spent nothing, once the tail left out is no larger than P(nothing).
        central = np.where(bought, np.abs(2.0 * below - 1.0), 1.0 - 2.0 * (1.0 - p))
        return np.where(self._is_two_sided(p), central, one_sided)

    def _quantile(self, forecast: Floats, p: Floats, share: Floats | float) -> Floats:
        from scipy.special import ndtri

        location, scale = self._body(forecast)
        within_body = (share - (1.0 - p)) / p
        body = np.exp(location + scale * ndtri(np.clip(within_body, _TINY, 1.0 - _TINY)))
        return np.where(within_body > 0.0, body, 0.0)

    def _body(self, forecast: Floats) -> tuple[Floats, Floats]:
        bins = _bin_of(self.starts, forecast)
        return np.log(forecast + self.offset) + self.location[bins], self.scale[bins]


def _probability(frame: pl.DataFrame) -> Floats:
    """p_purchase kept from certainty: a rule that says never or always is not that sure."""
    return np.clip(floats(frame, "p_purchase"), 1e-3, 1.0 - 1e-3)


def _weights(past: Floats, customers: Floats) -> Floats:
    """How often each past customer counts, so that all of them are as likely to buy as the customers, by tenths."""
    edges = np.unique(np.quantile(past, np.linspace(0.1, 0.9, 9)))
    tenth_of_past, tenth_of_customers = (np.searchsorted(edges, p, side="right") for p in (past, customers))
    counts_past, counts = (np.bincount(t, minlength=len(edges) + 1) for t in (tenth_of_past, tenth_of_customers))
    return np.asarray((counts / np.maximum(counts_past, 1))[tenth_of_past], dtype=np.float64)


def _bin_starts(sorted_forecasts: Floats) -> Floats:
    """Where bins of about equally many buyers begin, the first at 0; equal forecasts share a bin."""
    bins = int(np.clip(len(sorted_forecasts) // _BUYERS_PER_BIN, 1, _BINS))
    cuts = np.round(np.linspace(0, len(sorted_forecasts), bins + 1)[1:-1]).astype(np.intp)
    # A cut moves down to the first of equal forecasts; bins that ties have made too small join the one below.
    firsts: Integers = np.unique(np.searchsorted(sorted_forecasts, sorted_forecasts[cuts], side="left"))
    kept = [0]
    for first in firsts.tolist():
        if min(first - kept[-1], len(sorted_forecasts) - first) >= _BUYERS_PER_BIN // 2:
            kept.append(first)
    return np.array([0.0, *sorted_forecasts[kept[1:]]])


def _bin_of(starts: Floats, forecast: Floats) -> Integers:
    return np.searchsorted(starts, forecast, side="right") - 1


@dataclass(frozen=True)
class TotalInterval:
    """The interval of what all customers spend together: factors on the expected total, and what they rest on."""

    lower_factor: float | None
    upper_factor: float | None
    cutoffs: int
    notes: str

    @classmethod
    def learn(cls, past: pl.DataFrame, customers: int, level: float) -> TotalInterval:
        """Learn from backtest forecasts (cutoff, expected_spend, actual_spend) for a total of so many customers.

        The log ratio of actual to forecast totals is taken to be normal around 0: a bias of the past is an error
        like any other, because seasons change its sign. Its variance is the mean square over the k cutoffs, at least
        the variance that customers' independent deviations give the sum (what a bootstrap over customers would
        find), and the interval is exp(± t_k × deviation), Student's t with k degrees of freedom. Null factors when
        there is no past total to compare with. ValueError unless 0 < level < 1.
        """
        from scipy.stats import t

        _require_level(level)
        require_columns(past, ["cutoff", "expected_spend", "actual_spend"], "past forecasts")
        windows = (
            past.group_by("cutoff")
            .agg(
                pl.col("expected_spend", "actual_spend").sum(),
                (
                    (pl.col("actual_spend") - pl.col("expected_spend")).var(ddof=0)
                    / pl.col("expected_spend").mean() ** 2
                ).alias("dispersion"),
            )
            .filter(pl.col("expected_spend") > 0.0, pl.col("actual_spend") > 0.0)
            .sort("cutoff")
        )
        if windows.is_empty() or customers == 0:
            return cls(None, None, 0, "No interval: there is no past total to compare a forecast with.")
        errors = np.log(floats(windows, "actual_spend") / floats(windows, "expected_spend"))
        of_customers = float(floats(windows, "dispersion").mean()) / customers
        deviation = math.sqrt(max(float(np.mean(errors**2)), of_customers))
        reach = float(t.ppf(0.5 * (1.0 + level), df=len(errors))) * deviation
        came = ", ".join(f"{math.expm1(-error):+.0%}" for error in errors)
        notes = (
            f"From {len(errors)} past total{'s' if len(errors) > 1 else ''}, forecast with errors of {came}; "
            f"customers' own scatter alone makes ±{math.sqrt(of_customers):.1%} (one deviation)."
        )
        if len(errors) < 2:
            notes += " One past error says little; the interval is as wide as that demands."
        return cls(math.exp(-reach), math.exp(reach), len(errors), notes)


def add_intervals(forecasts: pl.DataFrame, intervals: SpendIntervals | None) -> pl.DataFrame:
    """Add spend_lower, spend_upper and interval_level to forecasts (expected_spend, p_purchase); null without.

    The expected spend is a mean and may lie above the interval where most buy nothing and few buy much.
    """
    if intervals is None:
        columns = ("spend_lower", "spend_upper", "interval_level")
        return forecasts.with_columns(pl.lit(None, pl.Float64).alias(column) for column in columns)
    lower, upper = intervals.bounds(forecasts)
    return forecasts.with_columns(
        pl.Series("spend_lower", lower, dtype=pl.Float64),
        pl.Series("spend_upper", upper, dtype=pl.Float64),
        pl.lit(intervals.level).alias("interval_level"),
    )


def forecast_totals(served: pl.DataFrame, past: Mapping[int, pl.DataFrame], level: float) -> pl.DataFrame:
    """What all customers together are expected to spend per horizon, with an interval; in TOTALS_SCHEMA.

    `served`: one row per horizon: horizon_days, as_of, model, expected_spend (of all customers), customers (their
    number); `past`: per horizon the backtest forecasts of its model (see `TotalInterval.learn`).
    """
    rows = []
    for total in served.sort("horizon_days").iter_rows(named=True):
        horizon, expected = total["horizon_days"], total["expected_spend"]
        interval = TotalInterval.learn(past[horizon], total["customers"], level)
        lower, upper = (factor and expected * factor for factor in (interval.lower_factor, interval.upper_factor))
        stated = None if lower is None else level
        rows.append(
            (horizon, total["as_of"], total["model"], expected, lower, upper, stated, interval.cutoffs, interval.notes)
        )
    return pl.DataFrame(rows, schema=TOTALS_SCHEMA, orient="row")


def with_probability_of(forecasts: pl.DataFrame, purchase_model: str) -> pl.DataFrame:
    """Backtest forecasts of spend, with p_purchase as `purchase_model` gives it for the same window and customer.

    This is what is served: spend by one model, the probability by another. Rows that lack either are left out.
    """
    key = ["cutoff", "horizon_days", "customer_id"]
    probability = forecasts.filter(pl.col("model") == purchase_model).select(*key, "p_purchase")
    return (
        forecasts.drop("p_purchase")
        .join(probability, on=key, how="left", maintain_order="left")
        .drop_nulls(["expected_spend", "p_purchase"])
    )


def interval_metrics(forecasts: pl.DataFrame, level: float) -> pl.DataFrame:
    """How well intervals would have held that were learned before each cutoff, as rows of METRICS_SCHEMA.

    `forecasts`: those of `with_probability_of`. An interval at a cutoff is learned from the windows of the model
    that had ended by then; values are null where there was none. Over customers: the share covered, the mean width,
    and the mean interval score (Gneiting & Raftery 2007, J. Am. Stat. Assoc. 102, eq. 43: width plus 2 / (1 - level)
    times what a miss lies outside); of the total: 1 when its interval held it, else 0.
    """
    ordered = forecasts.sort("cutoff", "horizon_days", "model", "customer_id")
    return pl.DataFrame(list(_interval_rows(ordered, level)), schema=METRICS_SCHEMA, orient="row")


def _interval_rows(forecasts: pl.DataFrame, level: float) -> Iterator[Sequence[object]]:
    for (horizon, model), windows in forecasts.partition_by(
        "horizon_days", "model", as_dict=True, maintain_order=True
    ).items():
        for (cutoff,), window in windows.partition_by("cutoff", as_dict=True, maintain_order=True).items():
            past = windows.filter(pl.col("cutoff") + timedelta(days=horizon) <= cutoff)
            for metric, value in zip(INTERVAL_METRICS, _judge(past, window, level), strict=True):
                yield cutoff, horizon, model, "spend", metric, value, None, None, window.height


def _judge(past: pl.DataFrame, window: pl.DataFrame, level: float) -> Sequence[float | None]:
    """The INTERVAL_METRICS of one window."""
    spent = floats(window, "actual_spend")
    judged: list[float | None] = [None, None, None]
    if (learned := SpendIntervals.learn(past, window, level)) is not None:
        lower, upper = learned.bounds(window)
        outside = np.maximum(lower - spent, 0.0) + np.maximum(spent - upper, 0.0)
        judged = [
            float(np.mean(outside == 0.0)),
            float(np.mean(upper - lower)),
            float(np.mean(upper - lower + 2.0 / (1.0 - level) * outside)),
        ]
    total = TotalInterval.learn(past, window.height, level)
    if total.lower_factor is None or total.upper_factor is None:
        return [*judged, None]
    expected = float(floats(window, "expected_spend").sum())
    held = total.lower_factor * expected <= spent.sum() <= total.upper_factor * expected
    return [*judged, float(held)]
