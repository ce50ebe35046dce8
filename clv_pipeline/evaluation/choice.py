"""The choice of the family that serves a shop: one for all horizons and targets, by proper losses on past dates.

It is a pure function of the evidence that was complete by a day, so that the choice of any past day can be repeated.
Reviews have no memory: an earlier champion has no advantage. The preference keeps the choice steady.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from clv_pipeline.evaluation.scores import Floats
from clv_pipeline.forecasting.frames import floats
from clv_pipeline.forecasting.protocol import Model

PREFERENCE = (
    "hybrid",
    "hybrid_boosted",
    "pareto_nbd",
    "mbg_nbd",
    "bg_nbd",
    "regular_nbd",
    "hybrid_neural",
)
"""Families in order of preference while a shop's own evidence is thin, learned on the shops of docs/ACCURACY.md.

Models of extensions come after these, as configured.
"""

MINIMUM_CUTOFFS = 3
"""Fewest past dates on which a family can replace the preferred one, or a simple rule can count as better."""

_RULES = ("same_window_last_year", "own_rate")
"""The simple rules for comparison while there is no evidence which rule does best."""

Code = Literal[
    "only_family",
    "preferred_no_evidence",
    "preferred_stands",
    "replaced_preferred",
    "only_rules",
    "only_rules_no_evidence",
]


@dataclass(frozen=True)
class Contender:
    """A configured model; `is_baseline` marks a simple rule, which is there for comparison."""

    name: str
    is_baseline: bool

    @classmethod
    def of(cls, model: Model) -> Contender:
        """The properties of a model that a choice needs."""
        return cls(model.name, model.is_baseline)


@dataclass(frozen=True)
class Pooled:
    """A mean over past dates (each date the mean over its horizons) with its standard error: null below two dates."""

    value: float
    error: float | None
    cutoffs: int

    @property
    def is_gain(self) -> bool:
        """Whether a log ratio of losses is below 0 by more than its standard error, over enough dates."""
        return self.error is not None and self.cutoffs >= MINIMUM_CUTOFFS and self.value < -self.error


def pool(scores: Floats, cutoffs: NDArray[np.datetime64], horizons: NDArray[np.int64]) -> Pooled | None:
    """Pool one score per window, NaN where unknown; None when all are.

    The standard error is the deviation between cutoffs over the root of their effective number: n overlapping windows
    of h days that begin every s days count as n s / h, windows without overlap as n.
    """
    known = np.isfinite(scores)
    if not known.any():
        return None
    days, place = np.unique(cutoffs[known], return_inverse=True)
    by_cutoff = np.bincount(place, scores[known]) / np.bincount(place)
    value = float(by_cutoff.mean())
    if len(days) < 2:
        return Pooled(value, None, len(days))
    step = float(np.median(np.diff(days).astype(np.float64)))
    apart = len(days) * min(1.0, step / float(horizons[known].mean()))
    return Pooled(value, float(by_cutoff.std(ddof=1) / np.sqrt(apart)), len(days))


@dataclass(frozen=True)
class Evidence:
    """The losses and skills of all models on every backtest window (a cutoff and a horizon), NaN where not scored.

    A loss is 1/2 log(Tweedie deviance of spend) + 1/2 log(Poisson deviance of purchases): differences are log ratios,
    free of the shop's money and size. A shop without money has purchases alone: log(Poisson deviance), and their skill.
    """

    cutoffs: NDArray[np.datetime64]
    horizons: NDArray[np.int64]
    losses: Mapping[str, Floats]
    skills: Mapping[str, Floats]

    @classmethod
    def of(cls, metrics: pl.DataFrame) -> Evidence:
        """Evidence from the metrics of `evaluate`."""

        def metric(target: str, name: str) -> pl.Expr:
            return pl.col("value").filter(pl.col("target") == target, pl.col("metric") == name).first()

        tweedie, poisson = metric("spend", "tweedie_deviance"), metric("purchases", "poisson_deviance")
        window = ("cutoff", "horizon_days")
        # A deviance of 0 means that the forecast knew the outcome: no ratio exists.
        loss = pl.when(poisson > 0.0).then(poisson.log())
        skill = metric("purchases", "poisson_skill")
        if (metrics["target"] == "spend").any():
            loss = pl.when(tweedie > 0.0, poisson > 0.0).then(0.5 * (tweedie.log() + poisson.log()))
            skill = metric("spend", "tweedie_skill")
        scored = metrics.group_by(*window, "model").agg(loss.alias("loss"), skill.alias("skill"))
        windows = scored.select(window).unique().sort(window)

        def by_model(column: str) -> dict[str, Floats]:
            return {
                model: floats(windows.join(own, on=window, how="left", maintain_order="left"), column)
                for (model,), own in scored.partition_by("model", as_dict=True).items()
            }

        return cls(
            windows["cutoff"].to_numpy().astype("datetime64[D]"),
            windows["horizon_days"].to_numpy().astype(np.int64),
            by_model("loss"),
            by_model("skill"),
        )

    def ratio(self, model: str, other: str, as_of: date) -> Pooled | None:
        """The log ratio of the losses of `model` and `other`, on windows where both were scored."""
        if model not in self.losses or other not in self.losses:
            return None
        return self._pooled(self.losses[model] - self.losses[other], as_of)

    def skill(self, model: str, as_of: date) -> Pooled | None:
        """The skill of a model: of spend, without money of purchases."""
        return self._pooled(self.skills[model], as_of) if model in self.skills else None

    def _pooled(self, scores: Floats, as_of: date) -> Pooled | None:
        """Pool over the windows that were over by `as_of`."""
        over = self.cutoffs + self.horizons <= np.datetime64(as_of, "D")
        return pool(scores[over], self.cutoffs[over], self.horizons[over])


@dataclass(frozen=True)
class Choice:
    """The champion and the evidence for it.

    `preferred`: the family that serves without evidence; where only rules are configured, the one they are compared
    with. `ratios`: log ratios of losses against `preferred`. `to_champion`: log ratios against the champion. `skill`:
    the champion's. `order`: the models that may serve, best first, for days when the champion cannot forecast. `rules`:
    the simple rules, best first. Models without a common scored window have no ratio.
    """

    champion: str
    preferred: str
    code: Code
    ratios: Mapping[str, Pooled]
    to_champion: Mapping[str, Pooled]
    skill: Pooled | None
    order: Sequence[str]
    rules: Sequence[str]

    @property
    def better_rule(self) -> str | None:
        """The best simple rule that beat the champion, a family, by more than chance."""
        if self.champion in self.rules:
            return None
        return next((rule for rule in self.rules if rule in self.to_champion and self.to_champion[rule].is_gain), None)

    @property
    def has_no_skill(self) -> bool:
        """Whether the champion did not beat a forecast of the mean for everybody by more than its standard error.

        False where it was not tried.
        """
        return self.skill is not None and self.skill.value <= (self.skill.error or 0.0)


def choose(evidence: Evidence, contenders: Sequence[Contender], as_of: date) -> Choice:
    """Choose the model that serves all horizons and targets from `as_of` on, from windows that were over by then.

    `contenders`: the configured models, in their order. Among families the preferred one, the first of `PREFERENCE`
    that is configured, serves unless another one beat it on at least `MINIMUM_CUTOFFS` past dates by more than one
    standard error (Breiman et al. 1984); among several, the one with the lowest losses. Simple rules are compared, and
    serve only when no family is configured: the best of them, or the first without evidence. A lucky rule therefore
    never changes which family serves.

    Raises:
        ValueError: there are no contenders.
    """
    names = [contender.name for contender in contenders]
    if not names:
        raise ValueError("there is no model to choose from")
    rules = [contender.name for contender in contenders if contender.is_baseline]
    families = sorted(
        (name for name in names if name not in rules),
        key=lambda name: PREFERENCE.index(name) if name in PREFERENCE else len(PREFERENCE),
    )
    if families:
        preferred = families[0]
    else:
        preferred = next((rule for rule in rules if evidence.ratio(rule, rule, as_of)), rules[0])
    ratios = _ratios(evidence, names, preferred, as_of)

    def by_ratio(candidates: Sequence[str]) -> list[str]:
        """Best first: models compared on few dates come after the others, models compared on none last."""
        return sorted(
            candidates,
            key=lambda name: (
                (ratios[name].cutoffs < MINIMUM_CUTOFFS, ratios[name].value) if name in ratios else (True, np.inf)
            ),
        )

    if families:
        better = [name for name in families if name in ratios and ratios[name].is_gain]
        champion = min(better, key=lambda name: ratios[name].value, default=preferred)
        others = [ratios[name].cutoffs for name in families[1:] if name in ratios]
        if len(families) == 1:
            code: Code = "only_family"
        elif max(others, default=0) < MINIMUM_CUTOFFS:
            code = "preferred_no_evidence"
        else:
            code = "replaced_preferred" if better else "preferred_stands"
    else:
        champion = by_ratio(rules)[0]
        code = "only_rules" if ratios else "only_rules_no_evidence"
    return Choice(
        champion,
        preferred,
        code,
        ratios,
        _ratios(evidence, names, champion, as_of),
        evidence.skill(champion, as_of),
        [champion, *(name for name in by_ratio(families or rules) if name != champion)],
        by_ratio(sorted(rules, key=lambda name: name not in _RULES)),
    )


def _ratios(evidence: Evidence, names: Sequence[str], other: str, as_of: date) -> dict[str, Pooled]:
    found = {name: evidence.ratio(name, other, as_of) for name in names}
    return {name: ratio for name, ratio in found.items() if ratio is not None}
