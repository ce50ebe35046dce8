"""Files in; kept rows, rejected rows with their reasons, and the books out: load and cleaning without the graph."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb

from clv_pipeline.config.settings import Settings
from clv_pipeline.contracts.loader import SqlModel
from clv_pipeline.orchestration.assets.ingestion import source_file_frame
from clv_pipeline.sources import load_records
from clv_pipeline.warehouse.settings_table import settings_frame
from clv_pipeline_tests.helpers.sql_bench import models

TODAY = date(2024, 6, 30)
COLUMNS = {"customer_id": "customer", "ordered_at": "date", "amount": "amount"}


@dataclass(frozen=True)
class Books:
    """Where every record of the files went."""

    kept: list[dict[str, Any]]
    rejected: list[dict[str, Any]]
    ledger: list[dict[str, Any]]
    raw_rows: int
    raw_amount: Decimal
    lines: list[tuple[int | None, int]]
    """Of every file: lines, and those that a record accounts for."""

    @property
    def told(self) -> list[str]:
        """`customer day amount` of the kept rows, with a time of day where there is one, in the order of the lines."""
        return [f"{row['customer_id']} {_short(row['ordered_at'])} {_plain(row['amount'])}" for row in self.kept]

    @property
    def reasons(self) -> dict[int, str]:
        """Line: reason, of the rejected rows."""
        return {row["source_line"]: row["reason"] for row in self.rejected}

    def assert_balanced(self) -> None:
        """Kept and rejected make up the raw rows, in number and in money; every rejected row has its reason, and every
        line is in a record."""
        assert all(lines in (None, booked) for lines, booked in self.lines)
        assert len(self.kept) + len(self.rejected) == self.raw_rows == sum(row["rows"] for row in self.ledger)
        money = [row["amount"] or Decimal(0) for row in (*self.kept, *self.rejected)]
        assert sum(money, Decimal(0)) == self.raw_amount == sum(row["amount"] for row in self.ledger)
        assert all(row["reason"] for row in self.rejected)
        places = [(row["source_id"], row["source_line"]) for row in (*self.kept, *self.rejected)]
        assert len(set(places)) == len(places)


def write_files(folder: Path, files: Mapping[str, bytes | Callable[[Path], None]]) -> None:
    """Writes each file's bytes below `folder`, or lets its writer do so."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            content(path)


def settings_for(columns: Mapping[str, str], file_format: Mapping[str, Any], cleaning: Mapping[str, Any]) -> Settings:
    """Validated settings for all files below a folder; without `columns`, the three of the catalogue."""
    block = {"path": "**/*.*", "columns": dict(columns) or COLUMNS, "format": dict(file_format)}
    return Settings.from_mapping({"source": {"transactions": block}, "cleaning": dict(cleaning)})


def clean(con: duckdb.DuckDBPyConnection, folder: Path, settings: Settings) -> Books:
    """Loads the files of `folder` into `con` and runs the cleaning models. Raises SourceError."""
    source = settings.source.transactions
    loaded = load_records(con, "raw_transactions", source, folder, folder / "work")
    parameters = settings_frame(models()["parameters"].contract, settings.parameters)
    files = source_file_frame(models()["source_files"].contract, loaded)
    for name, frame in {"source_files": files, "parameters": parameters}.items():
        columns = ", ".join(f"{column.name} {column.type}" for column in models()[name].contract.columns)
        con.register("incoming", frame)
        con.execute(f"CREATE OR REPLACE TABLE {name} ({columns})")
        con.execute(f"INSERT INTO {name} BY NAME FROM incoming")
        con.unregister("incoming")
    # The day is the same for all cases, and so is the fence, because outliers are kept.
    con.execute("CREATE TABLE IF NOT EXISTS run_day AS SELECT $today AS today, NULL::DATE AS as_of", {"today": TODAY})
    con.execute("CREATE TABLE IF NOT EXISTS currency_settings AS SELECT false AS is_mapped, NULL::VARCHAR AS report_in")
    con.execute("CREATE TABLE IF NOT EXISTS currency_rates (currency VARCHAR, day DATE, rate DECIMAL(19, 12))")
    for name in ("daily_rates", "converted_transactions"):
        con.execute(f"CREATE OR REPLACE TABLE {name} AS {_query_of(name)}")
    con.execute(f"CREATE TABLE IF NOT EXISTS outlier_fence AS {_query_of('outlier_fence')}")
    for name in ("rejected_at_sight", "matched_returns", "rejected_transactions", "cleaned_transactions"):
        con.execute(f"CREATE OR REPLACE TABLE {name} AS {_query_of(name)}")
    [(raw_rows, raw_amount)] = con.execute("SELECT count(*), coalesce(sum(amount), 0) FROM raw_transactions").fetchall()
    return Books(
        _rows(con, "FROM cleaned_transactions ORDER BY source_id, source_line"),
        _rows(con, "FROM rejected_transactions ORDER BY source_id, source_line"),
        _rows(con, _query_of("row_ledger")),
        raw_rows=raw_rows,
        raw_amount=raw_amount,
        lines=[(file.lines, file.rows + (file.joined_lines or 0)) for file in loaded],
    )


def _query_of(name: str) -> str:
    model = models()[name]
    assert isinstance(model, SqlModel)
    return model.sql


def _rows(con: duckdb.DuckDBPyConnection, query: str) -> list[dict[str, Any]]:
    result = con.execute(query)
    names = [column[0] for column in result.description]
    return [dict(zip(names, row, strict=True)) for row in result.fetchall()]


def _short(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d}" if moment.time() == datetime.min.time() else f"{moment:%Y-%m-%d %H:%M:%S}"


def _plain(amount: Decimal) -> str:
    return f"{amount.normalize():f}"
