"""What is computed and how strictly it is judged: cleaning, forecast, gates, backtest, extensions, campaign.

Here belong the blocks of `clv.yaml` that change what is in a table or whether it is let in. When and where the pipeline
runs is in `operation.py`; where records come from in `source.py`.
"""

from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, PrivateAttr, field_validator

from clv_pipeline.config.block import Block


class Cleaning(Block):
    """What is taken out between raw and cleaned transactions."""

    deduplicate: bool = True
    """Keep one of several rows that are equal in every mapped column."""
    returns: Literal["drop", "net"] = "drop"
    """What happens to negative amounts: `drop` rejects them, `net` lets a return reduce the spend of its own day."""
    exclude_products: list[str] = Field(default=[])
    """Products that are no sales, such as postage, vouchers and fees; their lines are rejected."""
    anonymous_ids: list[str] = Field(default=[])
    """Customer ids that stand for nobody in particular, such as '0' or guest; their rows are rejected."""
    outliers: Literal["keep", "cap", "drop"] = "keep"
    """What happens to lines whose amount is above exp(Q3 + 3 × IQR) of the logarithm of all amounts: `cap` lowers them
    to that."""


class Forecast(Block):
    """What is forecast, as of which day, and how future money is valued."""

    as_of: date | Literal["latest", "today"] = "latest"
    """Days up to and including this one are history: a day, `today`, or `latest`, the last day with a transaction."""
    horizons_days: list[Annotated[int, Field(gt=0)]] = Field(default=[30, 90, 180, 365], min_length=1)
    """How many days ahead are forecast. The longest one is that of a customer's CLV."""
    annual_discount_rate: float = Field(default=0.10, ge=0)
    """By how much money is worth less a year later; 0.10 is 10 %."""
    margin: float = Field(default=1.0, gt=0, le=1)
    """The share of spend that is margin. At 1 all revenue is, which is too much for most shops."""
    interval_level: float = Field(default=0.8, gt=0, lt=1)
    """The share of outcomes that a range should hold."""

    @field_validator("as_of", mode="before")
    @classmethod
    def _day_or_word(cls, value: Any) -> date | str:
        if isinstance(value, str) and value in ("latest", "today"):
            return value
        if isinstance(value, date) and not isinstance(value, datetime):
            return value
        try:
            return date.fromisoformat(value)
        except (TypeError, ValueError) as error:
            raise ValueError("should be latest, today or a day such as 2011-09-01") from error

    @field_validator("horizons_days")
    @classmethod
    def _unique_and_sorted(cls, value: list[int]) -> list[int]:
        if len(set(value)) != len(value):
            raise ValueError("should name each horizon once")
        return sorted(value)


Severity = Literal["error", "warn", "ignore"]
"""What an odd value does: stops the refresh, shows as a warning, or nothing."""


class Gates(Block):
    """What happens when a new file does not hold what files of this source usually hold (`file_gates`), or a new day
    does not bring what such days usually bring (`volume_gates`)."""

    files: Severity = "error"
    """A file of transactions that can hardly be read, was cut, has other columns or is of another shop. What is often
    odd for good reasons is a warning in any case."""
    accepted_files: list[str] = Field(default=[])
    """Files that really are like that, by the names that findings give them: nothing in them is an alarm."""

    rows: Severity = "error"
    """How many rows of the day are kept."""
    kept: Severity = "error"
    """Which share of the rows that arrived for the day is kept."""
    hours: Severity = "error"
    """The first row of the day is late, or the last one early: the file was cut."""
    line_amount: Severity = "error"
    """The median money of a row: prices in cents, or in another currency."""
    customers: Severity = "warn"
    """How many customers bought on the day."""
    revenue: Severity = "warn"
    """The revenue of the day."""
    without_customer: Severity = "warn"
    """The share of rows without a customer."""
    rejected: Severity = "warn"
    """The share of rows that cleaning rejects."""
    missing_days: Severity = "warn"
    """A day without rows that usually has some. A holiday looks the same."""
    silence: Severity = "warn"
    """Nothing new has come for longer than `silent_days`, and for longer than ever before."""
    silent_days: int = Field(default=2, ge=0)
    """So many whole days without anything new are no silence."""
    accepted_days: list[date] = Field(default=[])
    """Days that really were like that, or will be: nothing on them is an alarm."""


class Backtest(Block):
    """From which past days the models are tried out."""

    origins: int = Field(default=13, ge=1)
    """Monthly days, 30 days apart, back from `forecast.as_of`; as many as the history carries. With 13 of them the
    season ahead a year ago is always among what is tried."""
    cutoffs: list[date] | None = Field(default=None, min_length=1)
    """Further days to try the models out from, for every horizon."""

    @field_validator("cutoffs")
    @classmethod
    def _each_cutoff_once(cls, value: list[date] | None) -> list[date] | None:
        if value is not None and len(set(value)) != len(value):
            raise ValueError("should name each day once")
        return value


class Extensions(Block):
    """What comes from outside of this package."""

    models: list[str] = Field(default=[])
    """Modules that can be imported, or lie in the folder of `clv.yaml`: their models can be configured by name."""
    sql: str | None = Field(default=None, min_length=1)
    """A folder of tables of one's own, `<layer>/<table>.sql` with `<table>.yml`; relative to `clv.yaml`."""

    _folder: Path | None = PrivateAttr(default=None)

    @field_validator("models")
    @classmethod
    def _each_module_once(cls, value: list[str]) -> list[str]:
        for name in value:
            if not all(part.isidentifier() for part in name.split(".")):
                raise ValueError(f"should name modules such as my_package.models; found {name!r}")
        if len(set(value)) != len(value):
            raise ValueError("should name each module once")
        return value

    @property
    def folder(self) -> Path | None:
        """Where modules are looked for that are not installed."""
        return self._folder

    @property
    def sql_folder(self) -> Path | None:
        """The folder of `sql`, absolute where the settings come from `Settings`."""
        return None if self.sql is None else (self._folder or Path()) / Path(self.sql).expanduser()


class Campaign(Block):
    """A campaign to plan (`campaign_plan`): what it may cost, and what it is believed to do."""

    budget: float = Field(ge=0.01, le=1e12)
    """The most that the campaign may cost, in the currency of the source."""
    cost_per_contact: float = Field(ge=0.01, le=1e12)
    """What contacting one customer costs, in the currency of the source."""
    assumed_uplift: float = Field(ge=1e-6, le=1)
    """An assumption, not a measurement: the share by which a contact raises the margin expected of a customer within
    the longest horizon; 0.05 is 5 %."""
