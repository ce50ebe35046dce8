"""The review in tables: a leaderboard with the champion and the reasons for it, and the history of champions.

`choice` decides which model serves. `why` makes every sentence from a code and the fields beside it, so that other
languages and other words are possible.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from datetime import date
from typing import Any

import numpy as np
import polars as pl

from clv_pipeline.evaluation.backtest import Skipped
from clv_pipeline.evaluation.choice import MINIMUM_CUTOFFS, Choice, Contender, Evidence, Pooled, choose, pool
from clv_pipeline.evaluation.metrics import METRICS_SCHEMA
from clv_pipeline.evaluation.why import why_in_words
from clv_pipeline.forecasting.protocol import require_columns

_SPEND_METRICS = ("score", "mae", "normalized_mae", "bias", "normalized_gini", "decile_mape", "tweedie_skill")
_PURCHASES_METRICS = ("poisson_skill",)
_PURCHASE_METRICS = ("brier", "log_loss", "auc", "calibration_error")
_METRICS = {
    **dict.fromkeys(_SPEND_METRICS, "spend"),
    **dict.fromkeys(_PURCHASES_METRICS, "purchases"),
    **dict.fromkeys(_PURCHASE_METRICS, "purchase"),
}

LEADERBOARD_SCHEMA = pl.Schema(
    {
        "horizon_days": pl.Int64,
        "model": pl.String,
        "rank": pl.Int64,
        "is_champion": pl.Boolean,
        "serves_purchase": pl.Boolean,
        "is_baseline": pl.Boolean,
        "preferred": pl.Boolean,
        "cutoffs": pl.Int64,
        "log_ratio": pl.Float64,
        "log_ratio_error": pl.Float64,
        **dict.fromkeys(_SPEND_METRICS, pl.Float64),
        **dict.fromkeys(_PURCHASES_METRICS, pl.Float64),
        "score_minus_best_baseline": pl.Float64,
        "difference_lower": pl.Float64,
        "difference_upper": pl.Float64,
        **dict.fromkeys(_PURCHASE_METRICS, pl.Float64),
        "why": pl.String,
        "why_code": pl.String,
        "why_facts": pl.String,
    }
)
HISTORY_SCHEMA = pl.Schema(
    {
        "as_of": pl.Date,
        "horizon_days": pl.Int64,
        "role": pl.String,
        "model": pl.String,
        "score": pl.Float64,
        "previous_model": pl.String,
        "why": pl.String,
        "why_code": pl.String,
        "why_facts": pl.String,
    }
)


def leaderboard(
    metrics: pl.DataFrame,
    contenders: Sequence[Contender],
    horizons_days: Sequence[int],
    as_of: date,
    skipped: Sequence[Skipped] = (),
) -> pl.DataFrame:
    """All models per horizon with the champion as of a day and the reasons, in LEADERBOARD_SCHEMA, best first.

    `metrics`: the result of `evaluate` for all horizons of the backtest, served or not: the choice rests on all of
    them; `contenders`: the configured models, in their order; `skipped`: what the backtest could not evaluate.
    Champion, rank and log ratio are the same on every horizon; metrics are means over the horizon's cutoffs. Windows
    that were not over by `as_of` are left out.

    Raises:
        ValueError: there are no contenders.
    """
    require_columns(metrics, METRICS_SCHEMA.names(), "metrics")
    over = metrics.filter(pl.col("cutoff") + pl.duration(days=pl.col("horizon_days")) <= as_of)
    choice = choose(Evidence.of(over), contenders, as_of)
    ranking = sorted(
        choice.ratios, key=lambda name: (choice.ratios[name].cutoffs < MINIMUM_CUTOFFS, choice.ratios[name].value)
    )
    baselines = [contender.name for contender in contenders if contender.is_baseline]
    names = [contender.name for contender in contenders]
    reasons = {name: dict.fromkeys(gap.reason for gap in skipped if gap.model == name) for name in names}
    tried = set(over["model"].unique())
    rows: list[dict[str, Any]] = []
    for horizon in sorted(horizons_days):
        of_horizon = over.filter(pl.col("horizon_days") == horizon)
        means, scores = _means(of_horizon), _scores(of_horizon)
        rule = _best(scores, baselines)
        for model in [*ranking, *(name for name in names if name not in ranking)]:
            ratio = choice.ratios.get(model)
            own = means.get(model, {})
            code, facts = _why(choice, model, reasons[model], is_rule=model in baselines, was_tried=model in tried)
            row: dict[str, Any] = {
                "horizon_days": horizon,
                "model": model,
                "rank": ranking.index(model) + 1 if model in ranking else None,
                "is_champion": model == choice.champion,
                "serves_purchase": model == choice.champion,
                "is_baseline": model in baselines,
                "preferred": model == choice.preferred,
                "cutoffs": own.get("cutoffs", 0),
                "log_ratio": ratio.value if ratio else None,
                "log_ratio_error": ratio.error if ratio and model != choice.preferred else None,
                **{metric: own.get(metric) for metric in _METRICS},
                **_difference(scores, model, rule, horizon),
                "why": why_in_words(code, facts),
                "why_code": code,
                "why_facts": json.dumps(facts, sort_keys=True),
            }
            rows.append(row)
    return pl.DataFrame(rows, schema=LEADERBOARD_SCHEMA, orient="row")


def add_review(history: pl.DataFrame, board: pl.DataFrame, as_of: date) -> pl.DataFrame:
    """The history of champions (HISTORY_SCHEMA) with the decisions of a review, which replace those of the same day.

    One row per review, horizon and role: `spend` (and everything that goes with it) with its score, `purchase`
    (p_purchase) with its Brier score; one model serves both. `previous_model` served the role before. Earlier reviews
    without code and facts keep none.
    """
    known = history.with_columns(
        pl.lit(None, pl.String).alias(column) for column in ("why_code", "why_facts") if column not in history.columns
    )
    earlier = {
        (row["horizon_days"], row["role"]): row["model"]
        for row in known.filter(pl.col("as_of") < as_of).sort("as_of").iter_rows(named=True)
    }
    rows: list[tuple[object, ...]] = []
    for role, score in (("spend", "score"), ("purchase", "brier")):
        for row in board.filter("is_champion").iter_rows(named=True):
            horizon, reason = row["horizon_days"], (row["why"], row["why_code"], row["why_facts"])
            rows.append((as_of, horizon, role, row["model"], row[score], earlier.get((horizon, role)), *reason))
    kept = known.filter(pl.col("as_of") != as_of).select(HISTORY_SCHEMA.names()).cast(HISTORY_SCHEMA)
    decided = pl.DataFrame(rows, schema=HISTORY_SCHEMA, orient="row")
    return pl.concat([kept, decided]).sort("as_of", "horizon_days", "role")


def _why(
    choice: Choice, model: str, reasons: Collection[str], *, is_rule: bool, was_tried: bool
) -> tuple[str, dict[str, Any]]:
    """Code and fields of a row. Problems of a champion come before the reasons for its choice."""
    facts: dict[str, Any] = {"champion": choice.champion, "preferred": choice.preferred, "is_rule": is_rule}
    if model != choice.champion:
        ratio = choice.to_champion.get(model)
        if ratio is None and reasons:
            return "not_evaluated", facts | {"reasons": " ".join(reasons)}
        if ratio is None:
            return ("not_together" if was_tried else "no_window"), facts
        facts |= _compared_with(choice.champion, ratio)
        if ratio.value >= 0.0:
            return "behind", facts
        if ratio.cutoffs < MINIMUM_CUTOFFS:
            return "few_dates", facts
        return ("ahead" if ratio.is_gain else "within_chance"), facts
    facts |= {"decision": choice.code, "past_dates": 0}
    own = choice.ratios.get(model)
    if choice.code == "replaced_preferred" and own is not None:
        facts |= _compared_with(choice.preferred, own)
    elif choice.code in ("preferred_stands", "preferred_no_evidence"):
        if nearest := next((name for name in choice.order[1:] if name in choice.ratios), None):
            facts |= _compared_with(nearest, choice.ratios[nearest])
    elif own is not None:
        facts["past_dates"] = own.cutoffs
    if choice.skill is not None:
        facts |= {
            "skill": _rounded(choice.skill.value),
            "skill_error": _rounded(choice.skill.error),
            "skill_dates": choice.skill.cutoffs,
        }
    if rule := choice.better_rule:
        found = _compared_with(rule, choice.to_champion[rule])
        facts |= {
            "better_rule": rule,
            "rule_difference": found["difference"],
            "rule_error": found["standard_error"],
            "rule_dates": found["past_dates"],
        }
    if choice.has_no_skill:
        return "no_skill", facts
    return ("simple_rule_better" if rule else choice.code), facts


def _compared_with(other: str, ratio: Pooled) -> dict[str, Any]:
    factor = float(np.exp(ratio.value))
    error = None if ratio.error is None else factor * ratio.error
    return {
        "other": other,
        "difference": _rounded(factor - 1.0),
        "standard_error": _rounded(error),
        "past_dates": ratio.cutoffs,
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 6)


def _means(of_horizon: pl.DataFrame) -> dict[str, dict[str, Any]]:
    """Means of the metrics over cutoffs for each model, with the number of cutoffs."""
    pairs = of_horizon.join(
        pl.DataFrame(list(_METRICS.items()), schema=["metric", "target"], orient="row"), on=["metric", "target"]
    )
    means = (
        pairs.sort("cutoff")
        .group_by("model")
        .agg(
            pl.col("cutoff").filter(pl.col("value").is_not_null()).n_unique().cast(pl.Int64).alias("cutoffs"),
            *(pl.col("value").filter(pl.col("metric") == metric).mean().alias(metric) for metric in _METRICS),
        )
    )
    return {row["model"]: row for row in means.iter_rows(named=True)}


def _scores(of_horizon: pl.DataFrame) -> dict[str, dict[date, float]]:
    """The score of each model at every cutoff where it is defined."""
    rows = of_horizon.filter(pl.col("target") == "spend", pl.col("metric") == "score").drop_nulls("value")
    found: dict[str, dict[date, float]] = {}
    for model, cutoff, value in rows.sort("cutoff").select("model", "cutoff", "value").iter_rows():
        found.setdefault(model, {})[cutoff] = value
    return found


def _best(scores: Mapping[str, Mapping[date, float]], models: Sequence[str]) -> str | None:
    """The model with the lowest mean score. Models scored on more cutoffs come first: one easy cutoff must not win."""
    scored = [model for model in models if model in scores]
    return min(scored, key=lambda m: (-len(scores[m]), sum(scores[m].values()) / len(scores[m])), default=None)


def _difference(
    scores: Mapping[str, Mapping[date, float]], model: str, rule: str | None, horizon_days: int
) -> dict[str, float | None]:
    """The difference between a model's score and that of the horizon's best rule, with a 95 % interval.

    The interval comes from the spread over cutoffs, and takes the overlap of their windows into account
    (`choice.pool`).
    """
    from scipy.special import stdtrit

    value = lower = upper = None
    shared = [cutoff for cutoff in scores.get(model, {}) if rule is not None and cutoff in scores[rule]]
    if rule is not None and model != rule and shared:
        gaps = np.array([scores[model][cutoff] - scores[rule][cutoff] for cutoff in shared])
        pooled = pool(gaps, np.array(shared, dtype="datetime64[D]"), np.full(len(gaps), horizon_days))
        value = pooled.value if pooled else None
        if pooled and pooled.error is not None:
            reach = float(stdtrit(pooled.cutoffs - 1, 0.975)) * pooled.error
            lower, upper = pooled.value - reach, pooled.value + reach
    return {"score_minus_best_baseline": value, "difference_lower": lower, "difference_upper": upper}
