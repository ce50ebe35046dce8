"""What a contact added: audience and control compared within their strata, once, on the day stated at the start.

Outcomes are zero-inflated and heavy-tailed, and control groups are small: a single order can make a group's mean. No
approximation by a normal distribution holds there, so the lot itself is asked how far the groups would be apart by
chance:

- What was expected of a customer at the start is taken off first (CUPED: Deng, Xu, Kohavi & Walker 2013, WSDM), with
  one slope for all strata and both groups.
- An uplift u is tested: under it, the audience's outcomes divided by 1 + u and the control's are alike (Fieller 1954,
  JRSS B 16). All u that are not rejected are the interval, which may have no end.
- The test draws the control group again and again within the strata, and counts how often the groups are as far apart
  as they are (Fisher 1935, The Design of Experiments; for its level with drawn permutations: Phipson & Smyth 2010,
  Statistical Applications in Genetics and Molecular Biology 9). Without an uplift it is wrong in at most 5 % of
  campaigns, whatever outcomes are like.
- A contact may bring larger orders, or more of them. In the second case the control scatters more than the audience's
  outcomes divided by 1 + u; the wider scatter counts.

Whoever looks every day and stops at the first interval that leaves out none is wrong far more often. Confidence
sequences, which allow for that, need customers who arrive one by one; here all are there from the start, and the error
could only be shared out among the days, so that hardly an uplift would be found before the last one. Therefore there is
one look.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from clv_pipeline.campaigns.draw import LEAST_OF_EACH

if TYPE_CHECKING:
    import polars as pl

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

ERROR = 0.05
"""Probability with which an interval may miss the true uplift, half of it on either side."""

POWER = 0.8
"""Probability with which an uplift of the detectable size is found."""

LOTS = 1_999
"""How often the control group is drawn again. With more, ends of intervals move by less than a tenth of their width."""

_SEED = 0
_BLOCK = 4_000_000
"""Most random numbers in memory at a time."""
_UPLIFTS = (-0.99, 100.0)
"""What is looked through for an interval."""
_GRID = 80
_HALVINGS = 30


@dataclass(frozen=True)
class Uplift:
    """An uplift of what is measured, as a share of what would have come without the campaign.

    `estimate` is None where there is nothing to divide by; `lower` and `upper` are None where the interval has no end
    within -99 % and 10,000 %.
    """

    estimate: float | None
    lower: float | None
    upper: float | None

    @property
    def is_found(self) -> bool:
        """Whether none is not in the interval, on either side."""
        return (self.lower is not None and self.lower > 0.0) or (self.upper is not None and self.upper < 0.0)


@dataclass(frozen=True)
class _Group:
    """Customers, means and central sums of outcome y and expectation x of one group, per stratum."""

    n: Floats
    y: Floats
    x: Floats
    yy: Floats
    xy: Floats
    xx: Floats

    @classmethod
    def of(cls, stratum: Integers, strata: int, outcome: Floats, expected: Floats) -> _Group:
        def total(values: Floats) -> Floats:
            return np.bincount(stratum, weights=values, minlength=strata).astype(np.float64)

        n = total(np.ones(len(stratum)))
        y, x = (total(values) / np.maximum(n, 1.0) for values in (outcome, expected))
        dy, dx = outcome - y[stratum], expected - x[stratum]
        return cls(n, y, x, total(dy * dy), total(dx * dy), total(dx * dx))

    def only(self, strata: NDArray[np.bool_]) -> _Group:
        return _Group(*(getattr(self, field.name)[strata] for field in fields(self)))

    def squares(self, scale: float, slope: float, off: Floats) -> Floats:
        """Σ (scale · y - slope · x)² around a mean that is `off` from that of the group."""
        return scale**2 * self.yy - 2.0 * scale * slope * self.xy + slope**2 * self.xx + self.n * off**2


class Comparison:
    """Audience and control of one campaign, or of a part of it.

    Strata with fewer than two of either group are left out: nothing can be compared there. Strata count by the
    audience's customers in them, so that the uplift is that of the customers who were contacted.
    """

    def __init__(self, stratum: Integers, is_control: NDArray[np.bool_], outcome: Floats, expected: Floats) -> None:
        """One value per customer: the number of the stratum, the group, what came, and what had been expected."""
        strata = int(stratum.max(initial=-1)) + 1
        groups = [_Group.of(stratum[of], strata, outcome[of], expected[of]) for of in (~is_control, is_control)]
        compared = np.logical_and(*(group.n >= LEAST_OF_EACH for group in groups))
        self._audience, self._control = (group.only(compared) for group in groups)
        contacts = self._audience.n
        self._weight = contacts / contacts.sum() if len(contacts) else contacts
        kept = compared[stratum] if strata else np.zeros(0, dtype=bool)
        self._stratum = (np.cumsum(compared) - 1)[stratum[kept]] if strata else stratum
        self._of_control = is_control[kept]
        self._values = np.column_stack([outcome * ~is_control, outcome * is_control, expected])[kept]

    @classmethod
    def of(cls, members: pl.DataFrame) -> Comparison:
        """From a frame with `stratum`, `is_control`, `outcome`, `expected`."""
        import polars as pl

        return cls(
            members["stratum"].rank("dense").cast(pl.Int64).to_numpy() - 1,
            members["is_control"].to_numpy(),
            members["outcome"].cast(pl.Float64).to_numpy(),
            members["expected"].cast(pl.Float64).to_numpy(),
        )

    @property
    def is_possible(self) -> bool:
        """Whether there is a stratum with customers enough of both groups."""
        return bool(len(self._weight))

    @property
    def without_campaign(self) -> float:
        """What a customer of the audience would have brought on average, as the control tells."""
        # The difference is linear in the scale; at 0 only the control is left.
        return -self._difference(0.0)

    @property
    def with_campaign(self) -> float:
        """What a customer of the audience brought on average, had both groups been expected to bring the same."""
        return self._difference(1.0) + self.without_campaign

    @property
    def estimate(self) -> float | None:
        """The uplift, at least -1; None where nothing can be compared, or nothing would have come without a contact."""
        if not self.is_possible or not self.without_campaign > 0.0:
            return None
        # What was expected may take off more than came.
        return max(self.with_campaign / self.without_campaign, 0.0) - 1.0

    @property
    def deviation_without_uplift(self) -> float | None:
        """Standard error that the estimate would have if there were no uplift; None like the estimate."""
        return None if self.estimate is None else self._deviations(1.0)[1] / self.without_campaign

    @property
    def deviation(self) -> float | None:
        """Standard error of the estimate at the uplift that it is, as the width of the interval; None like it.

        At least that without an uplift: what is divided by scatters the more, the larger the uplift is, and nobody who
        brought nothing is known for sure.
        """
        if self.estimate is None or self.deviation_without_uplift is None:
            return None
        ratio = 1.0 + max(self.estimate, 0.0)
        found = self._deviations(1.0 / ratio)[1] * ratio / self.without_campaign
        return max(found, self.deviation_without_uplift)

    def added(self, baseline: float, uplift: float) -> tuple[float, float] | None:
        """The difference between the groups and its standard error at an uplift, as shares of a baseline.

        For a part of a campaign, whose few customers of the control cannot tell what would have come: the baseline
        does, and the uplift is that of the whole. None where nothing can be compared.
        """
        if not self.is_possible or not baseline > 0.0:
            return None
        scale = 1.0 / (1.0 + max(uplift, 0.0))
        of_audience, of_control = self._variances(scale, 1.0 / scale)
        found = math.sqrt(float((of_audience / scale**2 + of_control).sum()))
        return self._difference(1.0) / baseline, max(found, self._deviations(1.0)[1]) / baseline

    def added_by(self, uplift: float) -> float | None:
        """What a contact added on average, if this is the uplift; None if it says nothing of that."""
        if uplift <= -1.0:
            return -self.without_campaign
        # What came is known far better than what would have come.
        return self.with_campaign * uplift / (1.0 + uplift) if self.with_campaign > 0.0 else None

    def uplift(self) -> Uplift:
        """The uplift with its interval."""
        if not self.is_possible:
            return Uplift(None, None, None)
        return Uplift(self.estimate, *self._interval())

    def is_rejected(self, uplift: float) -> bool:
        """Whether what came contradicts this uplift, on either side."""
        scale = 1.0 / (1.0 + uplift)
        slope, difference = self._slope(scale), self._difference(scale)
        alike, wider = self._deviations(scale)
        if not alike > 0.0:
            return False
        drawn = self._drawn @ np.array([scale, 1.0, -slope]) * (wider / alike)
        # The draw that was made is one of them.
        tails = (1 + np.count_nonzero(drawn >= difference), 1 + np.count_nonzero(drawn <= difference))
        return bool(min(tails) <= ERROR / 2.0 * (LOTS + 1))

    @cached_property
    def _drawn(self) -> Floats:
        """Differences of the groups in the outcomes of either of them and in the expectation, one row per lot."""
        rng = np.random.default_rng(_SEED)
        differences = np.zeros((LOTS, self._values.shape[1]))
        for number, (contacts, controls, weight) in enumerate(
            zip(self._audience.n, self._control.n, self._weight, strict=True)
        ):
            values = self._values[self._stratum == number]
            size, left_out = len(values), int(controls)
            at_a_time = max(1, _BLOCK // size)
            for first in range(0, LOTS, at_a_time):
                lots = rng.random((min(at_a_time, LOTS - first), size), dtype=np.float32)
                chosen = np.argpartition(lots, left_out, axis=1)[:, :left_out]
                sums = values[chosen].sum(axis=1)
                differences[first : first + len(sums)] += weight * (
                    values.sum(axis=0) / contacts - sums * (1.0 / contacts + 1.0 / controls)
                )
        return differences

    def _slope(self, scale: float) -> float:
        """By how much the outcome grows with the expectation within strata, with the audience's times `scale`."""
        a, c = self._audience, self._control
        apart = a.n * c.n / (a.n + c.n)
        spread = (a.xx + c.xx + apart * (a.x - c.x) ** 2).sum()
        together = (scale * a.xy + c.xy + apart * (scale * a.y - c.y) * (a.x - c.x)).sum()
        return float(together / spread) if spread > 0.0 else 0.0

    def _apart(self, scale: float) -> Floats:
        """By how much the mean of the audience, times `scale`, is above that of the control, per stratum."""
        a, c = self._audience, self._control
        return scale * a.y - c.y - self._slope(scale) * (a.x - c.x)

    def _difference(self, scale: float) -> float:
        return float((self._weight * self._apart(scale)).sum())

    def _deviations(self, scale: float) -> tuple[float, float]:
        """The standard deviation of the difference if the groups are alike, and if a contact brings more orders."""
        # Where there are more orders, not larger ones, the variance is divided by 1 + u like the mean, not by its
        # square. Of the two, the larger variance counts for the control.
        alike, wider_one = (
            math.sqrt(float(sum(part.sum() for part in self._variances(scale, wider))))
            for wider in (1.0, max(1.0 / scale, 1.0))
        )
        return alike, wider_one

    def _variances(self, scale: float, wider: float) -> tuple[Floats, Floats]:
        """What audience, times `scale`, and control add to the variance of the difference, per stratum.

        Around the mean of both groups: an outlier counts the same wherever the lot has put it.
        """
        a, c = self._audience, self._control
        n, slope, apart = a.n + c.n, self._slope(scale), self._apart(scale)
        of_audience = a.squares(scale, slope, c.n / n * apart)
        of_control = c.squares(1.0, slope, a.n / n * apart)
        for_audience = (of_audience + of_control) / (n - 1.0)
        for_control = (wider * of_audience + of_control) / (n - 1.0)
        return self._weight**2 * for_audience / a.n, self._weight**2 * for_control / c.n

    def _interval(self) -> tuple[float | None, float | None]:
        """The ends of the interval, looked for outwards from the estimate, which is never rejected."""
        came, without = self.with_campaign, self.without_campaign
        if not (came > 0.0 or without > 0.0):
            return None, None
        lowest, highest = _UPLIFTS
        estimate = highest if not without > 0.0 else min(max(came / without - 1.0, lowest), highest)
        grid = np.geomspace(1.0 + lowest, 1.0 + highest, _GRID) - 1.0
        return self._end(estimate, grid[grid < estimate][::-1]), self._end(estimate, grid[grid > estimate])

    def _end(self, kept: float, outward: Floats) -> float | None:
        """The last uplift that is kept on the way outward from one that is; None if all are."""
        for uplift in map(float, outward):
            if self.is_rejected(uplift):
                rejected = uplift
                for _ in range(_HALVINGS):
                    middle = (kept + rejected) / 2.0
                    if self.is_rejected(middle):
                        rejected = middle
                    else:
                        kept = middle
                return kept
            kept = uplift
        return None


def detectable(deviation: float) -> float:
    """The uplift that is found with probability POWER, if the estimate scatters by `deviation` and is normal."""
    from scipy.special import ndtri

    return float(deviation * (ndtri(1.0 - ERROR / 2.0) + ndtri(POWER)))
