"""What the user may configure: `clv.yaml` and the environment become one validated, immutable `Settings`.

This module assembles the blocks, loads them, and derives paths and hashes. The keys of a block are in `source.py`,
`analysis.py`, `operation.py`, `alerts.py`; their earlier names in `earlier.py`. `config_file.py` reads YAML and reports
mistakes; `sources/` checks that a source has the mapped columns, `forecasting/` that a model exists. The import is
cheap, because every process does it.
"""

import hashlib
import json
import os
import re
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any, Self

from pydantic import Field, PrivateAttr, ValidationError, field_validator, model_validator

from clv_pipeline.config.alerts import SECRETS, Alerts
from clv_pipeline.config.analysis import Backtest, Campaign, Cleaning, ContactCosts, Extensions, Forecast, Gates
from clv_pipeline.config.block import Block
from clv_pipeline.config.config_file import expand_variables, explain, refuse_written_secrets
from clv_pipeline.config.currency import Currency
from clv_pipeline.config.earlier import as_called_today, earlier_tables
from clv_pipeline.config.operation import PSEUDONYM_KEY, Display, Privacy, Publish, Schedule, Storage
from clv_pipeline.config.questions import refuse_questions
from clv_pipeline.config.secret_text import without_credentials
from clv_pipeline.config.source import FileFormat, Source, TransactionSource
from clv_pipeline.config.strict_yaml import parse_yaml
from clv_pipeline.errors import ConfigError

__all__ = [
    "PSEUDONYM_KEY",
    "Alerts",
    "Backtest",
    "Campaign",
    "Cleaning",
    "ConfigError",
    "ContactCosts",
    "Currency",
    "Display",
    "Extensions",
    "FileFormat",
    "Forecast",
    "Gates",
    "Privacy",
    "Schedule",
    "Settings",
    "Source",
    "Storage",
    "TransactionSource",
]

EMBEDDED_DEFAULT = "embedded default (clv_pipeline/config/default_clv.yaml)"
"""Name of the packaged configuration in errors."""


class Settings(Block):
    """The whole configuration, validated. `Settings.load()` returns one."""

    source: Source
    """Where records come from."""
    cleaning: Cleaning = Cleaning()
    """What is taken out between raw and cleaned transactions."""
    currency: Currency = Currency()
    """In which currency money is reported; see docs/how-to/currencies.md."""
    forecast: Forecast = Forecast()
    """What is forecast, as of which day, and how future money is valued."""
    models: list[str] = Field(
        default=[
            *("own_rate", "last_window", "same_window_last_year", "hiatus"),
            *("pareto_nbd", "hybrid"),
        ],
        min_length=1,
    )
    """The models that are backtested; one of them serves. See docs/explanation/models.md."""
    extensions: Extensions = Field(default_factory=Extensions)
    """Models and tables from outside this package."""
    backtest: Backtest = Backtest()
    """The past days from which models are backtested."""
    gates: Gates = Gates()
    """What happens when a new file or day is not like others; see docs/how-to/volume-checks.md."""
    contact_costs: ContactCosts = ContactCosts()
    """What it costs to reach a customer, which decides by which channel to do so, if at all."""
    campaign: Campaign | None = None
    """A campaign to plan; see docs/how-to/plan-a-campaign.md. None by default."""
    schedule: Schedule = Schedule()
    """When the two jobs run."""
    storage: Storage = Storage()
    """Where the pipeline keeps what it computes, and what computes it."""
    publish: Publish = Publish()
    """Which optional tables are published."""
    display: Display = Display()
    """How pages and printed summaries are written for people; see docs/how-to/language-and-currency.md."""
    privacy: Privacy = Privacy()
    """What publications reveal about persons."""
    alerts: Alerts = Alerts()
    """Who is told when a run fails. Nobody by default."""
    owners: list[str] = Field(default=[])
    """Owners of the tables in the Dagster UI: email addresses, or `team:` and a name."""

    _config_file: Path | None = PrivateAttr(default=None)
    _notices: list[str] = PrivateAttr(default=[])
    _earlier_tables: str | None = PrivateAttr(default=None)
    # Captured once, so that a later change of folder does not move the warehouse.
    _started_in: Path = PrivateAttr(default_factory=Path.cwd)
    # Never part of a dump, a representation or a hash.
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

    @model_validator(mode="after")
    def _rates_have_currencies(self) -> Self:
        if self.currency.rates and not self.source.transactions.states_currency:
            raise ValueError(
                "currency.rates need source.transactions.columns.currency, the column that says which currency a row"
                " is in"
            )
        return self

    @classmethod
    def load(cls, path: Path | None = None) -> Self:
        """The configuration at `path`, else at CLV_CONFIG, else ./clv.yaml, else the embedded default.

        Raises:
            ConfigError: the file cannot be read or holds mistakes; the text lists all of them.
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
        """Settings from a parsed mapping; `config_file` is the file that it came from.

        Environment variables are expanded and CLV_HOME is used.

        Raises:
            ConfigError: the mapping holds mistakes, or pseudonyms have no usable key; the text lists all mistakes.
        """
        origin = str(config_file) if config_file else EMBEDDED_DEFAULT
        _refuse_written_secrets(raw, origin)
        refuse_written_secrets(dict(raw), origin)
        refuse_questions(raw, origin)
        written = expand_variables(dict(raw), origin)
        expanded, notices = as_called_today(written)
        if os.environ.get("CLV_HOME") and isinstance(expanded.get("storage", {}), dict):
            expanded["storage"] = {**expanded.get("storage", {}), "home": os.environ["CLV_HOME"]}
        try:
            settings = cls.model_validate(expanded)
        except ValidationError as error:
            raise ConfigError("\n".join([f"{origin}:", *explain(cls, error)])) from error
        settings._config_file = config_file.resolve() if config_file else None
        settings._notices = notices
        settings._earlier_tables = earlier_tables(written)
        settings.extensions._folder = settings.base_dir
        if "?" in str(settings.home):
            raise ConfigError(
                f"{origin}:\n  storage.home: {settings.home} has a ? in it, and DuckDB would look for its log"
                " elsewhere; choose a folder without one"
            )
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
        """The file that was read, absolute path; None for the embedded default."""
        return self._config_file

    @property
    def notices(self) -> list[str]:
        """One line for each part of the file that is read as something else; `clv run` and `clv check` print them."""
        return self._notices

    @property
    def base_dir(self) -> Path:
        """The folder of the configuration file, from which relative source paths start."""
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
    def lake(self) -> str:
        """Where the files of Spark's tables are; the folder `lake` in `home` if nothing else is configured."""
        return self.storage.catalog.warehouse or (self.home / "lake").as_uri()

    @property
    def earlier_tables_dir(self) -> Path:
        """The folder in which an earlier version had Spark write tables."""
        return self.base_dir / self._earlier_tables if self._earlier_tables else self.home / "tables"

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
        """The key in CLV_PSEUDONYM_KEY, or None; whether publications use it is a separate setting."""
        return self._pseudonym_key

    @property
    def config_hash(self) -> str:
        """sha256 (hex) of the configuration, without storage locations, receivers of alerts, and database credentials.

        Another key for pseudonyms is another configuration.
        """
        return self._hash_without(
            {"storage": set(Storage.model_fields) - {"keep_versions"}, "alerts": True, "owners": True}
        )

    @property
    def parameters(self) -> list[dict[str, Any]]:
        """The blocks of settings that SQL models read, in the table `parameters`."""
        return [dict(self.cleaning), dict(self.forecast), self._about_lines]

    @property
    def _about_lines(self) -> dict[str, Any]:
        transactions = self.source.transactions
        return {"has_money": transactions.has_money, "has_costs": transactions.has_costs}

    @property
    def recipe_hash(self) -> str:
        """sha256 (hex) of the settings that tables depend on.

        It leaves out when tables are built, where they are kept, what stops them, who is told, who owns them, under
        what names customers are published, how pages are written, what tables of settings hold (`campaign_settings`,
        `currency_settings`, `currency_rates`), and additional tables (`publish`, `extensions.sql`).
        """
        excluded = (
            *("schedule", "alerts", "gates", "publish", "display", "privacy", "contact_costs", "campaign", "currency"),
            "owners",
        )
        # Tables stay where their engine keeps them, so another engine builds its own.
        partly = {"storage": set(Storage.model_fields) - {"engine"}, "extensions": {"sql"}}
        return self._hash_without({**dict.fromkeys(excluded, True), **partly})

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
    """Refuse a secret that stands in the file itself; it belongs into the environment.

    Raises:
        ConfigError: names the key and the variable to use.
    """
    for path, variable in SECRETS.items():
        value: Any = raw
        for key in path:
            value = value.get(key) if isinstance(value, Mapping) else None
        if isinstance(value, str) and value and not re.fullmatch(r"\$\{\w+(:-)?\}", value):
            raise ConfigError(
                f"{origin}:\n  {'.'.join(path)}: is a secret and should not be written into a file;"
                f" set the environment variable {variable} and write ${{{variable}}}"
            )
