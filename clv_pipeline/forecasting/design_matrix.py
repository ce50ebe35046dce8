"""From a customers frame to numeric features: one set for all learned models.

`DesignMatrix.learn` learns means, scales and categories from completed windows; the fitted matrix turns any customers
frame into features, row by row. It reads only the customers frame, so that a model sees nothing later than the cutoff.
Season is not a feature: it is in the clock.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
import polars.selectors as cs

from clv_pipeline.forecasting.frames import Floats
from clv_pipeline.forecasting.protocol import (
    ATTRIBUTE_PREFIX,
    CUSTOMER_COLUMNS,
    EVENT_PREFIX,
    PAST_DAYS,
    require_columns,
)

CLIP = 5.0
"""Limit of standardised features: a customer far beyond all training rows is treated like the farthest of them."""

_OTHER = "other"
_CATEGORIES = 20  # one column each; rarer ones share the column "other"
_ROWS_PER_CATEGORY = 20  # fewer say nothing about a category

_AMOUNTS = (
    "frequency",
    "recency_days",
    "tenure_days",
    "days_since_last",
    "orders",
    "revenue",
    "monetary_value",
    "last_spend",
    *(f"purchases_{days}_days" for days in PAST_DAYS),
    *(f"spend_{days}_days" for days in PAST_DAYS),
    "mean_gap_days",
    "gap_deviation_days",
    "lines_per_order",
    "products",
)


@dataclass(frozen=True, eq=False)
class DesignMatrix:
    """The learned transformation: which features vary, their means and scales, and the known categories.

    `names`: the k features of `raw`. `standardised_names`: the k' columns of `standardised`: the same names, then
    "<name> is missing" once per pattern of missing values. `means` and `scales`, shape (k,), belong to the features as
    `standardised` transforms them. `numbers` are the optional numeric columns, `categories` the frequent values of each
    text column.
    """

    names: tuple[str, ...]
    indicators: tuple[str, ...]
    numbers: tuple[str, ...]
    categories: Mapping[str, tuple[str, ...]]
    means: Floats
    scales: Floats

    @classmethod
    def learn(cls, rows: pl.DataFrame) -> "DesignMatrix":
        """Learn from completed windows of any cutoffs (`learn_and_apply`)."""
        return cls.learn_and_apply(rows)[0]

    @classmethod
    def learn_and_apply(cls, rows: pl.DataFrame) -> "tuple[DesignMatrix, Floats]":
        """Learn from completed windows of any cutoffs; with the `standardised` features of the same rows.

        Features without variation in `rows` are left out, and so are exact copies of earlier ones (where every order is
        one purchase day): they carry no information.

        Raises:
            ValueError: `rows` lack a column of the customers frame.
        """
        require_columns(rows, CUSTOMER_COLUMNS, "training rows")
        attributes = cs.starts_with(ATTRIBUTE_PREFIX)
        texts = rows.select("country", attributes & cs.string())
        categories = {column: _frequent(texts[column]) for column in texts.columns}
        numbers = tuple(rows.select(attributes & cs.numeric(), cs.starts_with(EVENT_PREFIX)).columns)
        features = _features(numbers, categories)
        values = rows.select(_tamed(name, feature) for name, feature in features.items())
        seen: set[bytes] = set()
        names, indicators, means, scales = [], [], [], []
        for name in features:
            column = values[name].to_numpy()
            known = np.isfinite(column)
            mean, spread = (column[known].mean(), column[known].std()) if known.any() else (0.0, 0.0)
            # Rounding of the mean gives equal numbers a tiny spread.
            if spread <= 1e-9 * max(1.0, abs(mean)) or column.tobytes() in seen:
                continue
            names.append(name)
            means.append(float(mean))
            scales.append(float(spread))
            if not known.all() and known.tobytes() not in seen:
                indicators.append(name)
            seen |= {column.tobytes(), known.tobytes()}
        learned = cls(tuple(names), tuple(indicators), numbers, categories, np.array(means), np.array(scales))
        known = _matrix(values, [pl.col(name) for name in names])
        return learned, learned._scaled(known, _matrix(values, [pl.col(name).is_null() for name in indicators]))

    @property
    def standardised_names(self) -> tuple[str, ...]:
        """Names of the columns of `standardised`."""
        return (*self.names, *(f"{name} is missing" for name in self.indicators))

    def raw(self, customers: pl.DataFrame) -> Floats:
        """Features unscaled, shape (n, k), for trees; NaN where missing.

        Raises:
            ValueError: a column of the training rows is absent; the text names it.
        """
        features = self._features_of(customers)
        return _matrix(customers, [features[name].alias(name) for name in self.names])

    def standardised(self, customers: pl.DataFrame) -> Floats:
        """Features with mean 0 and scale 1 over the training rows, shape (n, k'), for linear and neural models.

        Logarithms of counts, money and days are taken first. All values are within ±CLIP, and 0 where missing.

        Raises:
            ValueError: a column of the training rows is absent; the text names it.
        """
        features = self._features_of(customers)
        # polars takes the logarithms, numpy does the arithmetic: each value is then the same in any batch, to the last
        # bit.
        values = _matrix(customers, [_tamed(name, features[name]) for name in self.names])
        return self._scaled(values, _matrix(customers, [features[name].is_null() for name in self.indicators]))

    def _scaled(self, values: Floats, missing: Floats) -> Floats:
        values -= self.means
        values /= self.scales
        np.clip(values, -CLIP, CLIP, out=values)
        values[np.isnan(values)] = 0.0
        return np.hstack([values, missing])

    def _features_of(self, customers: pl.DataFrame) -> dict[str, pl.Expr]:
        require_columns(customers, [*CUSTOMER_COLUMNS, *self.numbers, *self.categories], "customers")
        return _features(self.numbers, self.categories)


def _features(numbers: Sequence[str], categories: Mapping[str, tuple[str, ...]]) -> dict[str, pl.Expr]:
    """Every feature as an expression over a customers frame: Float64, null where unknown."""
    idle, gap, known_for = pl.col("days_since_last"), pl.col("mean_gap_days"), pl.col("tenure_days")
    repeats = pl.col("frequency")
    features = {name: pl.col(name) for name in (*_AMOUNTS, *numbers)}
    features |= {
        "spend_per_order": pl.col("revenue") / pl.col("orders"),
        "idle_over_mean_gap": idle / gap,
        "idle_share_of_tenure": idle / known_for.clip(lower_bound=1),
        "gap_variation": pl.col("gap_deviation_days") / gap,
        # The meaning of a silence depends on how often the customer bought: first silences are the most telling.
        "is_first": repeats == 0,
        "is_second": repeats == 1,
        "is_first_times_idle": (repeats == 0) * (idle + 1.0).log(),
        "is_second_times_idle": (repeats == 1) * (idle + 1.0).log(),
        # A difference of logarithms: polars divides a single row in another way than many.
        "is_idle_beyond_45_days": ((idle + 1.0).log() - math.log(46.0)).clip(lower_bound=0.0),
        "is_idle_beyond_180_days": ((idle + 1.0).log() - math.log(181.0)).clip(lower_bound=0.0),
    }
    for what in ("purchases", "spend"):
        recent = pl.col(f"{what}_90_days")
        before = pl.col(f"{what}_180_days") - recent
        features[f"trend_of_{what}"] = _signed_log(recent) - _signed_log(before)
    for column, frequent in categories.items():
        category = _category(pl.col(column))
        features |= {f"{column}={value}": category == value for value in frequent}
        features[f"{column}={_OTHER}"] = ~category.is_in(frequent)
    as_floats = {name: feature.cast(pl.Float64) for name, feature in features.items()}
    return {name: pl.when(value.is_finite()).then(value).alias(name) for name, value in as_floats.items()}


def _tamed(name: str, feature: pl.Expr) -> pl.Expr:
    """The feature for linear and neural models: the logarithm of amounts, bounded features unchanged."""
    bounded = name.startswith((ATTRIBUTE_PREFIX, "trend_", "is_", "idle_share_")) or "=" in name
    return feature if bounded else _signed_log(feature).alias(name)


def _signed_log(amount: pl.Expr) -> pl.Expr:
    # Netted returns make money negative.
    return amount.sign() * amount.abs().log1p()


def _category(column: pl.Expr) -> pl.Expr:
    return column.cast(pl.String).fill_null("unknown")


def _frequent(column: pl.Series) -> tuple[str, ...]:
    """The most frequent values in this order; ties by name."""
    counts = column.to_frame("value").group_by(_category(pl.col("value"))).len()
    enough = counts.filter(pl.col("len") >= _ROWS_PER_CATEGORY, pl.col("value") != _OTHER)
    return tuple(enough.sort("len", "value", descending=[True, False])["value"].head(_CATEGORIES))


def _matrix(rows: pl.DataFrame, columns: list[pl.Expr]) -> Floats:
    if not columns:
        return np.empty((rows.height, 0))
    return np.array(rows.select(columns).to_numpy(), dtype=np.float64, order="C")
