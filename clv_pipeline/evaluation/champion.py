"""Which model serves: a leaderboard per horizon, its champion, and a sentence that says why.

Score = normalized MAE + (1 - normalized Gini) + |total bias| of spend, averaged over cutoffs; lower is
better. The three terms ask: how far off per customer, how well ordered, how far off in sum. All are free of
units.
"""

from collections.abc import Collection, Mapping, Sequence

import polars as pl

from clv_pipeline.evaluation.backtest import Skipped
from clv_pipeline.evaluation.metrics import METRICS_SCHEMA
from clv_pipeline.forecasting.protocol import ALL_TARGETS, Target, require_columns

LEADERBOARD_SCHEMA = pl.Schema(
    {
        "horizon_days": pl.Int64,
        "model": pl.String,
        "rank": pl.Int64,
        "is_champion": pl.Boolean,
        "score": pl.Float64,
        "cutoffs": pl.Int64,
        "mae": pl.Float64,
        "normalized_mae": pl.Float64,
        "bias": pl.Float64,
        "normalized_gini": pl.Float64,
        "decile_mape": pl.Float64,
        "brier": pl.Float64,
        "auc": pl.Float64,
        "why": pl.String,
    }
)
_SPEND_METRICS = ("mae", "normalized_mae", "bias", "normalized_gini", "decile_mape")
_PURCHASE_METRICS = ("brier", "auc")


def leaderboard(
    metrics: pl.DataFrame,
    targets: Mapping[str, Collection[Target]],
    horizons_days: Sequence[int],
    skipped: Sequence[Skipped] = (),
) -> pl.DataFrame:
    """Rank all models per horizon, in LEADERBOARD_SCHEMA, best first.

    `metrics`: the frame of `evaluate`; `targets`: what each configured model forecasts, in the order of the
    configuration; `skipped`: what the backtest could not evaluate. Metrics are means over the cutoffs.

    Models that were scored on every cutoff of the horizon rank before those scored on fewer, because an easy
    cutoff must not win; within each of the two, the lower score. Champion is the best-ranked model that gives
    all three targets; when none of those was evaluated, the first of them in the configuration. ValueError
    when no model gives all three targets.
    """
    require_columns(metrics, METRICS_SCHEMA.names(), "metrics")
    serving = [model for model, given in targets.items() if set(given) >= ALL_TARGETS]
    if not serving:
        raise ValueError(
            f"none of the models {', '.join(targets)} forecasts purchases, spend and p_purchase; "
            "add one that does, e.g. bg_nbd"
        )
    averages = _averages(metrics)
    rows = [
        row
        for horizon in sorted(horizons_days)
        for row in _board(averages, horizon, targets, serving, [s for s in skipped if s.horizon_days == horizon])
    ]
    return pl.DataFrame(rows, schema=LEADERBOARD_SCHEMA, orient="row")


def _averages(metrics: pl.DataFrame) -> pl.DataFrame:
    """Per horizon and model: mean metrics, mean score and number of cutoffs with a score."""

    def value(target: str, metric: str) -> pl.Expr:
        chosen = (pl.col("target") == target) & (pl.col("metric") == metric)
        return pl.col("value").filter(chosen).first().alias(metric)

    per_cutoff = metrics.group_by("horizon_days", "model", "cutoff").agg(
        *(value("spend", metric) for metric in _SPEND_METRICS),
        *(value("purchase", metric) for metric in _PURCHASE_METRICS),
    )
    score = pl.col("normalized_mae") + (1.0 - pl.col("normalized_gini")) + pl.col("bias").abs()
    return (
        per_cutoff.with_columns(score.alias("score"))
        .sort("cutoff")
        .group_by("horizon_days", "model", maintain_order=True)
        .agg(
            pl.col("score", *_SPEND_METRICS, *_PURCHASE_METRICS).mean(),
            pl.col("score").count().cast(pl.Int64).alias("cutoffs"),
        )
    )


def _board(
    averages: pl.DataFrame,
    horizon: int,
    targets: Mapping[str, Collection[Target]],
    serving: Sequence[str],
    skipped: Sequence[Skipped],
) -> list[dict[str, object]]:
    order = {model: position for position, model in enumerate(targets)}
    of_horizon = averages.filter(pl.col("horizon_days") == horizon, pl.col("model").is_in(list(order)))
    found = {row["model"]: row for row in of_horizon.iter_rows(named=True)}
    scored = [model for model in order if model in found and found[model]["score"] is not None]
    ranked = sorted(scored, key=lambda m: (-found[m]["cutoffs"], found[m]["score"], order[m]))
    most = found[ranked[0]]["cutoffs"] if ranked else 0
    champion = next((model for model in ranked if model in serving), serving[0])
    board: list[dict[str, object]] = []
    for model in [*ranked, *(model for model in order if model not in ranked)]:
        row: dict[str, object] = dict.fromkeys(LEADERBOARD_SCHEMA.names())
        row.update(found.get(model, {}))
        row.update(horizon_days=horizon, model=model, is_champion=model == champion)
        row.update(cutoffs=row["cutoffs"] or 0, rank=ranked.index(model) + 1 if model in ranked else None)
        row["why"] = _why(model, champion, ranked, found, serving, targets, most, skipped)
        board.append(row)
    return board


def _why(
    model: str,
    champion: str,
    ranked: Sequence[str],
    found: Mapping[str, Mapping[str, float]],
    serving: Sequence[str],
    targets: Mapping[str, Collection[Target]],
    most: int,
    skipped: Sequence[Skipped],
) -> str:
    if model not in ranked:
        reasons = dict.fromkeys(s.reason for s in skipped if s.model == model)
        if model in found:
            reasons["Its score is undefined: nothing was spent, or all spent the same."] = None
        stated = " ".join(reasons) or "No backtest window: too little history."
        if model == champion:
            return f"Champion, unevaluated: the first configured model that gives all three targets. {stated}"
        return f"Not evaluated. {stated}"
    own = found[model]
    n = int(own["cutoffs"])
    text = (
        f"score {own['score']:.3f} over {n} cutoff{'s' if n != 1 else ''} (normalized MAE "
        f"{own['normalized_mae']:.3f}, normalized Gini {own['normalized_gini']:.3f}, bias {own['bias']:+.1%})"
    )
    if model == champion:
        rivals = [other for other in ranked if other in serving and other != champion]
        if rivals:
            return f"Champion: {text}; next of those that give all three targets: {_scored(rivals[0], found)}."
        return f"Champion: {text}; the only evaluated model that gives all three targets."
    text = f"S{text[1:]}; the champion is "
    text += _scored(champion, found) if champion in ranked else f"{champion}, unevaluated"
    missing = sorted(ALL_TARGETS - set(targets[model]))
    if missing:
        text += f". Cannot be champion: it does not forecast {', '.join(missing)}"
    if n < most:
        text += f". Ranked behind all models that were scored on {most} cutoffs"
    return f"{text}."


def _scored(model: str, found: Mapping[str, Mapping[str, float]]) -> str:
    return f"{model} with {found[model]['score']:.3f}"
