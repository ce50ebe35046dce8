"""Accuracy as served: the whole decision at every past origin, with the knowledge of that day, against the outcome.

The champion, its forecasts and its ranges all come from windows that were complete by the origin. These figures are
quoted for a shop: other tables show how good the models were, this one shows what the shop would have been told.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from clv_pipeline.evaluation.choice import Contender, Evidence, choose
from clv_pipeline.evaluation.metrics import METRICS_SCHEMA, TARGETS, Estimate, bootstrap
from clv_pipeline.evaluation.ranges import PAST_COLUMNS, SpendRanges, thinned
from clv_pipeline.evaluation.scatter import BINS_SCHEMA, binned
from clv_pipeline.evaluation.scores import DECILES, Floats, Integers, Order
from clv_pipeline.evaluation.total_ranges import PAST_TOTALS_COLUMNS, forecast_totals
from clv_pipeline.forecasting.frames import floats
from clv_pipeline.forecasting.protocol import OUTCOME_COLUMNS, require_columns

SERVED_SCHEMA = pl.Schema(
    {
        "cutoff": pl.Date,
        "horizon_days": pl.Int64,
        "model": pl.String,
        "target": pl.String,
        "metric": pl.String,
        "group_kind": pl.String,
        "group_name": pl.String,
        "value": pl.Float64,
        "lower": pl.Float64,
        "upper": pl.Float64,
        "customers": pl.Int64,
    }
)
READ_SCHEMA = pl.Schema(
    [
        ("cutoff", pl.Date),
        ("horizon_days", pl.Int64),
        ("model", pl.String),
        ("customer_id", pl.String),
        ("frequency", pl.Int64),
        ("tenure_days", pl.Int64),
        *dict.fromkeys((*TARGETS.values(), "p_alive", *OUTCOME_COLUMNS), pl.Float64).items(),
    ]
)
"""Columns read from backtest_forecasts."""

ReadBacktest = Callable[[str, date], pl.DataFrame]
"""From a model and a cutoff to its backtest there: the columns of READ_SCHEMA, all horizons."""

DescribeCustomers = Callable[[date], pl.DataFrame]
"""From a cutoff to what was known of the customers then: the columns of DESCRIBED."""

DESCRIBED = ("customer_id", "segment", "country", "revenue")

BEST_SHARE = 0.01
"""Share of best customers that are a group of their own."""

_RULE_METRICS = {
    "spend": ("bias", "mae", "tweedie_skill", "normalized_gini"),
    "purchases": ("bias", "mae", "poisson_skill"),
}
"""Metrics of simple rules: of spend, and in a shop without money of purchases."""

_AGES = ("0-30 days", "31-90 days", "91-365 days", "over 365 days")
_P_CLASSES = tuple(f"{tenth / 10:.1f}-{(tenth + 1) / 10:.1f}" for tenth in range(10))

_COLUMNS = ("expected_spend", "actual_spend", "expected_purchases", "actual_purchases", "p_purchase", "p_alive")
_SUMMED = (
    "customers",
    "spend",
    "spent",
    "error",
    "squared_error",
    "purchases",
    "came",
    "p",
    "bought",
    "brier",
    "alive",
    "inside",
    "width",
    "interval_score",
)
"""Sums from which metrics of groups are computed."""

SMALL_SHARE, SMALL_GROUP = 0.01, 30
"""Groups with a smaller share of the customers, or fewer of them, say nothing by themselves."""

Found = Mapping[tuple[str, str], Estimate]
"""Estimates by target and metric."""


class AsServed(NamedTuple):
    """What would have been served, against the outcome."""

    accuracy: pl.DataFrame
    """Metrics, in SERVED_SCHEMA."""
    bins: pl.DataFrame
    """Customers by forecast and outcome, in BINS_SCHEMA."""


def as_served(
    backtest: ReadBacktest,
    metrics: pl.DataFrame,
    contenders: Sequence[Contender],
    described: DescribeCustomers,
    level: float,
) -> AsServed:
    """What would have been served at every cutoff of the backtest, against the outcome.

    `backtest` returns the forecasts of one model at one cutoff, so that a caller reads from a database piece by piece;
    where one model serves throughout, it is called once per cutoff. `metrics`: the result of `evaluate` for all models;
    `contenders`: the configured models, in their order; `described`: what was known of the customers at a cutoff;
    `level`: the share of customers whose spend should fall into their range.

    At a cutoff the model is the one that `choose` names from windows that were complete by then, or the next in its
    order if that one had no forecast; ranges are learned from the model's windows that were complete by then. Groups:
    all customers; tenths by expected spend (1 highest, equal forecasts shared evenly) and the best 1 %; segments; ages;
    classes of P(buy); countries, where any is known, small ones together; tenths by revenue up to the cutoff, where
    they are large enough. Metrics quoted for all customers have 95 % intervals over customers. `best_rule_…`: the
    simple rule that was best by then, or without evidence the first configured of two; `model` names it. In a shop
    without money purchases take the place of spend.
    """
    require_columns(metrics, METRICS_SCHEMA.names(), "metrics")
    evidence = Evidence.of(metrics)
    judged = "spend" if (metrics["target"] == "spend").any() else "purchases"
    of_target = metrics.filter(pl.col("target") == judged)
    scored: set[tuple[str, date]] = {*of_target.select("model", "cutoff").unique().iter_rows()}
    of_rules = _of_rules(of_target, [contender.name for contender in contenders if contender.is_baseline])
    reader = _Reader(backtest)
    rows: list[tuple[object, ...]] = []
    bins = [pl.DataFrame(schema=BINS_SCHEMA)]
    for cutoff in sorted({cutoff for _, cutoff in scored}):
        choice = choose(evidence, contenders, cutoff)
        model = next((name for name in choice.order if (name, cutoff) in scored), None)
        if model is None:
            continue
        past = reader.past(model, cutoff, sorted(day for name, day in scored if name == model and day < cutoff))
        forecasts = _with_description(reader.at(model, cutoff), described(cutoff))
        for window in _windows(forecasts, past, level):
            horizon, customers = window.horizon_days, window.forecasts.height
            bins.append(binned(cutoff, horizon, judged, *window.judged()))
            rows.extend(
                (cutoff, horizon, model, target, metric, kind, name, known.value, known.lower, known.upper, size)
                for kind, name, size, found in window.groups()
                for (target, metric), known in found.items()
            )
            rule = next((name for name in choice.rules if (cutoff, horizon, name) in of_rules), None)
            for metric, value in of_rules.get((cutoff, horizon, rule), {}).items():
                told = f"best_rule_{metric}"
                rows.append((cutoff, horizon, rule, judged, told, "all", "all", value, None, None, customers))
    return AsServed(pl.DataFrame(rows, schema=SERVED_SCHEMA, orient="row"), pl.concat(bins))


class _Past(NamedTuple):
    """What ranges are learned from: a model's earlier windows."""

    customers: pl.DataFrame
    """Rows for `SpendRanges.learn`, thinned."""
    totals: pl.DataFrame
    """Rows for `TotalRange.learn`."""

    def over_by(self, day: date) -> _Past:
        """The windows that are complete by a day."""
        over = pl.col("cutoff") + pl.duration(days=pl.col("horizon_days")) <= day
        return _Past(self.customers.filter(over), self.totals.filter(over))

    @classmethod
    def of(cls, forecasts: pl.DataFrame) -> _Past:
        """The windows of these forecasts, in READ_SCHEMA."""
        totals = forecasts.group_by("cutoff", "horizon_days").agg(pl.col("expected_spend", "actual_spend").sum())
        return cls(thinned(forecasts), totals.select(PAST_TOTALS_COLUMNS))

    @classmethod
    def together(cls, parts: Sequence[_Past]) -> _Past:
        """All windows of the parts, totals in their order."""
        nothing = pl.DataFrame(schema=READ_SCHEMA)
        none = cls(nothing.select(PAST_COLUMNS), nothing.select(PAST_TOTALS_COLUMNS))
        customers, totals = zip(none, *parts, strict=True)
        return cls(pl.concat(customers), pl.concat(totals).sort("cutoff", "horizon_days"))


class _Reader:
    """Reads the backtests of one model after the other; keeps what ranges are learned from while the model serves."""

    def __init__(self, backtest: ReadBacktest) -> None:
        self._backtest = backtest
        self._model = ""
        self._kept: dict[date, _Past] = {}

    def at(self, model: str, cutoff: date) -> pl.DataFrame:
        """The forecasts of a cutoff."""
        found = self._backtest(model, cutoff)
        require_columns(found, READ_SCHEMA.names(), f"the backtest of {model}")
        found = found.select(READ_SCHEMA.names()).cast(READ_SCHEMA).sort("horizon_days", "customer_id")
        if model != self._model:
            self._model, self._kept = model, {}
        self._kept[cutoff] = _Past.of(found)
        return found

    def past(self, model: str, cutoff: date, earlier: Sequence[date]) -> _Past:
        """What ranges are learned from at a cutoff: windows of earlier cutoffs that were complete by then."""
        for day in earlier:
            if model != self._model or day not in self._kept:
                self.at(model, day)
        return _Past.together([self._kept[day].over_by(cutoff) for day in earlier])


@dataclass(frozen=True)
class _Window:
    """The forecasts of one horizon, with the ranges of customers (spend_lower, spend_upper) and of the total.

    Without money there are no ranges: those columns and `total` are null.
    """

    horizon_days: int
    forecasts: pl.DataFrame
    level: float
    total: tuple[float, float] | None

    def groups(self) -> Iterator[tuple[str, str, int, Found]]:
        """Kind and name of every group, its customers, and its metrics."""
        summed = self._summed()
        everybody = {**self._readings(summed.sum(axis=1)), **self._quoted(), **self._covers()}
        yield "all", "all", self.forecasts.height, everybody
        for kind, values in self._ordered():
            for name, sums in _tenths(summed, Order.descending(values)):
                yield kind, name, round(sums[0]), self._readings(sums)
        for kind, names, places in self._labels():
            of_groups = np.stack([np.bincount(places, weights=row, minlength=len(names)) for row in summed], axis=1)
            for name, sums in zip(names, of_groups, strict=True):
                if sums[0] > 0.0:
                    yield kind, name, round(sums[0]), self._readings(sums)

    def judged(self) -> tuple[Floats, Floats]:
        """Forecast and outcome of every customer: spend, without money purchases."""
        target = "purchases" if self.total is None else "spend"
        return floats(self.forecasts, f"expected_{target}"), floats(self.forecasts, f"actual_{target}")

    def _ordered(self) -> Iterator[tuple[str, Floats]]:
        """The kinds of groups that are tenths, with what customers are ordered by."""
        yield "decile", self.judged()[0]
        revenues = floats(self.forecasts, "revenue")
        if np.isfinite(revenues).all() and len(revenues) >= DECILES * SMALL_GROUP:
            yield "value", revenues

    def _readings(self, sums: Floats) -> Found:
        """Metrics of a group; without money, none of spend."""
        found = _readings(sums)
        return found if self.total is not None else {key: value for key, value in found.items() if key[0] != "spend"}

    def _summed(self) -> Floats:
        """Sums over the customers of a group: _SUMMED, one row each; NaN where unknown."""
        spend, spent, purchases, came, p, alive = (floats(self.forecasts, column) for column in _COLUMNS)
        bought = (came > 0.0).astype(np.float64)
        lower, upper = floats(self.forecasts, "spend_lower"), floats(self.forecasts, "spend_upper")
        width, outside = upper - lower, np.maximum(lower - spent, 0.0) + np.maximum(spent - upper, 0.0)
        rows = {
            "customers": np.ones(len(spent)),
            "spend": spend,
            "spent": spent,
            "error": np.abs(spend - spent),
            "squared_error": np.square(spend - spent),
            "purchases": purchases,
            "came": came,
            "p": p,
            "bought": bought,
            "brier": np.square(p - bought),
            "alive": alive,
            "inside": (outside == 0.0).astype(np.float64),
            "width": width,
            # Gneiting & Raftery 2007, J. Am. Stat. Assoc. 102, eq. 43.
            "interval_score": width + 2.0 / (1.0 - self.level) * outside,
        }
        return np.stack([rows[name] for name in _SUMMED])

    def _quoted(self) -> Found:
        """The quoted metrics of all customers, with their intervals; for biases also the absolute value."""
        found: dict[tuple[str, str], Estimate] = {}
        for target, metrics in bootstrap(self.forecasts).items():
            found |= {(target, metric): estimate for metric, estimate in metrics.items()}
            if "bias" in metrics:
                found[target, "absolute_bias"] = metrics["bias"].size
        return found

    def _covers(self) -> Found:
        """1 when the range of the total held the actual total, else 0; nothing without money."""
        if self.total is None:
            return {}
        lower, upper = self.total
        held = lower <= float(floats(self.forecasts, "actual_spend").sum()) <= upper
        return {("spend", "total_covered"): Estimate(float(held), None, None)}

    def _labels(self) -> Iterator[tuple[str, Sequence[str], Integers]]:
        """The kinds of groups with labelled customers: the names, and the place of each customer's name."""
        segments, countries = self.forecasts["segment"], self.forecasts["country"]
        if segments.null_count() == 0:
            yield "segment", *_places(segments)
        if countries.null_count() < len(countries):
            yield "country", *_places(_merged(countries.fill_null("unknown")))
        ages = floats(self.forecasts, "tenure_days")
        yield "age", _AGES, np.searchsorted([31.0, 91.0, 366.0], ages, side="right")
        p = floats(self.forecasts, "p_purchase")
        if np.isfinite(p).all():
            yield "p_class", _P_CLASSES, np.searchsorted(np.arange(1, 10) / 10, p, side="right")


def _windows(forecasts: pl.DataFrame, past: _Past, level: float) -> Iterator[_Window]:
    """The windows of one cutoff, by horizon, with the ranges that would have been served beside them."""
    if forecasts["expected_spend"].null_count() == forecasts.height:
        nothing = pl.lit(None, pl.Float64)
        unknown = forecasts.with_columns(spend_lower=nothing, spend_upper=nothing)
        for (horizon,), window in unknown.partition_by("horizon_days", as_dict=True, maintain_order=True).items():
            yield _Window(horizon, window, level, None)
        return
    ranges = SpendRanges.learn(past.customers, level)
    lower, upper = ranges.bounds(forecasts)
    ranged = forecasts.with_columns(
        pl.Series("spend_lower", lower),
        pl.Series("spend_upper", upper),
        pl.Series("variance", ranges.variances(forecasts)),
        # Ends do not fall from one horizon to the next (`ranges.running_bounds`).
    ).with_columns(pl.col("spend_lower", "spend_upper").cum_max().over("customer_id"))
    total = pl.col("expected_spend").sum()
    totals = ranged.group_by(pl.col("cutoff").alias("as_of"), "horizon_days", "model").agg(
        pl.col("expected_purchases").sum(),
        total,
        pl.when(total > 0.0).then(pl.col("variance").sum() / total.pow(2)).alias("variance"),
    )
    bounds = {
        horizon: (low, high)
        for horizon, low, high in forecast_totals(totals, past.totals, level)
        .select("horizon_days", "spend_lower", "spend_upper")
        .iter_rows()
    }
    for (horizon,), window in ranged.partition_by("horizon_days", as_dict=True, maintain_order=True).items():
        yield _Window(horizon, window, level, bounds[horizon])


def _readings(sums: Floats) -> Found:
    """Metrics of a group from the sums over its customers, as in _SUMMED."""
    of = dict(zip(_SUMMED, sums.tolist(), strict=True))

    def ratio(amount: float, to: str = "customers") -> Estimate:
        return Estimate(_known(amount / of[to]) if of[to] > 0.0 else None, None, None)

    bias, of_purchases = ratio(of["spend"] - of["spent"], "spent"), ratio(of["purchases"] - of["came"], "came")
    squared = ratio(of["squared_error"]).value
    return {
        ("spend", "predicted_mean"): ratio(of["spend"]),
        ("spend", "actual_mean"): ratio(of["spent"]),
        ("spend", "bias"): bias,
        ("spend", "absolute_bias"): bias.size,
        ("spend", "mae"): ratio(of["error"]),
        ("spend", "normalized_mae"): ratio(of["error"], "spent"),
        ("spend", "rmse"): Estimate(None if squared is None else math.sqrt(squared), None, None),
        ("spend", "coverage"): ratio(of["inside"]),
        ("spend", "interval_width"): ratio(of["width"]),
        ("spend", "interval_score"): ratio(of["interval_score"]),
        ("purchases", "predicted_mean"): ratio(of["purchases"]),
        ("purchases", "actual_mean"): ratio(of["came"]),
        ("purchases", "bias"): of_purchases,
        ("purchases", "absolute_bias"): of_purchases.size,
        ("purchase", "predicted_mean"): ratio(of["p"]),
        ("purchase", "bought"): ratio(of["bought"]),
        ("purchase", "brier"): ratio(of["brier"]),
        ("purchase", "calibration_error"): ratio(of["p"] - of["bought"]).size,
        ("alive", "predicted_mean"): ratio(of["alive"]),
        ("alive", "bought"): ratio(of["bought"]),
    }


def _tenths(summed: Floats, best_first: Order) -> Iterator[tuple[str, Floats]]:
    """Sums over each tenth of the customers and over the best of them; equal forecasts share their sums evenly."""
    ordered, sizes = summed[:, best_first.rows], best_first.group_sizes
    means = np.add.reduceat(ordered, best_first.group_ends - sizes + 1, axis=1) / sizes
    shared = np.repeat(means, sizes, axis=1)
    n = shared.shape[1]
    cuts = np.round(np.linspace(0, n, DECILES + 1)).astype(np.intp)
    for tenth in range(DECILES):
        if cuts[tenth] < cuts[tenth + 1]:
            yield str(tenth + 1), shared[:, cuts[tenth] : cuts[tenth + 1]].sum(axis=1)
    yield "best 1 %", shared[:, : max(round(BEST_SHARE * n), 1)].sum(axis=1)


def _of_rules(of_target: pl.DataFrame, rules: Sequence[str]) -> dict[tuple[Any, ...], dict[str, float | None]]:
    """Quoted metrics of simple rules for one target, by cutoff, horizon and rule; for bias the absolute value."""
    quoted = {metric for target in of_target["target"].unique() for metric in _RULE_METRICS[target]}
    known = of_target.filter(pl.col("model").is_in(rules), pl.col("metric").is_in(quoted)).with_columns(
        pl.when(metric="bias").then(pl.col("value").abs()).otherwise("value").alias("value"),
        pl.col("metric").replace("bias", "absolute_bias"),
    )
    found: dict[tuple[Any, ...], dict[str, float | None]] = {}
    for *window, metric, value in known.select("cutoff", "horizon_days", "model", "metric", "value").iter_rows():
        found.setdefault(tuple(window), {})[metric] = value
    return found


def _with_description(forecasts: pl.DataFrame, described: pl.DataFrame) -> pl.DataFrame:
    """Forecasts of one cutoff with what was known of the customers; null for customers of whom nothing was."""
    require_columns(described, DESCRIBED, "the description of customers")
    known = described.select(DESCRIBED)
    return forecasts.join(known, on="customer_id", how="left", maintain_order="left", validate="m:1")


def _places(labels: pl.Series) -> tuple[list[str], Integers]:
    """The distinct labels in their order, and the place of each customer's label."""
    names = labels.unique().sort()
    return names.to_list(), labels.cast(pl.Enum(names)).to_physical().to_numpy().astype(np.intp)


def _merged(labels: pl.Series) -> pl.Series:
    """The labels, with those of small groups told as one."""
    sizes = pl.len().over("label")
    is_small = (sizes < SMALL_GROUP) | (sizes < SMALL_SHARE * len(labels))
    return labels.to_frame("label").select(pl.when(is_small).then(pl.lit("other")).otherwise("label")).to_series()


def _known(value: float) -> float | None:
    return value if np.isfinite(value) else None
