"""The interface of every forecasting model: its training data, its report, and its methods.

Only the vocabulary lives here: the frames, `TrainingData`, `FitReport`, `Paths`, and the protocols `Model` and
`FittedModel`. Time is in days everywhere; a year is 365.25 days. All frames are polars.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

import polars as pl

if TYPE_CHECKING:
    from clv_pipeline.forecasting.ground import Ground
    from clv_pipeline.forecasting.paths import Paths

Verdict = Literal["ok", "at_bound", "degenerate", "not_converged", "no_training_data"]

PIECES_DAYS = (30, 90, 180, 365)
"""Ends of the pieces of the future that models learn from, for any configured horizons.

So a forecast over 90 days does not depend on whether 30 days are requested, too.
"""

PAST_DAYS = (30, 90, 180, 365)
"""Lengths of the past windows in every customers frame."""

YEAR_AGO_DAYS = (30, 90, 180)
"""Lengths of the windows a year ago in every customers frame."""

CUSTOMER_COLUMNS: Mapping[str, str] = {
    "customer_id": "key",
    "cutoff": "last day of history",
    "frequency": "purchase days after the first",
    "recency_days": "days from the first to the last purchase",
    "tenure_days": "days from the first purchase to the cutoff",
    "days_since_last": "days from the last purchase to the cutoff",
    "orders": "orders up to the cutoff",
    "revenue": "money spent up to the cutoff",
    "monetary_value": "mean spend per repeat purchase day; 0.0 without a repeat",
    **{f"purchases_{days}_days": f"purchase days in (cutoff - {days}, cutoff]" for days in PAST_DAYS},
    **{f"spend_{days}_days": f"money spent in (cutoff - {days}, cutoff]" for days in PAST_DAYS},
    **{
        f"purchases_{days}_days_year_ago": f"purchase days in (cutoff - 365, cutoff - 365 + {days}]"
        for days in YEAR_AGO_DAYS
    },
    "last_spend": "money spent on the last purchase day",
    "largest_spend": "the most money spent on one purchase day",
    "log_spend": "sum over purchase days of the natural logarithm of their money",
    "squared_log_spend": "sum of the squares of those logarithms",
    "mean_gap_days": "mean days between purchase days; null without a repeat",
    "gap_deviation_days": "standard deviation of those gaps; null below two repeats",
    "lines_per_order": "transaction lines per order",
    "products": "distinct products bought; null where products are not known",
    "first_purchase_date": "the cohort",
    "country": "of the latest purchase; null where not known",
}
ATTRIBUTE_PREFIX, EVENT_PREFIX = "attribute:", "event:"
"""Prefixes of optional columns of a customers frame. Null means unknown.

Demographics are numbers or text, e.g. `attribute:age`; engagement events are numbers, e.g.
`event:newsletter:count_90_days`.
"""

OUTCOME_COLUMNS: Mapping[str, str] = {
    "actual_purchases": "purchase days in (cutoff, cutoff + h]",
    "actual_spend": "money spent in (cutoff, cutoff + h]",
}
PIECE_OUTCOMES: Mapping[str, str] = {
    **{f"actual_purchases_{h}": f"purchase days in (cutoff, cutoff + {h}]; null while not over" for h in PIECES_DAYS},
    **{f"actual_spend_{h}": f"money spent in (cutoff, cutoff + {h}]; null while not over" for h in PIECES_DAYS},
}
COUNT_COLUMNS = ("frequency", "recency_days", "tenure_days", "customers")
SPEND_COLUMNS = ("frequency", "monetary_value", "customers")
DAILY_COLUMNS: Mapping[str, str] = {
    "day": "calendar day",
    "purchases": "purchase days that customers had on it",
    "new_customers": "those of them that were a customer's first",
    "spend": "money spent on it",
}
COHORT_COLUMNS: Mapping[str, str] = {
    "first_week": "Monday of the week in which a cohort first bought",
    "day": "calendar day",
    "repeats": "purchase days that the cohort had on it, first ones left out",
}


def window_columns(horizon_days: int) -> Mapping[str, str]:
    """The columns of a customers frame for the two past windows of a horizon's length, with their meaning.

    Only the rules that repeat such a window read them (`baselines`). Backtests carry them; serving a model does not
    need them.
    """
    return {
        f"purchases_last_window:{horizon_days}": "purchase days in (cutoff - h, cutoff]",
        f"spend_last_window:{horizon_days}": "money spent in (cutoff - h, cutoff]",
        f"purchases_same_window_last_year:{horizon_days}": "purchase days in (cutoff - 365, cutoff - 365 + h]",
        f"spend_same_window_last_year:{horizon_days}": "money spent in (cutoff - 365, cutoff - 365 + h]",
    }


def require_columns(frame: pl.DataFrame, columns: Iterable[str], what: str) -> None:
    """Check that `frame` has all of `columns`.

    Raises:
        ValueError: columns are missing; the text names them and `what`.
    """
    missing = [column for column in columns if column not in frame.columns]
    if missing:
        raise ValueError(f"{what} lacks the columns {', '.join(missing)}; it has {', '.join(frame.columns)}")


@dataclass(frozen=True)
class TrainingData:
    """The training data of one cutoff, reduced to sufficient statistics.

    `customer_counts`: one row per distinct (frequency, recency_days, tenure_days) with its number of `customers`; the
    sufficient statistic of the buy-till-you-die likelihoods.
    `repeat_spend`: one row per distinct (frequency, monetary_value) with its number of `customers`, for repeat buyers
    with positive mean spend; may be a seeded bounded sample.
    `completed_windows`: one row per customer and earlier cutoff: a customers frame with PIECE_OUTCOMES, null for the
    pieces that were not over by `cutoff`; may be empty, and may be a seeded bounded sample of their customers.
    `current_customers`: the customers frame of the cutoff itself, for scaling totals; may be empty, and may be a seeded
    bounded sample of the customers.
    `daily_totals`: totals over all customers (DAILY_COLUMNS), one row per calendar day with sales, by day.
    `cohort_days`: repeat purchases by cohort and day (COHORT_COLUMNS), one row where there are any.

    Raises:
        ValueError: an outcome ends after `cutoff`, or a day lies after it: that would leak the future.
    """

    cutoff: date
    customer_counts: pl.DataFrame
    repeat_spend: pl.DataFrame
    completed_windows: pl.DataFrame
    daily_totals: pl.DataFrame
    cohort_days: pl.DataFrame
    current_customers: pl.DataFrame = field(default_factory=pl.DataFrame)

    def __post_init__(self) -> None:
        require_columns(self.customer_counts, COUNT_COLUMNS, "customer_counts")
        require_columns(self.repeat_spend, SPEND_COLUMNS, "repeat_spend")
        require_columns(self.daily_totals, DAILY_COLUMNS, "daily_totals")
        require_columns(self.cohort_days, COHORT_COLUMNS, "cohort_days")
        for name, frame in (("daily_totals", self.daily_totals), ("cohort_days", self.cohort_days)):
            latest: Any = frame["day"].max()
            if latest is not None and latest > self.cutoff:
                raise ValueError(f"{name} reaches {latest}, after {self.cutoff}: a model would learn from the future")
        if self.completed_windows.is_empty():
            return
        require_columns(self.completed_windows, [*CUSTOMER_COLUMNS, *PIECE_OUTCOMES], "completed_windows")
        for days in PIECES_DAYS:
            leaking = self.completed_windows.filter(
                pl.col(f"actual_purchases_{days}").is_not_null(),
                pl.col("cutoff") + pl.duration(days=days) > self.cutoff,
            )
            if not leaking.is_empty():
                raise ValueError(
                    f"completed_windows holds {leaking.height} outcomes of {days} days that end after {self.cutoff}, "
                    f"e.g. from {leaking['cutoff'][0]}: a model would learn from the future"
                )

    @property
    def customers(self) -> int:
        """Number of customers known at the cutoff."""
        return int(self.customer_counts["customers"].sum())

    @property
    def has_money(self) -> bool:
        """Whether the shop has money; without it everything about money is null, and purchases alone are forecast."""
        return self.daily_totals["spend"].null_count() == 0

    @property
    def history_days(self) -> int:
        """Days from anyone's first purchase up to and including the cutoff; 0 without customers."""
        longest: Any = self.customer_counts["tenure_days"].max()
        return 0 if longest is None else int(longest) + 1


@dataclass(frozen=True)
class FitReport:
    """The result of a fit, in values that JSON can carry: a row of the table `fitted_models`.

    `parameters` describe the fit for a reader. Fits are seeded: they can be repeated, and are never stored.
    `verdict`: `ok`; `at_bound` (a parameter ran to the edge of what is plausible), `degenerate` (the data do not
    identify the parameters), `not_converged` (no start reached an optimum), `no_training_data`. A model with parts has
    the worst of their verdicts. `notes` tell a reader what follows from the verdict, e.g. which fallback is used;
    `codes` tell a machine the same. `standard_errors` cover the parameters of parts with the verdict ok.
    """

    model: str
    as_of: date
    parameters: dict[str, Any]
    customers: int
    verdict: Verdict
    notes: str
    codes: tuple[str, ...] = ()
    standard_errors: dict[str, float] = field(default_factory=dict)
    log_likelihood: float | None = None


class FittedModel(Protocol):
    """A model after its fit: it can forecast any customers frame, in batches of any size and order."""

    @property
    def report(self) -> FitReport:
        """The result of the fit."""
        ...

    def can_forecast(self, horizon_days: int) -> bool:
        """Whether this fit can forecast this horizon; if not, the notes of its report give the reason."""
        ...

    def forecast(
        self,
        customers: pl.DataFrame,
        days: Sequence[int],
        annual_discount_rate: float = 0.0,
        *,
        with_outlook: bool = False,
    ) -> Paths:
        """The paths of these customers, read at these days: one row per row of `customers`, in its order.

        `with_outlook`: also the numbers without a horizon, lifetime value and next order, where the model has them. A
        customer's forecast depends neither on the other rows nor on the other requested days.

        Raises:
            ValueError: `can_forecast` is false for one of the days, or a column is missing.
        """
        ...


class Model(Protocol):
    """A family of forecasts before its fit, created without arguments; stateless, so one instance serves all cutoffs.

    `is_baseline`: a rule without estimation, for comparison; it serves only where nothing else is configured.
    """

    name: ClassVar[str]
    is_baseline: ClassVar[bool]

    def fit(self, ground: Ground) -> FittedModel:
        """Fit as of the cutoff of `ground`, for any horizon. Poor data raise no error: the verdict reports them."""
        ...
