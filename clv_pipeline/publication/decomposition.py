"""A published forecast as a product of factors.

Nothing is computed anew: the factors are quotients of published numbers, so their product is the published clv.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Row = Mapping[str, Any]
"""A row of a published table, by column."""


@dataclass(frozen=True)
class Decomposition:
    """A forecast as a product; a factor is None where it is 0 / 0.

    expected_purchases = p_purchase × purchases_if_buying, expected_spend = expected_purchases × spend_per_purchase,
    clv = expected_spend × discount × margin. `margin` is None when it is not known which one was applied; `discount`
    then holds the product of both.
    """

    p_purchase: float
    purchases_if_buying: float | None
    spend_per_purchase: float | None
    discount: float | None
    margin: float | None
    """The last three are None where the shop has no money."""

    @classmethod
    def of(cls, forecast: Row, margin: float | None) -> Decomposition:
        """Take a row of clv_forecasts apart."""
        purchases, spend = forecast["expected_purchases"], forecast["expected_spend"]
        if spend is None:
            return cls(forecast["p_purchase"], _quotient(purchases, forecast["p_purchase"]), None, None, None)
        return cls(
            p_purchase=forecast["p_purchase"],
            purchases_if_buying=_quotient(purchases, forecast["p_purchase"]),
            spend_per_purchase=_quotient(spend, purchases),
            discount=_quotient(forecast["clv"], spend * (1.0 if margin is None else margin)),
            margin=margin,
        )


def _quotient(numerator: float, denominator: float) -> float | None:
    return numerator / denominator if denominator > 0.0 else None
