"""The served forecast of a customer: one path of purchases from the cutoff on, read at any days.

Every published number of the future is a reading of a path, so that none contradicts another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from clv_pipeline.forecasting.frames import Floats

PATH_SCHEMA = pl.Schema(
    {
        "customer_id": pl.String,
        "horizon_days": pl.Int64,
        "expected_purchases": pl.Float64,
        "expected_spend": pl.Float64,
        "p_purchase": pl.Float64,
        "p_alive": pl.Float64,
        "discounted_spend": pl.Float64,
    }
)
OUTLOOK_SCHEMA = pl.Schema(
    {
        "customer_id": pl.String,
        "p_alive": pl.Float64,
        "value_per_purchase": pl.Float64,
        "lifetime_value": pl.Float64,
        "next_order_days": pl.Float64,
    }
)

_ROUNDING = 1e-9


@dataclass(frozen=True, eq=False)
class Paths:
    """The paths of n customers at k days after the cutoff; None where a baseline has no such number.

    Shape (n, k), cumulative over (cutoff, cutoff + day]: `purchases`, expected purchase days; `p_purchase`, P(at least
    one); `spend` and `discounted_spend`, expected money. Shape (n,): `p_alive`; `value`, money per purchase;
    `lifetime_value`, the limit of discounted spend, NaN where it has none; `next_order_days`, the day by which an order
    is as likely as not, NaN where there is none.

    Creating paths checks them (`require_coherence`): a wrong number must not reach a table.
    """

    model: str
    customer_id: pl.Series
    days: tuple[int, ...]
    purchases: Floats | None = None
    p_purchase: Floats | None = None
    spend: Floats | None = None
    discounted_spend: Floats | None = None
    p_alive: Floats | None = None
    value: Floats | None = None
    lifetime_value: Floats | None = None
    next_order_days: Floats | None = None

    def __post_init__(self) -> None:
        for name, values, limit in (
            ("expected_purchases", self.purchases, np.inf),
            ("p_purchase", self.p_purchase, 1.0),
            ("expected_spend", self.spend, np.inf),
            ("discounted_spend", self.discounted_spend, np.inf),
            ("p_alive", self.p_alive, 1.0),
        ):
            if values is not None:
                self._refuse(name, ~np.isfinite(values) | (values < 0.0) | (values > limit), "is no such number")

    def require_coherence(self) -> None:
        """Check that numbers do not fall with time, and that P(buy) exceeds neither expected purchases nor P(alive).

        Raises:
            ValueError: a path contradicts itself; the text names the model, the number, a customer and a day.
        """
        for name in ("purchases", "p_purchase", "spend", "discounted_spend"):
            values: Floats | None = getattr(self, name)
            if values is None:
                continue
            in_time = values[:, np.argsort(self.days)]
            falls = np.diff(in_time, axis=1, prepend=0.0) < -_ROUNDING * (1.0 + np.abs(in_time))
            self._refuse(name, falls, "falls as the horizon grows")
        if self.p_purchase is not None and self.purchases is not None and self.p_alive is not None:
            most = np.minimum(self.purchases, self.p_alive[:, None])
            self._refuse("p_purchase", self.p_purchase > most + _ROUNDING, "exceeds expected purchases or p_alive")

    def _refuse(self, name: str, wrong: np.ndarray, why: str) -> None:
        if wrong.any():
            row, *column = (int(place[0]) for place in np.nonzero(wrong))
            when = f" at day {self.days[column[0]]}" if column else ""
            raise ValueError(
                f"{self.model}: {name} of customer {self.customer_id[row]}{when} {why}; "
                f"so it is for {int(wrong.sum())} of {wrong.size} numbers"
            )

    def at(self, days: Sequence[int]) -> Paths:
        """The same paths read at these days only, each of them one of `self.days`."""
        columns = [self.days.index(day) for day in days]

        def some(values: Floats | None) -> Floats | None:
            return None if values is None else values[:, columns]

        return replace(
            self,
            days=tuple(days),
            purchases=some(self.purchases),
            p_purchase=some(self.p_purchase),
            spend=some(self.spend),
            discounted_spend=some(self.discounted_spend),
        )

    def frame(self) -> pl.DataFrame:
        """One row per customer and day, in PATH_SCHEMA; the days of a customer are consecutive."""
        n, k = len(self.customer_id), len(self.days)

        def column(values: Floats | None) -> pl.Series:
            if values is None:
                return pl.repeat(None, n * k, dtype=pl.Float64, eager=True)
            wide = np.broadcast_to(values[:, None], (n, k)) if values.ndim == 1 else values
            return pl.Series(np.ascontiguousarray(wide).ravel(), dtype=pl.Float64)

        rows = np.repeat(np.arange(n), k)
        return pl.DataFrame(
            {
                "customer_id": self.customer_id.cast(pl.String).gather(rows),
                "horizon_days": pl.Series(np.tile(np.array(self.days, dtype=np.int64), n)),
                "expected_purchases": column(self.purchases),
                "expected_spend": column(self.spend),
                "p_purchase": column(self.p_purchase),
                "p_alive": column(self.p_alive),
                "discounted_spend": column(self.discounted_spend),
            },
            schema=PATH_SCHEMA,
        )

    def outlook(self) -> pl.DataFrame:
        """One row per customer, in OUTLOOK_SCHEMA; null where there is no number."""
        n = len(self.customer_id)
        columns = {
            "p_alive": self.p_alive,
            "value_per_purchase": self.value,
            "lifetime_value": self.lifetime_value,
            "next_order_days": self.next_order_days,
        }
        return pl.DataFrame(
            [self.customer_id.cast(pl.String).alias("customer_id")]
            + [
                (pl.Series(name, np.full(n, np.nan) if values is None else values)).fill_nan(None)
                for name, values in columns.items()
            ],
            schema=OUTLOOK_SCHEMA,
        )
