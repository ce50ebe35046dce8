"""When and where the pipeline runs, what it publishes and how pages are written: schedule, storage, display, privacy.

These blocks of `clv.yaml` change no number. Receivers of failures are in `alerts.py`.
"""

import re
from typing import Literal, Self
from zoneinfo import ZoneInfo

from pydantic import Field, field_validator, model_validator

from clv_pipeline.config.block import Block
from clv_pipeline.display import Display as Writer

_LOCALE = r"[a-z]{2,3}(-[A-Z][a-z]{3})?-([A-Z]{2}|\d{3})"
"""A language, where it has several the script, and a country or region: de-DE, sr-Latn-RS, es-419."""


def known_timezone(name: str) -> str:
    """The name of a timezone.

    Raises:
        ValueError: there is no such timezone.
    """
    try:
        ZoneInfo(name)
    except (KeyError, OSError, ValueError) as error:
        raise ValueError("should be a timezone such as UTC or Europe/Berlin") from error
    return name


# Dagster checks cron expressions (`orchestration/cron.py`).
class Schedule(Block):
    """When the two jobs run, in one timezone."""

    cron: str = "0 2 * * *"
    """When the nightly refresh runs: minute, hour, day of the month, month, day of the week."""
    review_cron: str = "0 4 * * 0"
    """When the model review runs."""
    timezone: str = "UTC"
    """The timezone of both, such as Europe/Berlin; it also says which day is today."""

    @field_validator("timezone")
    @classmethod
    def _known_timezone(cls, value: str) -> str:
        return known_timezone(value)


class Catalog(Block):
    """The Iceberg catalog that holds the tables when `storage.engine` is spark."""

    type: Literal["rest", "jdbc", "hadoop", "hive", "glue"] = "hadoop"
    """Kind of catalog, as Spark and PyIceberg call it. `hadoop` is a folder, for one machine; `rest` for a cluster."""
    uri: str | None = Field(default=None, min_length=1, repr=False)
    """Address of the catalog, such as `https://catalog.internal`. `hadoop` has none."""
    warehouse: str | None = Field(default=None, min_length=1)
    """Where the files of the tables are, such as `s3://lake/clv`. By default the folder `lake` in `home`."""
    namespace: str = Field(default="clv", pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    """The namespace of the tables. It belongs to one pipeline."""
    properties: dict[str, str] = Field(default={}, repr=False)
    """Further properties of the catalog, under Iceberg's names, such as `credential` or `s3.endpoint`."""
    keep_days: int = Field(default=7, ge=1)
    """How many days a version of a table stays after it was replaced, at least."""

    @model_validator(mode="after")
    def _has_an_address(self) -> Self:
        if self.type in ("rest", "jdbc", "hive") and self.uri is None:
            raise ValueError(f"a catalog of type {self.type} needs `uri`, its address")
        if self.type in ("jdbc", "glue") and self.warehouse is None:
            raise ValueError(f"a catalog of type {self.type} needs `warehouse`, where the files of the tables are")
        return self


class Spark(Block):
    """Where SQL runs when `storage.engine` is spark."""

    remote: str = Field(default="local[*]", repr=False)
    """`sc://host:15002` for a Spark Connect server; `local[*]` for one in this process, on all cores."""
    config: dict[str, str] = Field(default={}, repr=False)
    """Settings of the Spark session, under Spark's names."""


class Storage(Block):
    """Where the pipeline keeps what it computes, and what computes it."""

    home: str = Field(default="data", min_length=1)
    """A folder; relative to the current one. `CLV_HOME` overrides it."""
    engine: Literal["duckdb", "spark"] = "duckdb"
    """What runs the SQL; see docs/explanation/scaling.md."""
    spark: Spark = Spark()
    """How Spark is reached."""
    catalog: Catalog = Catalog()
    """Where Spark keeps the tables."""
    keep_versions: int = Field(default=5, ge=1)
    """How many publications are kept, the newest one included."""
    wait_minutes: float = Field(default=60, ge=0)
    """How long a run of the Dagster daemon waits while another process works on the warehouse, before it fails."""
    memory_gb: float | None = Field(default=None, gt=0)
    """Memory that DuckDB may use, in 10⁹ bytes, without that of the models. By default four fifths of the machine's."""
    spill_gb: float | None = Field(default=None, gt=0)
    """Disk that DuckDB may use for what does not fit into memory, in 10⁹ bytes. By default 90 % of the free space."""
    threads: int | None = Field(default=None, ge=1)
    """How many threads DuckDB uses. By default as many as there are cores, and at least four."""
    history_days: int = Field(default=30, ge=1)
    """How long Dagster keeps the records of a run, in days. The run that built a table's current rows stays longer."""


class Publish(Block):
    """Which tables are published beyond those that always are."""

    fact_orders: bool = False
    """Build and publish `fact_orders`, a row per order and product. It grows with transactions, unlike the others."""


class Display(Block):
    """How pages and printed summaries are written for people. Tables and files stay as they are."""

    locale: str = "en-US"
    """Language and country, such as de-DE: the words of the pages, and how numbers, money and days are written."""
    timezone: str = "UTC"
    """The timezone in which moments are told, such as Europe/Berlin."""

    def writer(self, currency: str | None = None) -> Writer:
        """What writes for people; `currency` is that of the money that is told."""
        return Writer(self.locale, self.timezone, currency)

    @field_validator("locale")
    @classmethod
    def _known_locale(cls, value: str) -> str:
        if value == "en-US":
            return value
        from babel import Locale, UnknownLocaleError

        try:
            known = re.fullmatch(_LOCALE, value) and Locale.parse(value.replace("-", "_"))
        except UnknownLocaleError:
            known = None
        if not known:
            raise ValueError("should be a language and a country such as en-US or de-DE")
        return value

    @field_validator("timezone")
    @classmethod
    def _known_timezone(cls, value: str) -> str:
        return known_timezone(value)


PSEUDONYM_KEY = "CLV_PSEUDONYM_KEY"
"""The environment variable that holds the key of the pseudonyms."""


class Privacy(Block):
    """What publications reveal about persons."""

    pseudonyms: bool = False
    """Publish HMAC-SHA256 of customer ids, under the key in CLV_PSEUDONYM_KEY, instead of the ids."""
