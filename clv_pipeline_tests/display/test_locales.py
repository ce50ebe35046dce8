"""Numbers, money and days as the people of a locale write them."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal

import pytest
from babel.numbers import parse_decimal
from hypothesis import given
from hypothesis import strategies as st

from clv_pipeline.display import Display

US, GERMAN, JAPANESE, EGYPTIAN, INDIAN = (Display(name) for name in ("en-US", "de-DE", "ja-JP", "ar-EG", "hi-IN"))
LOCALES = (US, GERMAN, JAPANESE, EGYPTIAN, INDIAN, Display("de-CH"), Display("fr-FR"), Display("pl-PL"))
DAY = date(2011, 12, 9)
NBSP = "\N{NO-BREAK SPACE}"


@pytest.mark.parametrize(
    ("display", "count", "number", "share", "short"),
    [
        (US, "1,234,567", "−1,234.50", "12.3%", "1.23M"),
        (GERMAN, "1.234.567", "−1.234,50", f"12,3{NBSP}%", f"1,23{NBSP}Mio."),
        (JAPANESE, "1,234,567", "−1,234.50", "12.3%", "123万"),
        (EGYPTIAN, "1,234,567", "−1,234.50", "12.3%", f"1.23{NBSP}مليون"),
        (INDIAN, "12,34,567", "−1,234.50", "12.3%", "12.3 लाख"),
        (Display("de-CH"), "1’234’567", "−1’234.50", "12.3%", "1.23 Mio."),
    ],
    ids=lambda value: value.locale if isinstance(value, Display) else "",
)
def test_numbers_are_written_as_the_locale_does(
    display: Display, count: str, number: str, share: str, short: str
) -> None:
    assert display.count(1_234_567) == count
    assert display.number(-1234.5, 2) == number
    assert display.share(0.1234) == share
    assert display.short(1_234_567).replace(NBSP, " ") == short.replace(NBSP, " ")


@pytest.mark.parametrize(
    ("locale", "currency", "large", "small"),
    [
        ("en-US", "EUR", "€1,235", "€56.78"),
        ("en-US", "JPY", "¥1,235", "¥57"),
        ("en-US", "CHF", f"CHF{NBSP}1,235", f"CHF{NBSP}56.78"),
        ("en-US", None, "1,235", "56.78"),
        ("de-DE", "EUR", f"1.235{NBSP}€", f"56,78{NBSP}€"),
        ("de-DE", "JPY", f"1.235{NBSP}¥", f"57{NBSP}¥"),
        ("de-DE", None, "1.235", "56,78"),
        ("ja-JP", "JPY", "¥1,235", "¥57"),
        ("hi-IN", "EUR", "€1,235", "€56.78"),
        ("de-CH", "CHF", f"CHF{NBSP}1’235", f"CHF{NBSP}56.78"),
    ],
)
def test_money_has_its_currency_and_small_coins_only_where_they_matter(
    locale: str, currency: str | None, large: str, small: str
) -> None:
    display = Display(locale, currency=currency)
    assert display.money(1_234.56).replace("￥", "¥") == large
    assert display.money(56.78).replace("￥", "¥") == small


def test_negative_money_has_a_minus_sign_and_never_a_negative_nothing() -> None:
    euro = US.in_currency("EUR")
    assert euro.money(-1_234.4) == "−€1,234"
    assert euro.money(-0.004) == "€0.00"
    assert US.number(-0.004, 2) == "0.00"
    assert GERMAN.in_currency("EUR").money(-12.5) == f"−12,50{NBSP}€"


def test_a_column_of_money_has_one_number_of_decimals() -> None:
    assert US.decimals_for([999.99, 1.0]) == 2
    assert US.decimals_for([1_000.0, 0.5]) == 0
    assert US.decimals_for([-1_000.0, None]) == 0
    assert US.decimals_for([None]) == 2
    assert US.in_currency("JPY").decimals_for([3.0]) == 0
    assert US.in_currency("BHD").decimals_for([3.0]) == 3


def test_a_total_of_yen_has_no_decimals_and_a_price_of_a_few_has_two() -> None:
    yen = US.in_currency("JPY")
    assert (yen.money(6.12), yen.price(6.12), yen.price(612.4)) == ("¥6", "¥6.12", "¥612")
    assert yen.price_decimals_for([3.0, 0.25]) == 2
    assert US.in_currency("KWD").money(6.1234) == f"KWD{NBSP}6.123"


def test_a_small_share_is_not_nothing() -> None:
    assert (US.share(0.0004), US.share(0.0), US.share(-0.12)) == ("<0.1%", "0.0%", "−12.0%")
    assert (US.percent(0.004), US.percent(0.0), US.percent(0.996)) == ("<1%", "0%", "100%")
    assert (US.change(0.123), US.change(-0.123), US.change(0.0)) == ("+12.3%", "−12.3%", "0.0%")
    assert GERMAN.share(0.0004) == f"<0,1{NBSP}%"


def test_a_number_of_any_size_is_written() -> None:
    assert US.number(1e26, 2).startswith("100,000,000,000,000,0")
    assert len(GERMAN.in_currency("EUR").money(1.7e308)) > 308
    assert US.share(1e250).endswith("%")


@pytest.mark.parametrize(
    ("display", "day", "short_day", "month", "weekday"),
    [
        (US, "December 9, 2011", "Dec 9, 2011", "December 2011", "Mon"),
        (GERMAN, "9. Dezember 2011", "09.12.2011", "Dezember 2011", "Mo"),
        (JAPANESE, "2011年12月9日", "2011/12/09", "2011年12月", "月"),
        (INDIAN, "9 दिसंबर 2011", "9 दिस॰ 2011", "दिसंबर 2011", "सोम"),
    ],
)
def test_days_are_written_as_the_locale_does(
    display: Display, day: str, short_day: str, month: str, weekday: str
) -> None:
    assert (display.day(DAY), display.short_day(DAY), display.month(DAY)) == (day, short_day, month)
    assert display.weekday(1) == weekday


def test_a_moment_is_told_in_the_timezone() -> None:
    moment = datetime(2011, 12, 9, 23, 30)
    assert "Dec 9, 2011" in US.moment(moment)
    assert US.moment(moment).endswith("UTC")
    berlin = Display("de-DE", "Europe/Berlin").moment(moment)
    assert "10.12.2011" in berlin
    assert "00:30" in berlin
    assert berlin.endswith("MEZ")


def test_words_run_as_their_language_does_and_numbers_stay_those_of_the_locale() -> None:
    assert (EGYPTIAN.language, EGYPTIAN.direction) == ("en", "ltr")
    assert (GERMAN.language, GERMAN.direction) == ("de", "ltr")
    assert Display("fr-FR").say("Lost") == "Lost"
    assert Display("fr-FR").number(0.5, 1) == "0,5"


@given(st.sampled_from(LOCALES), st.integers(-(10**15), 10**15))
def test_a_count_reads_back_as_the_number(display: Display, number: int) -> None:
    written = display.count(number).replace("−", "-")
    # Babel reads no typographic apostrophe either.
    assert parse_decimal(written.replace("’", ""), locale=display.locale.replace("-", "_")) == number


@given(st.sampled_from(LOCALES), st.floats(-1e12, 1e12), st.integers(0, 4))
def test_a_number_reads_back_rounded(display: Display, value: float, decimals: int) -> None:
    written = display.number(value, decimals).replace("−", "-").replace("’", "")
    read = parse_decimal(written, locale=display.locale.replace("-", "_"))
    assert read == Decimal(repr(round(value, decimals) + 0.0))


@given(
    st.sampled_from(LOCALES),
    st.sampled_from(["EUR", "JPY", "USD", "CHF", None]),
    st.floats(allow_nan=False, allow_infinity=False),
)
def test_whatever_the_amount_it_is_written_without_a_hyphen(
    display: Display, currency: str | None, value: float
) -> None:
    written = display.in_currency(currency).money(value)
    assert any(character.isdigit() for character in written)
    assert "-" not in written
    assert ("−" in written) == (round(value, display.in_currency(currency).decimals_for([value])) < 0.0)
