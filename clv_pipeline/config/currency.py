"""The `currency:` block of `clv.yaml`: in which currency money is reported, and at which rates others are converted."""

import re
from decimal import Decimal, InvalidOperation
from typing import Any, Self

from pydantic import Field, field_validator, model_validator

from clv_pipeline.config.block import Block

MOST = Decimal(10_000_000)
"""No rate is as high: it would not fit the column."""
LEAST = Decimal("0.000000000001")
"""The smallest rate that the column tells from 0."""

PATH = "path"
"""The key of `rates` that names a file in place of rates."""


class Currency(Block):
    """In which currency money is reported, and how others are converted; see docs/how-to/currencies.md."""

    report_in: str | None = Field(default=None, json_schema_extra={"examples": ["EUR"]})
    """The code of the currency that every table, report and export is in, such as EUR. By default the only currency
    that the source states, if it states one."""
    rates: dict[str, str] = Field(default={})
    """What one unit of each other currency is worth in `report_in`, as {USD: 0.92}; or {path: rates.csv}, a file with
    the columns day, currency and rate, of which the latest rate at or before the day of a row counts."""

    @field_validator("report_in")
    @classmethod
    def _is_a_code(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(r"[A-Za-z]{3}", value):
            raise ValueError("should be a code of three letters such as EUR")
        return value.upper() if value is not None else None

    @field_validator("rates", mode="before", json_schema_input_type=dict[str, float | str])
    @classmethod
    def _numbers_or_a_path(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            raise ValueError("should be rates such as {USD: 0.92}, or {path: rates.csv}")
        if PATH in value:
            if len(value) > 1 or not isinstance(value[PATH], str) or not value[PATH].strip():
                raise ValueError("should be either rates such as {USD: 0.92}, or only {path: rates.csv}")
            return value
        rates = {name: _rate(name, rate) for name, rate in value.items()}
        return {currency_code(name): str(rate) for name, rate in rates.items()}

    @model_validator(mode="after")
    def _rates_lead_somewhere(self) -> Self:
        if self.rates and self.report_in is None:
            raise ValueError("rates need report_in, the currency that they convert into")
        if self.report_in is not None and self.report_in in self.rates:
            raise ValueError(f"rates should not hold {self.report_in}, which is the currency that is reported in")
        return self

    @property
    def path(self) -> str | None:
        """The file of rates as it is written; None without one."""
        return self.rates.get(PATH)

    @property
    def stated(self) -> dict[str, Decimal]:
        """The rates that stand in `clv.yaml`, by currency."""
        return {} if self.path is not None else {name: Decimal(rate) for name, rate in self.rates.items()}


def currency_code(text: str) -> str:
    """A currency as the tables have it: without spaces around it, in upper case."""
    return text.strip().upper()


def _rate(name: object, value: object) -> Decimal:
    if not isinstance(name, str) or not name.strip():
        raise ValueError(f"should have currencies such as USD as keys; found {name!r}; write it in quotes")
    try:
        rate = Decimal(str(value))
    except InvalidOperation:
        rate = Decimal(0)
    if not (rate.is_finite() and LEAST <= rate < MOST):
        raise ValueError(f"the rate of {name} should be a number above 0 and below {MOST:,}")
    return rate
