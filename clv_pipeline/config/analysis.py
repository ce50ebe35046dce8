"""What is computed and how strictly data are judged: cleaning, forecast, gates, backtest, extensions, contacts, plans.

Here belong the blocks of `clv.yaml` that change what is in a table or whether it is let in. When and where the pipeline
runs is in `operation.py`; where records come from in `source.py`.
"""

from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, PrivateAttr, field_validator, model_validator

from clv_pipeline.config.block import Block


class Cleaning(Block):
    """Rules for rows that are removed between raw and cleaned transactions."""

    deduplicate: bool = True
    """Keep one of several rows that are equal in every mapped column."""
    returns: Literal["net", "drop"] = "net"
    """What happens to negative amounts: `net` takes a return off the purchase that it belongs to, `drop` rejects it."""
    exclude_products: list[str] = Field(default=[])
    """Products that are not sales, such as postage, vouchers and fees; their lines are rejected."""
    anonymous_ids: list[str] = Field(default=[])
    """Customer ids that stand for nobody in particular, such as '0' or guest; their rows are rejected."""
    outliers: Literal["keep", "cap", "drop"] = "keep"
    """What happens to lines whose amount is above exp(Q3 + 3 × IQR) of the logarithm of all amounts: `cap` lowers them
    to that."""


FIRST_DAY, LAST_DAY = date(1900, 1, 1), date(2199, 12, 31)
"""What anything may be forecast as of: a day that transactions may have, within three centuries."""
LONGEST_HORIZON = 3_653
"""Ten years. No model is asked for more: what customers do then, no history of theirs tells."""


class Forecast(Block):
    """What is forecast, as of which day, and how future money is valued."""

    as_of: date | Literal["latest", "today"] = "latest"
    """Days up to and including this one are history: a day, `today`, or `latest`, the last day with a purchase
    or a return that counts, also of customers who were forgotten since. A lone day far behind all others (a mistyped
    year) is `latest` only once a second day near it confirms it."""
    horizons_days: list[Annotated[int, Field(gt=0, le=LONGEST_HORIZON)]] = Field(
        default=[30, 90, 180, 365], min_length=1
    )
    """How many days ahead are forecast. The longest one is that of a customer's CLV."""
    annual_discount_rate: float = Field(default=0.10, ge=0)
    """By how much money is worth less a year later; 0.10 is 10 %."""
    margin: float = Field(default=1.0, gt=0, le=1)
    """The share of spend that is margin, where no line states its cost (source.transactions.columns.cost). 1 counts all
    revenue as margin, which is too much for most shops."""
    interval_level: float = Field(default=0.8, gt=0, lt=1)
    """The share of outcomes that a range should hold."""

    @field_validator("as_of", mode="before")
    @classmethod
    def _day_or_word(cls, value: Any) -> date | str:
        if isinstance(value, str) and value in ("latest", "today"):
            return value
        try:
            is_day = isinstance(value, date) and not isinstance(value, datetime)
            day: date = value if is_day else date.fromisoformat(value)
        except (TypeError, ValueError) as error:
            raise ValueError("should be latest, today or a day such as 2011-09-01") from error
        if not FIRST_DAY <= day <= LAST_DAY:
            raise ValueError(f"should be a day from {FIRST_DAY} to {LAST_DAY}")
        return day

    @field_validator("horizons_days")
    @classmethod
    def _unique_and_sorted(cls, value: list[int]) -> list[int]:
        if len(set(value)) != len(value):
            raise ValueError("should name each horizon once")
        return sorted(value)


Severity = Literal["error", "warn", "ignore"]
"""What an odd value does: stops the refresh, shows as a warning, or nothing."""


class Gates(Block):
    """What happens when a new file or a new day is not as usual.

    `file_gates` judges what a file of transactions holds, `volume_gates` what a day brings.
    """

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
    """The past days from which models are backtested."""

    origins: int = Field(default=13, ge=1)
    """Number of monthly cutoffs, 30 days apart, back from `forecast.as_of`; fewer where the history is shorter. With 13
    the backtest always includes the same season a year ago.
    """
    cutoffs: list[date] | None = Field(default=None, min_length=1)
    """Additional cutoffs for backtests, for every horizon."""

    @field_validator("cutoffs")
    @classmethod
    def _each_cutoff_once(cls, value: list[date] | None) -> list[date] | None:
        if value is not None and len(set(value)) != len(value):
            raise ValueError("should name each day once")
        return value


class Extensions(Block):
    """Models and tables from outside this package."""

    models: list[str] = Field(default=[])
    """Modules that can be imported, or lie in the folder of `clv.yaml`; their models can be configured by name."""
    sql: str | None = Field(default=None, min_length=1)
    """A folder with additional tables, `<layer>/<table>.sql` with `<table>.yml`; relative to `clv.yaml`."""

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
        """Folder in which modules are searched that are not installed."""
        return self._folder

    @property
    def sql_folder(self) -> Path | None:
        """The folder of `sql`, absolute where the settings come from `Settings`."""
        return None if self.sql is None else (self._folder or Path()) / Path(self.sql).expanduser()


class ContactCosts(Block):
    """What it costs to reach one customer, by channel, in the currency that is reported in.

    Advice (`segments`, `segment_actions`) names no channel that costs more than the margin that is expected.
    """

    email: float = Field(default=0.05, ge=0, le=1e12)
    """An e-mail, in whole cents."""
    letter: float = Field(default=1.50, ge=0, le=1e12)
    """A letter: print, postage, and what is enclosed."""
    telephone: float = Field(default=8.00, ge=0, le=1e12)
    """A telephone call: mostly the time of who calls."""

    @field_validator("email", "letter", "telephone")
    @classmethod
    def _whole_cents(cls, value: float) -> float:
        if abs(value - round(value, 2)) > 1e-9:
            raise ValueError("should have at most two decimal places")
        return value

    @model_validator(mode="after")
    def _the_more_personal_the_dearer(self) -> Self:
        if not self.email <= self.letter <= self.telephone:
            raise ValueError("a letter should cost at least as much as an e-mail, and a telephone call as a letter")
        return self


class Campaign(Block):
    """A campaign to plan (`campaign_plan`): its costs and its assumed effect, which `clv campaign start` uses, too."""

    budget: float = Field(ge=0.01, le=1e12)
    """The most that the campaign may cost, in the currency of the source."""
    cost_per_contact: float = Field(ge=0.01, le=1e12)
    """What contacting one customer costs, in the currency of the source."""
    assumed_uplift: float = Field(ge=1e-6, le=1)
    """An assumption, not a measurement: the share by which a contact raises the margin expected of a customer within
    the longest horizon; 0.05 is 5 %. What campaigns with a control group measured takes its place by its weight."""
