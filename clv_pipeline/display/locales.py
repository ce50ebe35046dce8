"""`Display`: everything that is written for people goes through one of these. Babel knows the locales."""

from __future__ import annotations

import gettext
import io
import re
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from decimal import localcontext
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Self
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    from babel import Locale

WORDS = Path(__file__).parent / "words"
"""A catalogue per language, in gettext's format; English is what the code says."""

_DIGITS = 340

NOTHING = "–"
"""The text for a value that is not known."""


@dataclass(frozen=True)
class Display:
    """Writes for people: words of the locale's language, its numbers and days, and money of one currency."""

    locale: str = "en-US"
    """Language and country, such as de-DE."""
    timezone: str = "UTC"
    """Where moments are told, such as Europe/Berlin; days have none."""
    currency: str | None = None
    """ISO code of all money, such as EUR; None where the source says none."""

    def in_currency(self, currency: str | None) -> Self:
        """The same for money of another currency."""
        return replace(self, currency=currency)

    @property
    def language(self) -> str:
        """The language of the words, as HTML names it: that of the locale where there is a catalogue, else English."""
        language = _locale(self.locale).language
        return language if language in languages() else "en"

    @property
    def direction(self) -> str:
        """In which direction the words run: ltr or rtl."""
        return str(_locale(self.language).text_direction)

    def say(self, text: str, **values: object) -> str:
        """A sentence in the language, with `values` in the places that it names in braces."""
        return self.words(text).format(**values)

    def say_many(self, number: float, one: str, many: str, **values: object) -> str:
        """`one` or `many`, whichever goes with the number in this language; `{number}` is the number as written."""
        text = self.words_of_many(number, one, many)
        return text.format(**{"number": self.count(number), **values})

    def words(self, text: str) -> str:
        """What a text of the code is in the language, its places still in braces."""
        return _catalogue(self.language).gettext(text) if text else ""

    def words_of_many(self, number: float, one: str, many: str) -> str:
        """`words` of the form that goes with the number."""
        whole = number if number == int(number) else 2
        return _catalogue(self.language).ngettext(one, many, int(whole))

    def term(self, name: str) -> str:
        """What a name that a table holds (`display/terms.py`) is in the language; a name without words is itself."""
        return _catalogue(self.language).gettext(name) if name else ""

    def listed(self, parts: Sequence[str]) -> str:
        """Write a, b and c."""
        from babel.lists import format_list

        return str(format_list(list(parts), locale=_locale(self.language)))

    def count(self, value: float) -> str:
        """Write 1,234."""
        return self.number(value, 0)

    def number(self, value: float, decimals: int) -> str:
        """Write a number with so many decimals."""
        return _decimal(value, decimals, _locale(self.locale))

    def money(self, value: float) -> str:
        """Write €1,234 and €56.78 for a sentence: what is less than the smallest coin matters in small amounts only."""
        return self.amount(value, self.decimals_for([value]), with_currency=True)

    def amount(self, value: float, decimals: int, *, with_currency: bool = False) -> str:
        """Write an amount of money with so many decimals; without its currency where a heading names it."""
        from babel.numbers import format_currency

        if not with_currency or self.currency is None:
            return self.number(value, decimals)
        locale = _locale(self.locale)
        pattern = locale.currency_formats["standard"].pattern.replace("0.00", _zeros(decimals))
        rounded = _rounded(value, decimals)
        with _any_size():
            written = format_currency(rounded, self.currency, pattern, locale=locale, currency_digits=False)
        # CHF 1,234: a code stands apart from the digits (Unicode TR 35, currency spacing), which Babel leaves out.
        return _minus(re.sub(r"(?<=[^\W\d_])(?=[-\d])", "\N{NO-BREAK SPACE}", written))

    def decimals_for(self, values: Iterable[float | None]) -> int:
        """How many decimals a column of money has: none from 1,000 on, else those of the currency."""
        from babel.numbers import get_currency_precision

        if max((abs(value) for value in values if value is not None), default=0.0) >= 1_000:
            return 0
        return 2 if self.currency is None else int(get_currency_precision(self.currency))

    def price_decimals_for(self, values: Iterable[float | None]) -> int:
        """The same of prices, as of a contact: of a few yen they have two, because as none they would be told wrong."""
        known = [value for value in values if value is not None]
        is_told_wrong = max(map(abs, known), default=0.0) < 10 and any(value != int(value) for value in known)
        return max(2, self.decimals_for(known)) if is_told_wrong else self.decimals_for(known)

    def price(self, value: float) -> str:
        """Write a price for a sentence, as `money` does an amount."""
        return self.amount(value, self.price_decimals_for([value]), with_currency=True)

    def spreadsheet_money(self) -> str:
        """The number format of money in a spreadsheet, which has separators of its own: [$€]#,##0.00."""
        decimals = self.decimals_for([])
        if self.currency is None:
            return f"#,##{_zeros(decimals)}"
        pattern = _locale(self.locale).currency_formats["standard"].pattern.split(";")[0]
        places = re.sub(r"[#,]*0\.00", f"#,##{_zeros(decimals)}", pattern)
        return _without_marks(places).replace("¤", f"[${self.symbol}]")

    def spreadsheet_day(self) -> str:
        """The number format of a day in a spreadsheet: m/d/yyyy."""
        pattern = _locale(self.locale).date_formats["short"].pattern
        return re.sub(r"y+", "yyyy", _without_marks(pattern)).replace("M", "m").replace("'", '"')

    @property
    def symbol(self) -> str:
        """How the currency is written beside a heading; an empty text where none is known."""
        from babel.numbers import get_currency_symbol

        return "" if self.currency is None else str(get_currency_symbol(self.currency, locale=_locale(self.locale)))

    def short(self, value: float) -> str:
        """Write 1,234,567 as 1.23M, for labels in charts: three digits."""
        from babel.numbers import format_compact_decimal

        if abs(value) < 1_000:
            return _minus(_significant(value, _locale(self.locale)))
        scale = 10 ** (len(str(int(abs(value)))) - 3)
        rounded = round(value / scale) * scale
        written = _minus(format_compact_decimal(rounded, locale=_locale(self.locale), fraction_digits=2))
        # Some languages have no short form of a thousand.
        return self.count(rounded) if written.lstrip("−").isdecimal() else written

    def share(self, value: float) -> str:
        """Write 0.123 as 12.3%, and a small share as <0.1%, which 0.0% would deny."""
        return f"<{self._percent(0.001, 1)}" if 0 < value < 0.0005 else self._percent(value, 1)

    def percent(self, value: float) -> str:
        """Write 0.123 as 12%, for labels in charts, and a small share as <1%."""
        return f"<{self._percent(0.01, 0)}" if 0 < value < 0.005 else self._percent(value, 0)

    def change(self, value: float) -> str:
        """Write 0.123 as +12.3%."""
        written = self._percent(value, 1)
        return f"+{written}" if value > 0 else written

    def _percent(self, value: float, decimals: int) -> str:
        from babel.numbers import format_percent

        locale = _locale(self.locale)
        pattern = locale.percent_formats[None].pattern.replace("#,##0", f"#,##{_zeros(decimals)}")
        with _any_size():
            return _minus(format_percent(_rounded(value, decimals + 2), pattern, locale=locale))

    def score(self, value: float) -> str:
        """Write 0.123."""
        return self.number(value, 3)

    def day(self, value: date) -> str:
        """Write December 9, 2011."""
        from babel.dates import format_date

        return format_date(value, "long", locale=_locale(self.locale))

    def short_day(self, value: date) -> str:
        """Write Dec 9, 2011, for a table."""
        from babel.dates import format_date

        return format_date(value, "medium", locale=_locale(self.locale))

    def month(self, value: date) -> str:
        """Write December 2011."""
        from babel.dates import format_skeleton

        return format_skeleton("yMMMM", value, locale=_locale(self.locale))

    def short_month(self, value: date) -> str:
        """Write Dec 2011, for a table or an axis."""
        from babel.dates import format_skeleton

        return format_skeleton("yMMM", value, locale=_locale(self.locale))

    def moment(self, value: datetime) -> str:
        """Write a moment, which is kept in UTC, in the timezone: Dec 9, 2011, 2:03 AM UTC."""
        from babel.dates import format_datetime, get_timezone_name

        there = value.replace(tzinfo=UTC).astimezone(ZoneInfo(self.timezone))
        locale = _locale(self.locale)
        return f"{format_datetime(there, 'medium', locale=locale)} {get_timezone_name(there, 'short', locale=locale)}"

    def weekday(self, number: int) -> str:
        """The short name of a day of the week; 1 is Monday."""
        return str(_locale(self.locale).days["stand-alone"]["abbreviated"][number - 1])


ENGLISH = Display()
"""How tables are written that hold sentences: in English, without a currency."""


@lru_cache
def languages() -> tuple[str, ...]:
    """The languages that there are words of."""
    return ("en", *sorted(path.stem for path in WORDS.glob("*.po")))


@lru_cache
def _locale(name: str) -> Locale:
    from babel import Locale

    locale = Locale.parse(name.replace("-", "_"))
    symbols = locale.number_symbols["latn"]
    # Babel takes an ASCII apostrophe for a quotation mark, and drops it; Switzerland writes ’ between thousands.
    if symbols["group"] == "'":
        symbols["group"] = "’"
    return locale


@lru_cache
def _catalogue(language: str) -> gettext.NullTranslations:
    """The words of a language; English is its own."""
    if language == "en":
        return gettext.NullTranslations()
    from babel.messages.mofile import write_mo
    from babel.messages.pofile import read_po

    with (WORDS / f"{language}.po").open("rb") as file:
        catalogue = read_po(file, locale=language, abort_invalid=True)
    compiled = io.BytesIO()
    write_mo(compiled, catalogue)
    compiled.seek(0)
    return gettext.GNUTranslations(compiled)


def _decimal(value: float, decimals: int, locale: Locale) -> str:
    from babel.numbers import format_decimal

    # India groups by two beyond the first thousand.
    pattern = re.sub(r"0\.#+|0$", _zeros(decimals), locale.decimal_formats[None].pattern)
    with _any_size():
        return _minus(format_decimal(_rounded(value, decimals), pattern, locale=locale))


def _significant(value: float, locale: Locale) -> str:
    from babel.numbers import format_decimal

    return str(format_decimal(float(f"{value:.3g}"), "#,##0.######", locale=locale))


def _any_size() -> AbstractContextManager[object]:
    """Babel rounds with the digits of the decimal context, and a float has up to 309 before the point."""
    return localcontext(prec=_DIGITS)


def _zeros(decimals: int) -> str:
    """The end of a number pattern with so many decimals."""
    return f"0.{'0' * decimals}" if decimals else "0"


def _rounded(value: float, decimals: int) -> float:
    """The value as it will be written, and 0 rather than minus 0."""
    return round(float(value), decimals) + 0.0


def _without_marks(pattern: str) -> str:
    """A pattern without the marks of direction that some locales put into it."""
    return re.sub(r"[\u200e\u200f]", "", pattern)


def _minus(written: str) -> str:
    """Replace the hyphen by the minus sign, which is as wide as a digit."""
    return written.replace("-", "−")
