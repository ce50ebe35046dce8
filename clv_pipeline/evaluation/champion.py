"""Which models serve: a leaderboard per horizon, the champions of spend and of p_purchase, and sentences that say why.

Spend: score = normalized MAE + (1 - normalized Gini) + |total bias|, averaged over cutoffs; lower is better. The
three terms ask: how far off per customer, how well ordered, how far off in sum. A champion must beat the best
baseline beyond noise, and a new one the old one. Purchase: the lowest Brier score, which rewards probabilities that
are both calibrated and sharp.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import polars as pl

from clv_pipeline.evaluation.backtest import Skipped
from clv_pipeline.evaluation.comparison import Difference, difference, mean_over_cutoffs, ranked
from clv_pipeline.evaluation.metrics import METRICS_SCHEMA, REPLICATES_SCHEMA, Evaluation
from clv_pipeline.forecasting.protocol import ALL_TARGETS, SPEND_TARGETS, Model, Target, require_columns
from clv_pipeline.forecasting.registry import refuse_incomplete

PURCHASE_ORDER = ("brier", "log_loss")
_UNKNOWN = Difference(None, None, None)
_SPEND_METRICS = ("score", "mae", "normalized_mae", "bias", "normalized_gini", "decile_mape")
_PURCHASE_METRICS = ("brier", "log_loss", "auc", "calibration_error")

LEADERBOARD_SCHEMA = pl.Schema(
    {
        "horizon_days": pl.Int64,
        "model": pl.String,
        "rank": pl.Int64,
        "is_champion": pl.Boolean,
        "serves_purchase": pl.Boolean,
        "is_baseline": pl.Boolean,
        "cutoffs": pl.Int64,
        **dict.fromkeys(_SPEND_METRICS, pl.Float64),
        "score_minus_best_baseline": pl.Float64,
        "difference_lower": pl.Float64,
        "difference_upper": pl.Float64,
        **dict.fromkeys(_PURCHASE_METRICS, pl.Float64),
        "why": pl.String,
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
    }
)


@dataclass(frozen=True)
class Contender:
    """A configured model: what it forecasts, and whether it is a rule that the others have to beat."""

    name: str
    targets: Collection[Target]
    is_baseline: bool

    @classmethod
    def of(cls, model: Model) -> Contender:
        """What a review must know of a model."""
        return cls(model.name, model.targets, model.is_baseline)

    def gives(self, *targets: Target) -> bool:
        """Whether it forecasts all these targets."""
        return set(targets) <= set(self.targets)


def leaderboard(
    evaluation: Evaluation,
    contenders: Sequence[Contender],
    horizons_days: Sequence[int],
    incumbents: Mapping[int, str],
    skipped: Sequence[Skipped] = (),
) -> pl.DataFrame:
    """Rank all models per horizon and choose who serves, in LEADERBOARD_SCHEMA, best first.

    `evaluation`: of all models at all cutoffs; `contenders`: the configured models, in their order; `incumbents`:
    per horizon the champion of spend of the last review (`incumbents_of`); `skipped`: what the backtest could not
    evaluate. Metrics are means over the cutoffs; `score_minus_best_baseline` comes with its paired bootstrap interval.

    Champion of spend is one that forecasts purchases and spend and was scored on every cutoff of the horizon, chosen
    by four rules. (1) Only models whose score is lower than the best baseline's beyond noise (the interval of the
    mean difference excludes 0) are worthy; without a baseline all are. (2) The best-scored worthy model wins; without
    any, the best baseline serves. (3) The incumbent stays, while it is a baseline or still worthy, unless a worthy
    model is better than it beyond noise. (4) When nothing was scored, the incumbent stays, else the first configured
    model that gives all targets, else the first that forecasts purchases and spend.

    p_purchase is served by the model with the lowest Brier score (ties: log loss) among those scored on every
    cutoff; when none was, by the first configured one that gives it.

    ValueError when no model forecasts purchases and spend, or none p_purchase.
    """
    require_columns(evaluation.metrics, METRICS_SCHEMA.names(), "metrics")
    require_columns(evaluation.replicates, REPLICATES_SCHEMA.names(), "replicates")
    refuse_incomplete({contender.name: contender.targets for contender in contenders})
    spend = mean_over_cutoffs(evaluation.metrics, "spend")
    purchase = mean_over_cutoffs(evaluation.metrics, "purchase")
    rows = [
        row
        for horizon in sorted(horizons_days)
        for row in _Review(
            horizon,
            {contender.name: contender for contender in contenders},
            spend,
            purchase,
            evaluation.replicates,
            incumbents.get(horizon),
            [gap for gap in skipped if gap.horizon_days == horizon],
        ).rows()
    ]
    return pl.DataFrame(rows, schema=LEADERBOARD_SCHEMA, orient="row")


def best_calibrated(metrics: pl.DataFrame, horizon_days: int, models: Sequence[str]) -> str | None:
    """The model that serves p_purchase by rule, of those whose Brier score is known; None when none is."""
    means = mean_over_cutoffs(metrics, "purchase")
    return next(iter(ranked(means, horizon_days, models, *PURCHASE_ORDER)), None)


def incumbents_of(history: pl.DataFrame, as_of: date) -> dict[int, str]:
    """Per horizon, who served spend after the last review before the one of `as_of`."""
    return {horizon: model for (horizon, role), model in _before(history, as_of).items() if role == "spend"}


def add_review(history: pl.DataFrame, board: pl.DataFrame, as_of: date) -> pl.DataFrame:
    """The history of champions (HISTORY_SCHEMA) with the decisions of a review in the place of any of the same day.

    One row per review, horizon and role: `spend` (and all that goes with it) with its score, `purchase`
    (p_purchase) with its Brier score. `previous_model` served the role before.
    """
    earlier = _before(history, as_of)
    rows = []
    for role, chosen, score in (("spend", "is_champion", "score"), ("purchase", "serves_purchase", "brier")):
        for row in board.filter(chosen).iter_rows(named=True):
            horizon = row["horizon_days"]
            rows.append((as_of, horizon, role, row["model"], row[score], earlier.get((horizon, role)), row["why"]))
    kept = history.filter(pl.col("as_of") != as_of).select(HISTORY_SCHEMA.names()).cast(HISTORY_SCHEMA)
    decided = pl.DataFrame(rows, schema=HISTORY_SCHEMA, orient="row")
    return pl.concat([kept, decided]).sort("as_of", "horizon_days", "role")


def _before(history: pl.DataFrame, as_of: date) -> dict[tuple[int, str], str]:
    earlier = history.filter(pl.col("as_of") < as_of).sort("as_of")
    return {(row["horizon_days"], row["role"]): row["model"] for row in earlier.iter_rows(named=True)}


class _Review:
    """The decisions for one horizon."""

    def __init__(
        self,
        horizon_days: int,
        contenders: Mapping[str, Contender],
        spend: pl.DataFrame,
        purchase: pl.DataFrame,
        replicates: pl.DataFrame,
        incumbent: str | None,
        skipped: Sequence[Skipped],
    ) -> None:
        order = list(contenders)
        self.horizon_days, self.contenders, self.skipped = horizon_days, contenders, skipped
        self._replicates = replicates
        self.spend, self.purchase = _rows_of(spend, horizon_days), _rows_of(purchase, horizon_days)
        self.ranking = ranked(spend, horizon_days, order, "score")
        self.cutoffs = self.spend[self.ranking[0]]["cutoffs"] if self.ranking else 0
        self.eligible = [
            model
            for model in self.ranking
            if self.spend[model]["cutoffs"] == self.cutoffs and contenders[model].gives(*SPEND_TARGETS)
        ]
        self.baseline = next((model for model in self.eligible if contenders[model].is_baseline), None)
        self.gaps = (
            {m: self._gap(m, self.baseline) for m in self.ranking if m != self.baseline} if self.baseline else {}
        )
        self.worthy = [
            model
            for model in self.eligible
            if self.baseline is None or (not contenders[model].is_baseline and self.gaps[model].is_gain)
        ]
        self.champion, self.decision = self._choose(incumbent)
        self.purchase_ranking = ranked(purchase, horizon_days, order, *PURCHASE_ORDER)
        givers = [model for model in order if "purchase" in contenders[model].targets]
        self.purchase_champion = [*self.purchase_ranking, *givers][0]

    def rows(self) -> list[dict[str, Any]]:
        """Rows of the leaderboard: ranked models first, then the others as configured."""
        rows = []
        for model in [*self.ranking, *(model for model in self.contenders if model not in self.ranking)]:
            spend, purchase = self.spend.get(model, {}), self.purchase.get(model, {})
            gap = self.gaps.get(model, _UNKNOWN)
            row: dict[str, Any] = {
                "horizon_days": self.horizon_days,
                "model": model,
                "rank": self.ranking.index(model) + 1 if model in self.ranking else None,
                "is_champion": model == self.champion,
                "serves_purchase": model == self.purchase_champion,
                "is_baseline": self.contenders[model].is_baseline,
                "cutoffs": spend.get("cutoffs") or purchase.get("cutoffs") or 0,
                **{metric: spend.get(metric) for metric in _SPEND_METRICS},
                "score_minus_best_baseline": gap.value,
                "difference_lower": gap.lower,
                "difference_upper": gap.upper,
                **{metric: purchase.get(metric) for metric in _PURCHASE_METRICS},
                "why": " ".join([self._about_spend(model), *self._about_purchase(model)]),
            }
            rows.append(row)
        return rows

    def _gap(self, model: str, other: str) -> Difference:
        return difference(self._replicates, "score", self.horizon_days, model, other)

    def _choose(self, incumbent: str | None) -> tuple[str, str]:
        """The champion of spend, and why in words."""
        if not self.eligible:
            return self._choose_unscored(incumbent)
        # Without a baseline every eligible model is worthy, so one of the two is there.
        candidates = self.worthy or [model for model in (self.baseline,) if model]
        winner = candidates[0]
        if incumbent is None:
            return winner, self._standing(winner)
        if incumbent == winner:
            return winner, f"{self._standing(winner)}; champion before"
        if reason := self._fall_of(incumbent):
            return winner, f"{self._standing(winner)}; replaces {incumbent}, which {reason}"
        better = [model for model in candidates if self._gap(model, incumbent).is_gain]
        if better:
            gap = self._gap(better[0], incumbent)
            return better[0], f"{self._standing(better[0])}; replaces {incumbent}, score difference {_told(gap)}"
        gap = self._gap(winner, incumbent)
        return incumbent, f"{self._standing(incumbent)}; stays, as {winner} is not better beyond noise: {_told(gap)}"

    def _choose_unscored(self, incumbent: str | None) -> tuple[str, str]:
        serving = [model for model, contender in self.contenders.items() if contender.gives(*SPEND_TARGETS)]
        if incumbent in serving:
            return incumbent, "unevaluated; champion before"
        if complete := [model for model in serving if self.contenders[model].gives(*ALL_TARGETS)]:
            return complete[0], "unevaluated: the first configured model that gives all three targets"
        return serving[0], "unevaluated: the first configured model that forecasts purchases and spend"

    def _fall_of(self, incumbent: str) -> str | None:
        """Why the last champion cannot stay; None when it can."""
        if incumbent not in self.contenders:
            return "is no longer configured"
        if incumbent not in self.eligible:
            return "was not scored on every cutoff"
        if incumbent not in self.worthy and not self.contenders[incumbent].is_baseline:
            return f"does not beat the best baseline beyond noise, score difference {_told(self.gaps[incumbent])}"
        return None

    def _standing(self, model: str) -> str:
        """How a champion stands to the baselines."""
        if self.baseline is None:
            return "the lowest score; no baseline was scored on every cutoff"
        if not self.contenders[model].is_baseline:
            return f"beats the best baseline {self.baseline}, score difference {_told(self.gaps[model])}"
        nearest = next((other for other in self.eligible if not self.contenders[other].is_baseline), None)
        if nearest is None:
            return "the best baseline, and no other model was scored on every cutoff"
        return (
            f"a baseline, which no model beats beyond noise; {nearest} comes nearest, score difference "
            f"{_told(self.gaps[nearest])}"
        )

    def _about_spend(self, model: str) -> str:
        if model not in self.ranking:
            return self._about_unranked(model)
        own = self.spend[model]
        numbers = (
            f"Score {own['score']:.3f} over {own['cutoffs']} cutoff{'s' if own['cutoffs'] != 1 else ''} "
            f"(normalized MAE {own['normalized_mae']:.3f}, normalized Gini {own['normalized_gini']:.3f}, "
            f"bias {own['bias']:+.1%})."
        )
        if model == self.champion:
            return f"Champion: {self.decision}. {numbers}"
        if not self.contenders[model].gives("purchases"):
            return f"{numbers} Cannot be champion: it does not forecast purchases."
        if own["cutoffs"] < self.cutoffs:
            return f"{numbers} Cannot be champion: others were scored on {self.cutoffs} cutoffs."
        if model == self.baseline:
            return f"{numbers} The best baseline; {self.champion} is champion."
        if self.baseline and model not in self.worthy and not self.contenders[model].is_baseline:
            gap = _told(self.gaps[model])
            return f"{numbers} Does not beat the best baseline {self.baseline} beyond noise, score difference {gap}."
        return f"{numbers} {self.champion} is champion with {self.spend[self.champion]['score']:.3f}."

    def _about_unranked(self, model: str) -> str:
        if not self.contenders[model].gives("spend"):
            return "Does not forecast spend."
        reasons = dict.fromkeys(gap.reason for gap in self.skipped if gap.model == model)
        if model in self.spend:
            reasons["Its score is undefined: nothing was spent, or all spent the same."] = None
        stated = " ".join(reasons) or "No backtest window: too little history."
        return f"Champion, {self.decision}. {stated}" if model == self.champion else f"Not evaluated. {stated}"

    def _about_purchase(self, model: str) -> list[str]:
        if model != self.purchase_champion:
            return []
        if model not in self.purchase_ranking:
            return ["Serves p_purchase, unevaluated: the first configured model that gives it."]
        text = f"Serves p_purchase: the lowest Brier score, {self.purchase[model]['brier']:.4f}"
        if others := self.purchase_ranking[1:]:
            text += f"; next {others[0]} with {self.purchase[others[0]]['brier']:.4f}"
        return [f"{text}."]


def _rows_of(means: pl.DataFrame, horizon_days: int) -> dict[str, dict[str, Any]]:
    return {row["model"]: row for row in means.filter(pl.col("horizon_days") == horizon_days).iter_rows(named=True)}


def _told(gap: Difference) -> str:
    if gap.value is None or gap.lower is None or gap.upper is None:
        return "undefined"
    return f"{gap.value:+.3f} (95 % interval {gap.lower:+.3f} to {gap.upper:+.3f})"
