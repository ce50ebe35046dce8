"""How charts with short amounts tell the currency: in a sentence."""

from __future__ import annotations

from clv_pipeline.display import Display


def in_currency(display: Display) -> str:
    """A sentence that names the currency; an empty text where none is known."""
    return "" if display.currency is None else display.say("Amounts in {currency}.", currency=display.currency)
