"""Facts about customers, and swaps of one fact between customers that leave them possible customers.

A customer is a history up to the last purchase, a silence since then, and money per purchase. A swap replaces one of
these; everything derived from it follows: dates, counts and money of past windows. Forecasts are therefore made only
for customers that a shop could have, never for one who has been silent for 200 days and bought in the last 30.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

from clv_pipeline.evaluation.scores import Integers
from clv_pipeline.forecasting.frames import Floats, floats
from clv_pipeline.forecasting.protocol import ATTRIBUTE_PREFIX, EVENT_PREFIX, PAST_DAYS, YEAR_AGO_DAYS

FACTS: Mapping[str, tuple[str, ...]] = {
    "days_since_last": ("days_since_last",),
    "frequency": ("frequency", "recency_days", "orders", "mean_gap_days", "gap_deviation_days"),
    "spend_per_purchase": (
        *("revenue", "monetary_value", "last_spend", "largest_spend", "log_spend", "squared_log_spend"),
    ),
    "recent_activity": tuple(f"{what}_{days}_days" for what in ("purchases", "spend") for days in PAST_DAYS),
    "same_window_last_year": tuple(f"purchases_{days}_days_year_ago" for days in YEAR_AGO_DAYS),
    "basket_size": ("lines_per_order",),
    "product_breadth": ("products",),
    "country": ("country",),
}
"""The columns that state a fact. What a swap changes:

`days_since_last`: the silence. All purchases move with it, and so do the contents of past windows.
`frequency`: the purchases up to the last one; silence and money per purchase stay.
`spend_per_purchase`: all money, scaled to the other customer's mean per purchase.
`recent_activity`, `same_window_last_year`: counts of purchases in past windows, as far as frequency, first and last
purchase allow, and the money of these windows.
Others, attributes and events: their value; products never outnumber lines.
"""

_YEAR = 365
_DAYS_AGO = np.array(sorted({*PAST_DAYS, *(_YEAR - days for days in YEAR_AGO_DAYS)}))
_IS_RECENT = np.isin(_DAYS_AGO, PAST_DAYS)
"""All past windows are differences of one curve: purchases within the last n days."""

_WINDOWS = ("recent_activity", "same_window_last_year")
_HISTORY = (
    *(column for fact in list(FACTS)[:5] for column in FACTS[fact]),
    *("tenure_days", "first_purchase_date"),
)
_MONEY = (
    *("revenue", "monetary_value", "last_spend", "largest_spend"),
    *(f"spend_{days}_days" for days in PAST_DAYS),
)
_OF_RULES = {
    "spend_per_purchase": ("spend_last_window:", "spend_same_window_last_year:"),
    "recent_activity": ("purchases_last_window:", "spend_last_window:"),
    "same_window_last_year": ("purchases_same_window_last_year:", "spend_same_window_last_year:"),
}
"""Prefixes of columns for windows of a horizon's length. Only rules read them; they state facts where they exist."""

_SMALLEST = 0.01


def facts_of(customers: pl.DataFrame) -> dict[str, tuple[str, ...]]:
    """The facts of a customers frame with their columns, optional ones included, without facts known of nobody."""
    facts = dict(FACTS)
    for fact, beginnings in _OF_RULES.items():
        facts[fact] += tuple(column for column in customers.columns if column.startswith(beginnings))
    events: dict[str, list[str]] = defaultdict(list)
    for column in customers.columns:
        if column.startswith(ATTRIBUTE_PREFIX):
            facts[column] = (column,)
        elif column.startswith(EVENT_PREFIX):
            events[column.rpartition(":")[0]].append(column)
    facts |= {event: tuple(columns) for event, columns in events.items()}
    known = {column for column in customers.columns if customers[column].null_count() < customers.height}
    return {fact: columns for fact, columns in facts.items() if known.intersection(columns)}


def amounts(customers: pl.DataFrame, fact: str, columns: Sequence[str]) -> Floats:
    """The amount of a fact for each customer, for its direction: NaN where unknown, and for categories."""
    if fact == "spend_per_purchase":
        return _spend_per_purchase(customers)
    if fact in _WINDOWS:
        # Money goes with the purchases.
        counts = [floats(customers, column) for column in columns if column.startswith("purchases")]
        return np.asarray(np.nansum(counts, axis=0), dtype=np.float64)
    if not customers.schema[columns[0]].is_numeric():
        return np.full(customers.height, np.nan)
    return floats(customers, columns[0])


def swapped(customers: pl.DataFrame, fact: str, columns: Sequence[str], order: Integers) -> pl.DataFrame:
    """Every customer with the fact of the customer whose row `order` names, and everything derived from it."""
    donors = customers[order]
    extra = [column for column in columns if column not in FACTS.get(fact, columns)]
    if fact == "days_since_last":
        return _at_silence(customers, floats(donors, "days_since_last"))
    if fact == "frequency":
        history = _at_level(customers.with_columns(donors.select(_HISTORY)), _spend_per_purchase(customers))
        return _limited(_at_silence(history, floats(customers, "days_since_last")))
    if fact == "spend_per_purchase":
        return _at_level(customers, _spend_per_purchase(donors), (*_MONEY, *extra))
    if fact in _WINDOWS:
        own, other = _counts(customers), _counts(donors)
        is_moved = _IS_RECENT if fact == "recent_activity" else ~_IS_RECENT
        # A window a year ago takes over its own purchases, not those since then.
        other[:, ~_IS_RECENT] += own[:, -1:] - other[:, -1:]
        moved = _with_counts(customers, np.where(is_moved, other, own))
        return moved.with_columns(donors.select(extra))
    return _limited(customers.with_columns(donors.select(columns)))


def _spend_per_purchase(customers: pl.DataFrame) -> Floats:
    return floats(customers, "revenue") / (floats(customers, "frequency") + 1.0)


def _at_level(customers: pl.DataFrame, level: Floats, money: Sequence[str] = _MONEY) -> pl.DataFrame:
    """The same purchases with all money scaled to `level` per purchase.

    Money that returns have used up cannot be scaled, and stays.
    """
    own = _spend_per_purchase(customers)
    ratio = np.divide(np.maximum(level, _SMALLEST), own, out=np.ones_like(own), where=own > 0.0)
    factor, log = pl.lit(pl.Series(ratio)), pl.lit(pl.Series(np.log(ratio)))
    number = pl.col("frequency") + 1
    return customers.with_columns(
        pl.col(money) * factor,
        log_spend=pl.col("log_spend") + number * log,
        squared_log_spend=pl.col("squared_log_spend") + 2.0 * log * pl.col("log_spend") + number * log**2,
    )


def _at_silence(customers: pl.DataFrame, silence: Floats) -> pl.DataFrame:
    """The same purchases with the last one this many days before the cutoff."""
    recency, last = floats(customers, "recency_days")[:, None], floats(customers, "days_since_last")[:, None]
    number = floats(customers, "frequency")[:, None] + 1.0
    # Purchases by days before the last one, from the windows; interpolated between them.
    since_last = np.clip(_DAYS_AGO - last, 0.0, recency)
    at = np.hstack([since_last, recency])
    by_then = np.hstack([np.clip(_counts(customers), 1.0, number), number])
    counts = _along(at, by_then, 1.0, _DAYS_AGO - silence[:, None])
    tenure = pl.col("recency_days") + pl.col("days_since_last")
    moved = customers.with_columns(days_since_last=pl.Series(silence)).with_columns(
        tenure_days=tenure, first_purchase_date=pl.col("cutoff") - pl.duration(days=tenure)
    )
    names = ("days_since_last", "tenure_days", "first_purchase_date")
    return _with_counts(moved.cast({name: customers.schema[name] for name in names}), counts, customers)


def _with_counts(customers: pl.DataFrame, counts: Floats, before: pl.DataFrame | None = None) -> pl.DataFrame:
    """The customers with these purchases in past windows, or with the nearest ones that their other facts allow.

    Windows keep the money per purchase of `before`: the same frame, perhaps at another silence.
    """
    before = customers if before is None else before
    first, last = floats(customers, "tenure_days")[:, None], floats(customers, "days_since_last")[:, None]
    repeats = floats(customers, "frequency")[:, None]
    holds_first, holds_last = first < _DAYS_AGO, last < _DAYS_AGO
    least = np.where(holds_first, repeats + 1.0, holds_last)
    # At most one purchase day a day.
    most = np.where(holds_first, repeats + 1.0, np.clip(_DAYS_AGO - last, 0.0, repeats))
    possible = np.clip(np.round(counts), least, most)
    recent = possible[:, _IS_RECENT]
    # Windows a year ago lie between the two longest others.
    year_ago = np.clip(possible[:, ~_IS_RECENT], recent[:, -2:-1], recent[:, -1:])[:, ::-1]
    money = _money(before, recent)
    columns = {
        **dict(zip(FACTS["recent_activity"], np.hstack([recent, money]).T, strict=True)),
        **dict(zip(FACTS["same_window_last_year"], (recent[:, -1:] - year_ago).T, strict=True)),
    }
    return customers.with_columns(
        pl.Series(name, values).cast(customers.schema[name]) for name, values in columns.items()
    )


def _limited(customers: pl.DataFrame) -> pl.DataFrame:
    """Limit products to the number of lines."""
    lines = (pl.col("lines_per_order") * pl.col("orders")).round().clip(lower_bound=1.0)
    return customers.with_columns(pl.col("products").clip(upper_bound=lines.cast(customers.schema["products"])))


def _money(customers: pl.DataFrame, counts: Floats) -> Floats:
    """Money of a customer's latest purchases, this many of them, interpolated between windows and totals."""
    revenue, last = floats(customers, "revenue"), floats(customers, "last_spend")
    number = np.column_stack([*(floats(customers, f"purchases_{days}_days") for days in PAST_DAYS)])
    spend = np.column_stack([*(floats(customers, f"spend_{days}_days") for days in PAST_DAYS)])
    spend = np.where(number > 0.0, spend, last[:, None])
    at = np.column_stack([np.maximum(number, 1.0), floats(customers, "frequency") + 1.0])
    told = _along(at, np.column_stack([spend, revenue]), last[:, None], counts, begin=1.0)
    return np.where(counts > 0.0, told, 0.0)


def _counts(customers: pl.DataFrame) -> Floats:
    """Purchases within the last _DAYS_AGO days, shape (n, 7)."""
    year = floats(customers, f"purchases_{_YEAR}_days")
    return np.column_stack(
        [
            floats(customers, f"purchases_{days}_days")
            if days in PAST_DAYS
            else year - floats(customers, f"purchases_{_YEAR - days}_days_year_ago")
            for days in _DAYS_AGO.tolist()
        ]
    )


def _along(at: Floats, values: Floats, first: Floats | float, wanted: Floats, begin: float = 0.0) -> Floats:
    """Evaluate each row's line through its ascending points, from `first` at `begin` on, at `wanted`; steps jump."""
    left = np.hstack([np.full_like(at[:, :1], begin), at[:, :-1]])
    rises = np.diff(np.hstack([np.broadcast_to(first, at[:, :1].shape), values]), axis=1)
    lengths = np.maximum(at - left, 1e-9)
    found = np.broadcast_to(first, wanted.shape).astype(np.float64)
    for piece in range(at.shape[1]):
        place = slice(piece, piece + 1)
        found = found + rises[:, place] * np.clip((wanted - left[:, place]) / lengths[:, place], 0.0, 1.0)
    return found
