"""The block `currency:`: what it takes, and what it says of mistakes."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from clv_pipeline.config.earlier import changed_defaults
from clv_pipeline.config.settings import ConfigError, Settings

COLUMNS = {"customer_id": "who", "ordered_at": "day", "amount": "money"}
MAPPED = {**COLUMNS, "currency": "code"}


def settings(currency: dict[str, Any], columns: dict[str, str] = MAPPED) -> Settings:
    return Settings.from_mapping(
        {"source": {"transactions": {"path": "shop.csv", "columns": columns}}, "currency": currency}
    )


def test_codes_are_upper_case_and_rates_exact_whatever_way_they_are_written() -> None:
    found = settings({"report_in": "eur", "rates": {"usd": 0.92, " JPY": "0.0061", "KWD": 3, "VND": 3.8e-05}}).currency
    assert found.report_in == "EUR"
    assert found.stated == {
        "USD": Decimal("0.92"),
        "JPY": Decimal("0.0061"),
        "KWD": Decimal(3),
        "VND": Decimal("0.000038"),
    }
    assert settings({"report_in": "EUR", "rates": {"path": "rates.csv"}}).currency.path == "rates.csv"


@pytest.mark.parametrize(
    ("currency", "told"),
    [
        ({"report_in": "euro"}, "currency.report_in: should be a code of three letters such as EUR; found 'euro'"),
        ({"rates": {"USD": 0.9}}, "currency: rates need report_in"),
        ({"report_in": "EUR", "rates": {"EUR": 1}}, "currency: rates should not hold EUR"),
        ({"report_in": "EUR", "rates": {"USD": 0}}, "currency.rates: the rate of USD should be a number above 0"),
        ({"report_in": "EUR", "rates": {"USD": "much"}}, "currency.rates: the rate of USD should be a number above 0"),
        ({"report_in": "EUR", "rates": {"USD": True}}, "currency.rates: the rate of USD should be a number above 0"),
        ({"report_in": "EUR", "rates": {"path": "a.csv", "USD": 1}}, "currency.rates: should be either rates"),
        ({"report_in": "EUR", "rates": "rates.csv"}, "currency.rates: should be rates such as"),
        ({"report_in": "EUR", "rates": {False: 0.1}}, "should have currencies such as USD as keys; found False"),
    ],
)
def test_mistakes_are_told_with_their_key(currency: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        settings(currency)
    assert told in str(caught.value)


def test_rates_without_a_column_of_currencies_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"currency.rates need source.transactions.columns.currency"):
        settings({"report_in": "EUR", "rates": {"USD": 0.92}}, COLUMNS)
    assert settings({"report_in": "JPY"}, COLUMNS).currency.report_in == "JPY"


def test_another_rate_is_another_configuration_but_the_same_recipe() -> None:
    first, second = (settings({"report_in": "EUR", "rates": {"USD": rate}}) for rate in (0.9, 0.92))
    assert first.config_hash != second.config_hash
    assert first.recipe_hash == second.recipe_hash


def test_who_mapped_an_attribute_called_currency_is_told() -> None:
    assert any("was an attribute" in line for line in changed_defaults(settings({}))["currency_ledger"])
    assert changed_defaults(settings({}, COLUMNS))["currency_ledger"] == []
