"""The seam of every forecasting model: what it is trained on, what it reports, what it must be able to do.

Only the vocabulary lives here: the frames, `TrainingData`, `FitReport`, and the protocols `Model` and
`FittedModel`. Time is in days everywhere; a year is 365.25 days. All frames are polars.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, ClassVar, Literal, Protocol

import polars as pl

Verdict = Literal["ok", "at_bound", "degenerate", "not_converged", "no_training_data"]
Target = Literal["purchases", "spend", "purchase"]

ALL_TARGETS: frozenset[Target] = frozenset({"purchases", "spend", "purchase"})
SPEND_TARGETS: frozenset[Target] = frozenset({"purchases", "spend"})

PAST_DAYS = (30, 90, 180, 365)
"""Lengths of the past windows that every customers frame describes, whatever its horizon."""

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
    "horizon_days": "length of the window to forecast",
    "purchases_last_window": "purchase days in (cutoff - h, cutoff]",
    "spend_last_window": "money spent in (cutoff - h, cutoff]",
    "purchases_same_window_last_year": "purchase days in (cutoff - 365, cutoff - 365 + h]",
    "spend_same_window_last_year": "money spent in (cutoff - 365, cutoff - 365 + h]",
    **{f"purchases_{days}_days": f"purchase days in (cutoff - {days}, cutoff]" for days in PAST_DAYS},
    **{f"spend_{days}_days": f"money spent in (cutoff - {days}, cutoff]" for days in PAST_DAYS},
    "mean_gap_days": "mean days between purchase days; null without a repeat",
    "gap_deviation_days": "standard deviation of those gaps; null below two repeats",
    "lines_per_order": "transaction lines per order",
    "products": "distinct products bought; null where products are not known",
    "first_purchase_date": "the cohort",
    "country": "of the latest purchase; null where not known",
}
ATTRIBUTE_PREFIX, EVENT_PREFIX = "attribute:", "event:"
"""What the names of further, optional columns of a customers frame begin with: numbers or text of demographics,
and numbers about engagement events, e.g. `attribute:age`, `event:newsletter:count_90_days`. Null where unknown."""

OUTCOME_COLUMNS: Mapping[str, str] = {
    "actual_purchases": "purchase days in (cutoff, cutoff + h]",
    "actual_spend": "money spent in (cutoff, cutoff + h]",
}
COUNT_COLUMNS = ("frequency", "recency_days", "tenure_days", "customers")
SPEND_COLUMNS = ("frequency", "monetary_value", "customers")
DAILY_COLUMNS: Mapping[str, str] = {
    "day": "calendar day",
    "purchases": "purchase days that customers had on it",
    "new_customers": "those of them that were a customer's first",
    "spend": "money spent on it",
}


def require_columns(frame: pl.DataFrame, columns: Iterable[str], what: str) -> None:
    """Raise ValueError that names `what` and the missing columns when `frame` lacks any of `columns`."""
    missing = [column for column in columns if column not in frame.columns]
    if missing:
        raise ValueError(f"{what} lacks the columns {', '.join(missing)}; it has {', '.join(frame.columns)}")


@dataclass(frozen=True)
class TrainingData:
    """Everything that a model may learn from as of one cutoff, already reduced to what is sufficient.

    `customer_counts`: one row per distinct (frequency, recency_days, tenure_days) with its number of
    `customers`; the sufficient statistic of the buy-till-you-die likelihoods.
    `repeat_spend`: one row per distinct (frequency, monetary_value) with its number of `customers`, of repeat
    buyers with positive mean spend; may be a seeded bounded sample of them.
    `completed_windows`: customers frames of earlier cutoffs, any horizons, with `actual_purchases` and
    `actual_spend`; may be empty, and may be a seeded bounded sample of their customers.
    `current_customers`: customers frames of the cutoff itself, any horizons, to set totals right; may be empty, and
    may be a seeded bounded sample of the customers.
    `daily_totals`: what all customers did together (DAILY_COLUMNS), one row per calendar day with sales, by day.

    ValueError when a window ends after `cutoff`, or a day lies after it: that would be learning from the future.
    """

    cutoff: date
    customer_counts: pl.DataFrame
    repeat_spend: pl.DataFrame
    completed_windows: pl.DataFrame
    daily_totals: pl.DataFrame
    current_customers: pl.DataFrame = field(default_factory=pl.DataFrame)

    def __post_init__(self) -> None:
        require_columns(self.customer_counts, COUNT_COLUMNS, "customer_counts")
        require_columns(self.repeat_spend, SPEND_COLUMNS, "repeat_spend")
        require_columns(self.daily_totals, DAILY_COLUMNS, "daily_totals")
        latest: Any = self.daily_totals["day"].max()
        if latest is not None and latest > self.cutoff:
            raise ValueError(f"daily_totals reaches {latest}, after {self.cutoff}: a model would learn from the future")
        if self.completed_windows.is_empty():
            return
        require_columns(self.completed_windows, [*CUSTOMER_COLUMNS, *OUTCOME_COLUMNS], "completed_windows")
        ends = pl.col("cutoff") + pl.duration(days=pl.col("horizon_days"))
        leaking = self.completed_windows.filter(ends > self.cutoff)
        if not leaking.is_empty():
            window = leaking.select("cutoff", "horizon_days").row(0)
            raise ValueError(
                f"completed_windows holds {leaking.height} rows whose window ends after {self.cutoff}, "
                f"e.g. {window[1]} days from {window[0]}: a model would learn from the future"
            )

    @property
    def customers(self) -> int:
        """Number of customers known at the cutoff."""
        return int(self.customer_counts["customers"].sum())

    @property
    def history_days(self) -> int:
        """Days from anyone's first purchase up to and including the cutoff; 0 without customers."""
        longest: Any = self.customer_counts["tenure_days"].max()
        return 0 if longest is None else int(longest) + 1


@dataclass(frozen=True)
class FitReport:
    """What a fit found, in values that JSON can carry: a row of the table `fitted_models`.

    `parameters` are what a reader wants to know of the fit; fits are seeded, so that a fit is repeated and never
    stored. `verdict`: `ok`; `at_bound` (a
    parameter ran to the edge of what is plausible; the estimates are used); `degenerate` (the data do not
    identify the parameters), `not_converged` (no start reached an optimum), `no_training_data`; of a model
    with parts, the worst of theirs. `notes` say for a human what follows from the verdict, e.g. which
    fallback serves the forecast. `standard_errors` are of the parameters whose part has the verdict ok.
    """

    model: str
    as_of: date
    parameters: dict[str, Any]
    customers: int
    verdict: Verdict
    notes: str
    standard_errors: dict[str, float] = field(default_factory=dict)
    log_likelihood: float | None = None


class FittedModel(Protocol):
    """A model after its fit: it can forecast any customers frame, in batches of any size and order."""

    @property
    def report(self) -> FitReport:
        """What the fit found."""
        ...

    def can_forecast(self, horizon_days: int) -> bool:
        """Whether this fit has what it takes for this horizon; the report's notes say why when it has not."""
        ...

    def forecast(self, customers: pl.DataFrame, horizon_days: int, annual_discount_rate: float = 0.0) -> pl.DataFrame:
        """Forecast one row per row of `customers`, in its order.

        The columns are those of `frames.FORECAST_SCHEMA`, null where they are none of the model's targets. A
        forecast of a customer does not depend on the other rows. ValueError when `can_forecast(horizon_days)` is
        false or a column is missing.
        """
        ...


class Model(Protocol):
    """A model before its fit, created without arguments; stateless, so one instance serves all cutoffs.

    `targets` are what its forecasts say: `p_purchase` is null for a model without "purchase", and a model of
    "purchase" alone leaves expected_purchases, expected_spend and discounted_spend null. `is_baseline`: a rule
    without estimation, which the others have to beat to serve.
    """

    name: ClassVar[str]
    targets: ClassVar[frozenset[Target]]
    is_baseline: ClassVar[bool]

    def fit(self, training: TrainingData, horizons_days: Sequence[int]) -> FittedModel:
        """Fit as of `training.cutoff` for these horizons; never raises for poor data: the verdict says it."""
        ...
