"""The composition root, without Dagster: from settings to the warehouse, its models and contracts, and the recipe.

The graph starts here, and so do commands that work on the warehouse without it. `Refresh` describes what a run may
build although nothing has changed.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Self

import duckdb

from clv_pipeline.config.settings import Settings
from clv_pipeline.contracts import Contract
from clv_pipeline.contracts.loader import SqlModel, TableModel, load_models
from clv_pipeline.display import Display
from clv_pipeline.errors import ContractError, RequestError
from clv_pipeline.sources import readable_folders
from clv_pipeline.sources.rates import rates_folders
from clv_pipeline.spark.earlier import take_over_folders
from clv_pipeline.spark.functions import require_proven
from clv_pipeline.spark.session import on_duckdb, on_spark
from clv_pipeline.warehouse import Limits, NewSession, Session, Warehouse

READ_WITHOUT_SPARK = (
    *("currency_rates", "currency_settings", "parameters"),
    *("arrived_files", "file_gate_settings", "file_gates", "file_measures", "passed_files", "source_files"),
    "volume_gates",
)
"""Tables that the file gates and `clv check` read in the DuckDB file, whatever the engine; they grow with files."""

_PACKAGE = Path(__file__).parent
_SQL = _PACKAGE.parent / "dbt_like_sql"


@dataclass(frozen=True)
class Refresh:
    """What the operator requests in addition to changed data."""

    full: bool = False
    """Read every source file again and build every table whole."""
    days: tuple[date, date] | None = None
    """Read transactions of these days again, first to last, and rebuild the days."""

    @classmethod
    def of(cls, full: bool, days: str | None) -> Self:
        """Parse the options; `days` as 2011-02-01..2011-02-28, or one day.

        Raises:
            RequestError: `days` is not a range of days.
        """
        if not days:
            return cls(full)
        first, _, last = days.partition("..")
        try:
            period = date.fromisoformat(first), date.fromisoformat(last or first)
        except ValueError as error:
            raise RequestError(f"days {days!r}: should be two days such as 2011-02-01..2011-02-28") from error
        if period[0] > period[1]:
            raise RequestError(f"days {days!r}: should be the earlier day first")
        return cls(full, period)


@dataclass(frozen=True)
class Pipeline:
    """The settings, the warehouse and the models: what every asset needs. Creating it opens nothing."""

    settings: Settings
    warehouse: Warehouse
    models: Mapping[str, TableModel]

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """The pipeline of these settings.

        Raises:
            ContractError: a table cannot be built as its files say.
        """
        models = load_models(extension=settings.extensions.sql_folder)
        if not settings.publish.fact_orders:
            _leave_out(models, "fact_orders", "publish.fact_orders")
        storage = settings.storage
        directories = [
            settings.published_dir,
            settings.earlier_tables_dir,
            *readable_folders(settings.source, settings.base_dir),
            *rates_folders(settings.currency, settings.base_dir),
        ]
        limits = Limits(storage.memory_gb, storage.spill_gb, storage.threads)
        new_session = _new_session(settings, models)
        return cls(settings, Warehouse(settings.warehouse_path, directories, limits, new_session), models)

    @property
    def display(self) -> Display:
        """How people are told something; the currency is that of what is told."""
        return self.settings.display.writer()

    @property
    def recipe(self) -> str:
        """Identifies the code and settings with which tables are built."""
        return recipe(self.settings)

    def recipe_of(self, table: str) -> str:
        """Identifies the recipe of one table: with its own query and contract, if SQL builds it.

        A changed query in a user's own folder (`extensions.sql`) therefore rebuilds this table, and not all.
        """
        model = self.models[table]
        if not isinstance(model, SqlModel):
            return self.recipe
        return hashlib.sha256(f"{self.recipe} {model.sql} {model.contract.model_dump_json()}".encode()).hexdigest()[:16]

    def contract(self, table: str) -> Contract:
        """The contract of a table."""
        return self.models[table].contract


def _leave_out(models: dict[str, TableModel], table: str, key: str) -> None:
    """Remove an optional table from the models.

    Raises:
        ContractError: another table reads it.
    """
    del models[table]
    for model in models.values():
        if isinstance(model, SqlModel) and table in (*model.dependencies, *model.contract.waits_for):
            raise ContractError(f"{model.sql_file} reads {table}, which is there only with `{key}: true` in clv.yaml")


def _new_session(settings: Settings, models: Mapping[str, TableModel]) -> NewSession:
    """What makes the session of an open warehouse; one of an earlier version is brought up to date first."""
    storage, lake = settings.storage, settings.lake
    if storage.engine == "spark":
        require_proven(models)
        new_session: NewSession = on_spark(storage.spark, storage.catalog, lake, READ_WITHOUT_SPARK)
    else:
        new_session = on_duckdb(storage.spark, storage.catalog, lake)

    def up_to_date(connection: duckdb.DuckDBPyConnection) -> Session:
        take_over_folders(connection, settings.earlier_tables_dir)
        return new_session(connection)

    return up_to_date


def recipe(settings: Settings) -> str:
    """The recipe of tables as one hash: the code of this package and of extensions, the libraries, the settings.

    With the same recipe and the same inputs a table would not change: it is kept.
    """
    digest = hashlib.sha256(f"{_code_hash()} {settings.recipe_hash}".encode())
    if settings.extensions.models:
        from clv_pipeline.forecasting.registry import extension_files

        for path in extension_files(settings.extensions):
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


@cache
def _code_hash() -> str:
    """Hash of every Python, SQL and contract file, and of the versions of the libraries."""
    digest = hashlib.sha256()
    files = [*_PACKAGE.rglob("*.py"), *_SQL.rglob("*.sql"), *_SQL.rglob("*.yml")]
    for path in sorted(files):
        digest.update(f"{path.relative_to(_PACKAGE.parent)} ".encode())
        digest.update(path.read_bytes())
    for requirement in sorted(metadata.requires("clv_pipeline") or []):
        name = re.match(r"[\w.-]+", requirement)
        if name is not None and "extra ==" not in requirement:
            digest.update(f"{name.group()} {metadata.version(name.group())} ".encode())
    return digest.hexdigest()
