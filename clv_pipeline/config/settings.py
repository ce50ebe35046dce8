"""What the user may configure: `clv.yaml` and the environment become one validated, immutable `Settings`.

Here belong the keys, their types, defaults and limits; those of `source:` are in `source_settings.py`,
those of `alerts:` in `alert_settings.py`; what earlier versions called them is in `earlier_settings.py`.
Reading YAML and telling mistakes belongs in `config_file.py`; whether a source really has the mapped columns
in `sources/`; whether a model exists in `forecasting/`. Importing this is cheap: every process does it.
"""

import hashlib
import json
import os
import re
from collections.abc import Mapping
from datetime import date, datetime
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import Field, PrivateAttr, ValidationError, field_validator

from clv_pipeline.config.alerts import SECRETS, Alerts
from clv_pipeline.config.config_file import expand_variables, explain, refuse_passwords_in_urls, without_credentials
from clv_pipeline.config.earlier import as_called_today
from clv_pipeline.config.source import Block, FileFormat, Source, TransactionSource
from clv_pipeline.config.strict_yaml import parse_yaml
from clv_pipeline.errors import ConfigError

__all__ = [
    "Alerts",
    "Backtest",
    "Campaign",
    "Cleaning",
    "ConfigError",
    "Extensions",
    "FileFormat",
    "Forecast",
    "Gates",
    "Schedule",
    "Settings",
    "Source",
    "Storage",
    "TransactionSource",
]

EMBEDDED_DEFAULT = "embedded default (clv_pipeline/config/default_clv.yaml)"
"""What errors call the packaged configuration."""


class Cleaning(Block):
    """What is taken out between raw and cleaned transactions."""

    deduplicate: bool = True
    """Keep one of several rows that are equal in every mapped column."""
    returns: Literal["drop", "net"] = "drop"
    exclude_products: list[str] = Field(default=[])
    outliers: Literal["keep", "cap", "drop"] = "keep"


class Forecast(Block):
    """What is forecast, as of which day, and how future money is valued."""

    as_of: date | Literal["latest", "today"] = "latest"
    """Days up to and including this one are history; `latest` is the last day with a transaction."""
    horizons_days: list[Annotated[int, Field(gt=0)]] = Field(default=[30, 90, 180, 365], min_length=1)
    annual_discount_rate: float = Field(default=0.10, ge=0)
    margin: float = Field(default=1.0, gt=0, le=1)
    interval_level: float = Field(default=0.8, gt=0, lt=1)

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
    """What happens when a new day does not bring what such days usually bring (`volume_gates`)."""

    rows: Severity = "error"
    hours: Severity = "error"
    """The first row of the day is late, or the last one early: the file was cut."""
    line_amount: Severity = "error"
    """The median money of a row: prices in cents, or in another currency."""
    customers: Severity = "warn"
    revenue: Severity = "warn"
    without_customer: Severity = "warn"
    rejected: Severity = "warn"
    missing_days: Severity = "warn"
    """A day without rows that usually has some. A holiday looks the same."""
    silence: Severity = "warn"
    silent_days: int = Field(default=2, ge=0)
    """So many whole days without anything new are no silence; longer ones that occurred are none either."""
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


class Campaign(Block):
    """A campaign to plan (`campaign_plan`): what it may cost, and what it is believed to do."""

    budget: float = Field(ge=0.01, le=1e12)
    """Like the cost, in the currency of the source."""
    cost_per_contact: float = Field(ge=0.01, le=1e12)
    assumed_uplift: float = Field(ge=1e-6, le=1)
    """An assumption, not a measurement: the share by which a contact raises the margin expected of a customer within
    the longest horizon; 0.05 is 5 %."""


_CRON_LIMITS = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))


class Schedule(Block):
    """When the two jobs run: five cron fields each, in one timezone."""

    cron: str = "0 2 * * *"
    review_cron: str = "0 4 * * 0"
    timezone: str = "UTC"

    @field_validator("cron", "review_cron")
    @classmethod
    def _five_fields(cls, value: str) -> str:
        fields = value.split()
        # Dagster's own checker costs a second of import and runs again when the schedule is defined.
        item = r"(\*|[0-9A-Za-z]+(-[0-9A-Za-z]+)?)(/[1-9][0-9]*)?"
        good = len(fields) == 5 and all(
            re.fullmatch(f"{item}(,{item})*", field)
            and all(low <= int(number) <= high for number in re.findall(r"(?<!/)\b\d+", field))
            for field, (low, high) in zip(fields, _CRON_LIMITS, strict=True)
        )
        if not good:
            raise ValueError("should be five cron fields (minute hour day month weekday) such as '0 2 * * *'")
        return value

    @field_validator("timezone")
    @classmethod
    def _known_timezone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (KeyError, OSError, ValueError) as error:
            raise ValueError("should be a timezone such as UTC or Europe/Berlin") from error
        return value


class Spark(Block):
    """Where SQL runs when `storage.engine` is spark."""

    remote: str = "local[*]"
    """`sc://host:15002` for a Spark Connect server; `local[*]` for one in this process, on all cores."""
    tables: str | None = Field(default=None, min_length=1)
    """A folder for the tables, which the pipeline and all workers see under the same name; by default in `home`."""
    config: dict[str, str] = Field(default={})
    """Settings of the Spark session."""


class Storage(Block):
    """Where the pipeline keeps what it computes, and what computes it."""

    home: str = Field(default="data", min_length=1)
    """A folder; relative to the current one. `CLV_HOME` overrides it."""
    engine: Literal["duckdb", "spark"] = "duckdb"
    spark: Spark = Spark()
    keep_versions: int = Field(default=5, ge=1)
    wait_minutes: float = Field(default=60, ge=0)
    """How long a run of the Dagster daemon waits for another process that works on the warehouse, before it fails."""
    memory_gb: float | None = Field(default=None, gt=0)
    """What DuckDB may take, in 10⁹ bytes; the models come on top. By default four fifths of the machine's."""
    spill_gb: float | None = Field(default=None, gt=0)
    """Disk that DuckDB may take for what does not fit into memory, in 10⁹ bytes. By default 90 % of what is free."""
    threads: int | None = Field(default=None, ge=1)
    """Of DuckDB. By default as many as there are cores, and at least four."""
    history_days: int = Field(default=30, ge=1)
    """How long Dagster's records of a run are kept, in days. The run that built a table as it is stays longer."""


PSEUDONYM_KEY = "CLV_PSEUDONYM_KEY"
"""The environment variable that holds the key of the pseudonyms."""


class Privacy(Block):
    """What publications say of persons."""

    pseudonyms: bool = False
    """Publish HMAC-SHA256 of customer ids, under the key in CLV_PSEUDONYM_KEY, instead of the ids."""


class Settings(Block):
    """The whole configuration, validated. Get one from `Settings.load()`."""

    source: Source
    cleaning: Cleaning = Cleaning()
    forecast: Forecast = Forecast()
    models: list[str] = Field(
        default=[
            *("own_rate", "last_window", "same_window_last_year", "hiatus"),
            *("pareto_nbd", "hybrid"),
        ],
        min_length=1,
    )
    extensions: Extensions = Field(default_factory=Extensions)
    backtest: Backtest = Backtest()
    gates: Gates = Gates()
    campaign: Campaign | None = None
    schedule: Schedule = Schedule()
    storage: Storage = Storage()
    privacy: Privacy = Privacy()
    alerts: Alerts = Alerts()
    owners: list[str] = Field(default=[])
    """Who the tables belong to, as the Dagster UI shows it: email addresses, or `team:` and a name."""

    _config_file: Path | None = PrivateAttr(default=None)
    _notices: list[str] = PrivateAttr(default=[])
    # Captured once, so that a later change of folder does not move the warehouse.
    _started_in: Path = PrivateAttr(default_factory=Path.cwd)
    # Never in a dump, a representation or a hash.
    _pseudonym_key: str | None = PrivateAttr(default=None)

    @field_validator("owners")
    @classmethod
    def _email_or_team(cls, value: list[str]) -> list[str]:
        for owner in value:
            if not re.fullmatch(r"\w[\w.%+-]*@[A-Za-z0-9.-]+\.[A-Za-z]{2,7}|team:\S.*", owner):
                raise ValueError(f"{owner!r} should be an email address, or team: and a name such as team:marketing")
        return value

    @field_validator("models")
    @classmethod
    def _each_model_once(cls, value: list[str]) -> list[str]:
        if len(set(value)) != len(value):
            raise ValueError("should name each model once")
        return value

    @classmethod
    def load(cls, path: Path | None = None) -> Self:
        """The configuration at `path`, else at CLV_CONFIG, else ./clv.yaml, else the embedded default.

        Raises ConfigError that lists everything that is wrong with the file.
        """
        chosen = path or (Path(os.environ["CLV_CONFIG"]) if os.environ.get("CLV_CONFIG") else None)
        if chosen is None and Path("clv.yaml").is_file():
            chosen = Path("clv.yaml")
        if chosen is None:
            text = resources.files("clv_pipeline.config").joinpath("default_clv.yaml").read_text(encoding="utf-8")
            return cls.from_mapping(parse_yaml(text, EMBEDDED_DEFAULT))
        try:
            text = chosen.read_text(encoding="utf-8-sig")
        except UnicodeDecodeError as error:
            raise ConfigError(f"{chosen}: should be UTF-8 text ({error.reason} at byte {error.start})") from error
        except OSError as error:
            told = "" if path else " (named by CLV_CONFIG)" if os.environ.get("CLV_CONFIG") else ""
            raise ConfigError(
                f"{chosen}{told}: cannot be read: {error.strerror}; `clv init FILE` writes one"
            ) from error
        return cls.from_mapping(parse_yaml(text, str(chosen)), config_file=chosen)

    @classmethod
    def from_mapping(cls, raw: Mapping[str, Any], config_file: Path | None = None) -> Self:
        """Settings from an already parsed mapping; `config_file` is the file that it came from.

        Environment variables are expanded and CLV_HOME is honoured. Raises ConfigError.
        """
        origin = str(config_file) if config_file else EMBEDDED_DEFAULT
        _refuse_written_secrets(raw, origin)
        refuse_passwords_in_urls(dict(raw), origin)
        expanded, notices = as_called_today(expand_variables(dict(raw), origin))
        if os.environ.get("CLV_HOME") and isinstance(expanded.get("storage", {}), dict):
            expanded["storage"] = {**expanded.get("storage", {}), "home": os.environ["CLV_HOME"]}
        try:
            settings = cls.model_validate(expanded)
        except ValidationError as error:
            raise ConfigError("\n".join([f"{origin}:", *explain(cls, error)])) from error
        settings._config_file = config_file.resolve() if config_file else None
        settings._notices = notices
        settings.extensions._folder = settings.base_dir
        key = os.environ.get(PSEUDONYM_KEY, "")
        if settings.privacy.pseudonyms and len(key) < 32:
            found = "is not set" if not key else f"has {len(key)} characters"
            raise ConfigError(
                f"{origin}:\n  privacy.pseudonyms: the environment variable {PSEUDONYM_KEY} {found}; it should hold at "
                "least 32, for example from `openssl rand -hex 32`, the same on every run"
            )
        settings._pseudonym_key = key or None
        return settings

    @property
    def config_file(self) -> Path | None:
        """The file that was read, absolute; None for the embedded default."""
        return self._config_file

    @property
    def notices(self) -> list[str]:
        """What of the file was read as something else than it says, a line each; `clv run` and `clv check` tell it."""
        return self._notices

    @property
    def base_dir(self) -> Path:
        """The folder that relative source paths start from: the configuration file's own."""
        return self._config_file.parent if self._config_file else self._started_in

    @property
    def home(self) -> Path:
        """`storage.home` as an absolute path."""
        return (self._started_in / Path(self.storage.home).expanduser()).resolve()

    @property
    def warehouse_path(self) -> Path:
        """The pipeline's private database file."""
        return self.home / "warehouse" / "clv.duckdb"

    @property
    def spark_tables_dir(self) -> Path:
        """The folder that holds the tables which Spark writes."""
        return self.base_dir / self.storage.spark.tables if self.storage.spark.tables else self.home / "tables"

    @property
    def published_dir(self) -> Path:
        """The folder that holds `versions/` and `current`."""
        return self.home / "published"

    @property
    def privacy_dir(self) -> Path:
        """The folder that holds the list of forgotten customers."""
        return self.home / "privacy"

    @property
    def pseudonym_key(self) -> str | None:
        """The key in CLV_PSEUDONYM_KEY, or None, whether or not publications are to be made with it."""
        return self._pseudonym_key

    @property
    def config_hash(self) -> str:
        """sha256 (hex) of what is configured, without where it is stored, who is told, and database credentials.

        Another key for pseudonyms is another configuration.
        """
        return self._hash_without(
            {"storage": set(Storage.model_fields) - {"keep_versions"}, "alerts": True, "owners": True}
        )

    @property
    def recipe_hash(self) -> str:
        """sha256 (hex) of what tables depend on: not when they are built, where they are kept, what stops them, who
        is told, whose they are, under what names customers are published, or what campaign is planned
        (`campaign_settings`)."""
        excluded = ("schedule", "alerts", "gates", "privacy", "campaign", "owners")
        # Tables stay where the engine that made them keeps them, so another engine makes its own.
        return self._hash_without({**dict.fromkeys(excluded, True), "storage": set(Storage.model_fields) - {"engine"}})

    def _hash_without(self, excluded: Mapping[str, Any]) -> str:
        content = self.model_dump(mode="json", exclude=dict(excluded))
        for source in filter(None, content["source"].values()):
            if source["url"] is not None:
                source["url"] = without_credentials(source["url"])
        if self.privacy.pseudonyms and self._pseudonym_key and "privacy" in content:
            content["privacy"]["key"] = hashlib.sha256(self._pseudonym_key.encode()).hexdigest()
        canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()


def _refuse_written_secrets(raw: Mapping[str, Any], origin: str) -> None:
    """Raises ConfigError for a secret that stands in the file itself; it belongs into the environment."""
    for path in SECRETS:
        value: Any = raw
        for key in path:
            value = value.get(key) if isinstance(value, Mapping) else None
        if isinstance(value, str) and value and not re.fullmatch(r"\$\{\w+(:-)?\}", value):
            variable = "_".join(["CLV", *path]).upper().replace("ALERTS", "ALERT")
            raise ConfigError(
                f"{origin}:\n  {'.'.join(path)}: is a secret and should not be written into a file;"
                f" set the environment variable {variable} and write ${{{variable}}}"
            )
