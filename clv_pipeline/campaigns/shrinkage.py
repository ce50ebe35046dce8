"""What campaigns that are over teach about the next one: uplifts per segment, measured ones pulled towards each other.

A measurement counts by its standard error at the uplift that was found. What one segment shows by chance is pulled
towards the whole campaign, and what the whole campaign shows by chance towards the uplift that was assumed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Measured:
    """A measured uplift and its standard error, above 0."""

    uplift: float
    deviation: float


@dataclass(frozen=True)
class Learned:
    """What is known of an uplift: mean, standard deviation, and the weight of what was measured in the mean.

    The rest of the weight, up to 1, is that of the assumption.
    """

    uplift: float
    deviation: float
    weight: float


def pooled(measured: Sequence[Measured]) -> Measured | None:
    """Several measurements of one uplift as one, weighted by the inverse of their variances; None without any."""
    if not measured:
        return None
    precision = sum(1.0 / found.deviation**2 for found in measured)
    mean = sum(found.uplift / found.deviation**2 for found in measured) / precision
    return Measured(mean, math.sqrt(1.0 / precision))


def whole(measured: Measured | None, assumed: float) -> Learned:
    """The uplift of a whole campaign, pulled towards the assumed one.

    The assumption counts like a measurement whose standard error is as large as itself: it may be none as well as twice
    as much. The result is the mean of both, weighted by the inverse of their variances (normal prior and likelihood).
    """
    both = pooled([Measured(assumed, assumed), *([measured] if measured else [])])
    assert both is not None  # noqa: S101  (there is always the assumption)
    return Learned(both.uplift, both.deviation, 1.0 - (both.deviation / assumed) ** 2)


def by_segment(measured: Mapping[str, Measured], everywhere: Learned) -> dict[str, Learned]:
    """The uplift of every measured segment, pulled towards `everywhere`.

    Parametric empirical Bayes (Morris 1983, J. of the American Statistical Association 78): with B = s² / (s² + τ²)
    the mean is B × everywhere + (1 - B) × measured. The variance τ² between segments is the moment estimate of
    DerSimonian & Laird 1986 (Controlled Clinical Trials 7), at least 0. The variance is (1 - B) s² + B² × that of
    `everywhere`.
    """
    between = _variance_between(list(measured.values()))
    learned = {}
    for segment, found in measured.items():
        own = found.deviation**2
        pull = own / (own + between)
        learned[segment] = Learned(
            pull * everywhere.uplift + (1.0 - pull) * found.uplift,
            math.sqrt((1.0 - pull) * own + pull**2 * everywhere.deviation**2),
            1.0 - pull * (1.0 - everywhere.weight),
        )
    return learned


def _variance_between(measured: Sequence[Measured]) -> float:
    mean = pooled(measured)
    if mean is None or len(measured) < 2:
        return 0.0
    weights = [1.0 / found.deviation**2 for found in measured]
    scatter = sum(weight * (found.uplift - mean.uplift) ** 2 for weight, found in zip(weights, measured, strict=True))
    total = sum(weights)
    return max(0.0, (scatter - (len(measured) - 1)) / (total - sum(weight**2 for weight in weights) / total))
