"""Which model did better than which, and whether by more than chance.

Models are compared by their mean score over the backtest cutoffs of a horizon. Differences come with paired
bootstrap intervals: replicate k of both models drew the same customers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Literal

import polars as pl

from clv_pipeline.evaluation.metrics import METRICS_SCHEMA, Evaluation, percentile_interval
from clv_pipeline.forecasting.frames import floats

PRIMARY = {"spend": "score", "purchase": "brier"}
"""The metric of each target that ranks models; lower is better."""


@dataclass(frozen=True)
class Difference:
    """How much higher the first model's metric is than the other's, with a 95 % interval; null where undefined."""

    value: float | None
    lower: float | None
    upper: float | None

    @property
    def is_gain(self) -> bool:
        """The first model's error is lower beyond noise: the whole interval lies below 0."""
        return self.value is not None and self.upper is not None and self.value < 0.0 and self.upper < 0.0


def mean_over_cutoffs(metrics: pl.DataFrame, target: Literal["spend", "purchase"]) -> pl.DataFrame:
    """One row per horizon and model: the means of a target's metrics, each in a column of its name.

    `metrics`: those of `evaluate`. `cutoffs` counts the cutoffs with a defined primary metric.
    """
    rows = metrics.filter(pl.col("target") == target).sort("cutoff")
    columns = rows["metric"].unique().sort().to_list()
    defined = pl.col("value").filter(pl.col("metric") == PRIMARY[target]).count()
    return rows.group_by("horizon_days", "model", maintain_order=True).agg(
        defined.cast(pl.Int64).alias("cutoffs"),
        *(pl.col("value").filter(pl.col("metric") == metric).mean().alias(metric) for metric in columns),
    )


def ranked(means: pl.DataFrame, horizon_days: int, models: Sequence[str], *by: str) -> list[str]:
    """The models that were scored at a horizon, best first.

    `means`: those of `mean_over_cutoffs`. Models scored on more cutoffs come first, because an easy cutoff alone
    must not win; then the lower value of the columns `by`; then their order in `models`.
    """
    found = pl.col("horizon_days") == horizon_days, pl.col("model").is_in(list(models)), pl.col("cutoffs") > 0
    scored = means.filter(*found).to_dicts()
    places = {model: place for place, model in enumerate(models)}
    scored.sort(key=lambda row: (-row["cutoffs"], *(row[column] for column in by), places[row["model"]]))
    return [row["model"] for row in scored]


def difference(
    replicates: pl.DataFrame,
    metric: Literal["mae", "score"],
    horizon_days: int,
    model: str,
    other: str,
    cutoff: date | None = None,
) -> Difference:
    """`model` minus `other`: at one cutoff, or the mean over all cutoffs that both were scored on.

    `replicates`: those of `evaluate`.
    """
    rows = replicates.filter(pl.col("horizon_days") == horizon_days)
    if cutoff is not None:
        rows = rows.filter(pl.col("cutoff") == cutoff)
    own, others = (
        rows.filter(pl.col("model") == name).select("cutoff", "replicate", metric) for name in (model, other)
    )
    pairs = own.join(others, on=["cutoff", "replicate"], suffix="_other").sort("replicate", "cutoff")
    gaps = pairs.group_by("replicate", maintain_order=True).agg(
        # One undefined cutoff makes the mean undefined; a mean that left it out would be about other cutoffs.
        pl.when(pl.all_horizontal(pl.col(metric, f"{metric}_other").is_not_null()).all())
        .then((pl.col(metric) - pl.col(f"{metric}_other")).mean())
        .alias("gap")
    )
    value = gaps.filter(pl.col("replicate") == 0)["gap"]
    if value.is_empty() or value[0] is None:
        return Difference(None, None, None)
    return Difference(value[0], *percentile_interval(floats(gaps.filter(pl.col("replicate") > 0), "gap")))


def differences_to_best_baseline(evaluation: Evaluation, baselines: Sequence[str]) -> pl.DataFrame:
    """Per cutoff, horizon and model: how MAE and score differ from the best baseline's, as rows of METRICS_SCHEMA.

    The best baseline of a horizon has the best mean score over its cutoffs. Negative differences are gains. No
    rows where the best baseline was not scored.
    """
    means = mean_over_cutoffs(evaluation.metrics, "spend")
    scored = evaluation.metrics.filter(pl.col("metric") == "mae", pl.col("target") == "spend")
    rows: list[tuple[object, ...]] = []
    for horizon in means["horizon_days"].unique().sort():
        baselines_by_score = ranked(means, horizon, baselines, "score")
        if not baselines_by_score:
            continue
        best = baselines_by_score[0]
        of_horizon = scored.filter(pl.col("horizon_days") == horizon)
        compared = of_horizon.filter(
            pl.col("model") != best,
            pl.col("cutoff").is_in(of_horizon.filter(pl.col("model") == best)["cutoff"].implode()),
        )
        for cutoff, model, customers in compared.select("cutoff", "model", "customers").iter_rows():
            for metric in ("mae", "score"):
                gap = difference(evaluation.replicates, metric, horizon, model, best, cutoff)
                name = f"{metric}_minus_best_baseline"
                rows.append((cutoff, horizon, model, "spend", name, gap.value, gap.lower, gap.upper, customers))
    return pl.DataFrame(rows, schema=METRICS_SCHEMA, orient="row")
