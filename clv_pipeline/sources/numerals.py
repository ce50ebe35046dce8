"""Numbers as people write them: with a currency, and negative ones in parentheses or with a trailing minus.

Here belongs what stands around the digits, as patterns that Python applies to samples and DuckDB to columns.
Separators between the digits belong in `conventions`. Only one currency is stripped, never two: a sum over several
currencies would mean nothing.
"""

import re
import unicodedata

_SPACE = "[ \u00a0\u202f]?"
_CURRENCY = r"[A-Z]{0,2}[^\w\s.,'()+−-]|[A-Z]{3}"
_PRICED = re.compile(
    rf"[(+−-]?{_SPACE}(?:(?P<before>{_CURRENCY}){_SPACE})?[(+−-]?[0-9.,][0-9.,' \u00a0\u202f]*?"
    rf"(?:{_SPACE}(?P<after>{_CURRENCY}))?{_SPACE}[)−-]*"
)

NEGATIVE = r"^[(](.*)[)]$|^(.*)[−-]$|^−(.*)$"
"""Parentheses, a trailing minus, or a typographic one. `SIGNED` puts a plain minus in front."""
SIGNED = r"-\1\2\3"
BARE = r"\1\2"
"""Replacement of `around(currency)`."""


def currency_of(value: str) -> str | None:
    """The currency beside a number, as a sign (`$`, `R$`, `€`) or a code (`EUR`); None without one."""
    match = _PRICED.fullmatch(value)
    mark = (match["before"] or match["after"]) if match else None
    if mark is None or (len(mark) == 3 and mark.isalpha()) or unicodedata.category(mark[-1]) == "Sc":
        return mark
    return None


def around(currency: str) -> str:
    """A regular expression for the currency at either end of a number. It keeps an outer sign or parenthesis."""
    mark = re.escape(currency)
    return rf"^([(+−-]?){_SPACE}{mark}{_SPACE}|{_SPACE}{mark}{_SPACE}([)−-]?)$"


def undressed(value: str, currency: str | None) -> str:
    """The number without currency, with a leading minus if it is negative. Any other text is returned unchanged."""
    if currency is not None:
        value = re.sub(around(currency), BARE, value, count=1)
    return re.sub(NEGATIVE, SIGNED, value)
