"""Accuracy as served: the whole decision at every past origin, with the knowledge of that day, against the outcome.

The champion, its forecasts and its ranges all come from windows that were complete by the origin. These figures are
quoted for a shop: other tables show how good the models were, this one shows what the shop would have been told.
How forecasts of one window are held against the outcome is in `group_accuracy`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import date
from typing import Any, NamedTuple

import polars as pl

from clv_pipeline.evaluation.choice import Contender, Evidence, choose
from clv_pipeline.evaluation.group_accuracy import Window
from clv_pipeline.evaluation.metrics import METRICS_SCHEMA, TARGETS
from clv_pipeline.evaluation.ranges import PAST_COLUMNS, SpendRanges, thinned
from clv_pipeline.evaluation.scatter import BINS_SCHEMA, binned
from clv_pipeline.evaluation.total_ranges import PAST_TOTALS_COLUMNS, forecast_totals
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

_RULE_METRICS = {
    "spend": ("bias", "mae", "tweedie_skill", "normalized_gini"),
    "purchases": ("bias", "mae", "poisson_skill"),
}
"""Metrics of simple rules: of spend, and in a shop without money of purchases."""


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


def _windows(forecasts: pl.DataFrame, past: _Past, level: float) -> Iterator[Window]:
    """The windows of one cutoff, by horizon, with the ranges that would have been served beside them."""
    if forecasts["expected_spend"].null_count() == forecasts.height:
        nothing = pl.lit(None, pl.Float64)
        unknown = forecasts.with_columns(spend_lower=nothing, spend_upper=nothing)
        for (horizon,), window in unknown.partition_by("horizon_days", as_dict=True, maintain_order=True).items():
            yield Window(horizon, window, level, None)
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
        yield Window(horizon, window, level, bounds[horizon])


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
