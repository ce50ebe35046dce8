"""How charts tell money: a short amount with the code of its currency, or a sentence that names it."""

from __future__ import annotations

from clv_pipeline.display import Display


def money(display: Display, amount: float) -> str:
    """Write 1.23M EUR; 1.23M where no currency is known."""
    written = display.short(amount)
    return written if display.currency is None else f"{written}\N{NO-BREAK SPACE}{display.currency}"


def in_currency(display: Display) -> str:
    """A sentence that names the currency; an empty text where none is known."""
    return "" if display.currency is None else display.say("Amounts in {currency}.", currency=display.currency)
