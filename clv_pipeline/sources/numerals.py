"""Numbers as people dress them: a currency, parentheses or a minus behind for what is negative.

Here belongs what stands around the digits, as patterns that Python applies to samples and DuckDB to columns.
Separators between the digits belong in `conventions`. One currency is taken off, never two different ones: their
sum would mean nothing.
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
"""Parentheses, a minus behind, or a typographic one; `SIGNED` puts a plain minus in front."""
SIGNED = r"-\1\2\3"
BARE = r"\1\2"
"""What replaces `around(currency)`."""


def currency_of(value: str) -> str | None:
    """The currency with which a number is written, a sign (`$`, `R$`, `€`) or a code (`EUR`); None without one."""
    match = _PRICED.fullmatch(value)
    mark = (match["before"] or match["after"]) if match else None
    if mark is None or (len(mark) == 3 and mark.isalpha()) or unicodedata.category(mark[-1]) == "Sc":
        return mark
    return None


def around(currency: str) -> str:
    """A regular expression for the currency at either end of a number, a sign or parenthesis outside of it kept."""
    mark = re.escape(currency)
    return rf"^([(+−-]?){_SPACE}{mark}{_SPACE}|{_SPACE}{mark}{_SPACE}([)−-]?)$"


def undressed(value: str, currency: str | None) -> str:
    """The number without currency, a minus in front if it is negative; what is no such number stays what it is."""
    if currency is not None:
        value = re.sub(around(currency), BARE, value, count=1)
    return re.sub(NEGATIVE, SIGNED, value)
