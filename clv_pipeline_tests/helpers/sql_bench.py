"""Input rows in, one model's rows out: a bench on which SQL models are tried without the graph."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from functools import cache
from typing import Any

import polars as pl
from hypothesis import strategies as st

from clv_pipeline.config.settings import Cleaning, Forecast
from clv_pipeline.contracts import Contract
from clv_pipeline.contracts.loader import SqlModel, TableModel, load_models
from clv_pipeline.database.sql_text import quote_identifier
from clv_pipeline.quality import CheckResult
from clv_pipeline.warehouse import Session
from clv_pipeline.warehouse.duckdb_engine import staged_name
from clv_pipeline.warehouse.settings_table import settings_frame

Row = dict[str, Any]

TODAY = date(2024, 6, 30)

FILES = {1: "jan.csv", 2: "feb.csv", 3: "mar.csv"}
"""Source files by source_id, in the order of their arrival and not of their names."""

_SALE: Row = {
    "source_id": 1,
    "customer_id": "ann",
    "order_id": "1001",
    "ordered_at": "2024-01-05 10:30:00",
    "product_id": "mug",
    "quantity": 2,
    "unit_price": "3.50",
    "amount": "7.00",
}


@cache
def models() -> dict[str, TableModel]:
    """The pipeline's models, loaded once."""
    return load_models()


def sql_models() -> list[SqlModel]:
    """The models that a SELECT builds, by name."""
    return [model for _, model in sorted(models().items()) if isinstance(model, SqlModel)]


def picked(rows: Iterable[Row], *columns: str) -> list[tuple[Any, ...]]:
    """Some columns of every row, in the order of the rows."""
    return [tuple(row[column] for column in columns) for row in rows]


def sale(source_line: int, **changes: Any) -> Row:
    """A raw line with nothing wrong with it, except for `changes`."""
    return _SALE | {"source_line": source_line} | changes


def converted(source_line: int, day: date, amount: Any, customer: str = "ann") -> Row:
    """One row of converted_transactions; money that came back is below 0."""
    return {
        "source_id": 1,
        "source_line": source_line,
        "customer_id": customer,
        "ordered_at": str(day),
        "amount": amount,
        "original_amount": amount,
        "rate": 1,
    }


def purchase(customer: str, day: date, revenue: Any = 10, orders: int = 1, lines: int = 1) -> Row:
    """One row of customer_days."""
    return {
        "customer_id": customer,
        "purchase_day": day,
        "known_from": day,
        "revenue": revenue,
        "orders": orders,
        "transaction_lines": lines,
    }


def purchases(first: date, last: date, min_size: int = 0) -> st.SearchStrategy[list[Row]]:
    """Tables of purchase days of a few customers between two days; few values, so that ties are common."""
    customer_and_day = st.tuples(st.sampled_from(["ann", "bob", "cid", "dee", "eve", "fay"]), st.dates(first, last))
    revenue = st.integers(1, 500).map(lambda quarters: Decimal(quarters) / 4)
    return st.dictionaries(customer_and_day, st.tuples(revenue, st.integers(1, 3)), min_size=min_size, max_size=25).map(
        lambda days: [purchase(*key, *values) for key, values in days.items()]
    )


def window(
    cutoff: date, horizon_days: int, is_complete: bool = True, is_sampled: bool = False, is_served: bool = True
) -> Row:
    """One row of forecast_windows."""
    return {
        "cutoff": cutoff,
        "horizon_days": horizon_days,
        "outcome_ends": cutoff + timedelta(days=horizon_days),
        "is_served": is_served,
        "is_complete": is_complete,
        "is_backtest": is_complete and not is_sampled,
        "is_sampled": is_sampled,
    }


BETWEEN = (
    *("known_days", "sold_days", "segment_names", "sales_calendar", "sales_by_day", "sales_by_week", "sales_by_month"),
    *("revenue_deciles", "revenue_concentration", "order_profile"),
)
"""Tables that are built wherever they are read, because tests give what they are made of."""


class Bench:
    """Input tables and the models run on them, in one warehouse session.

    Everything is a table here, also what the pipeline keeps as a view.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        # Most promises about money read whether there is any.
        self.given_parameters()
        # Nothing was returned unless a test says so.
        self.given("matched_returns", [])
        self.given("customer_epochs", [])

    def given(self, table: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Make `table` hold these rows; columns that a row leaves out are NULL.

        Values travel as text and become the contract's types in the warehouse, so days and money may be
        written as strings.
        """
        contract = _as_table(models()[table])
        declared = {column.name: column.type for column in contract.columns}
        for row in rows:
            assert row.keys() <= declared.keys(), f"{table} has no {sorted(row.keys() - declared.keys())}"
        columns = {
            name: pl.Series(
                name,
                [_texts(row.get(name)) if type_.endswith("[]") else _text(row.get(name)) for row in rows],
                pl.List(pl.String) if type_.endswith("[]") else pl.String,
            )
            for name, type_ in declared.items()
        }
        self._session.stage_frame(contract, pl.DataFrame(columns))
        self._put_in_place(contract)

    def given_converted(self, rows: Sequence[Row]) -> None:
        """The table `converted_transactions`, of lines of one file, with the raw lines and the file to match."""
        self.given("converted_transactions", rows)
        self.given("raw_transactions", [{"source_id": 1, "source_line": row["source_line"]} for row in rows])
        self.given("source_files", [{"source_id": 1, "source_file": "a.csv", "rows": len(rows)}])

    def given_raw(self, rows: Sequence[Row]) -> None:
        """The table `raw_transactions`, of lines of the files in FILES, and `source_files` to match."""
        self.given("raw_transactions", rows)
        lines = Counter(row.get("source_id") for row in rows)
        self.given(
            "source_files",
            [{"source_id": id_, "source_file": name, "rows": lines[id_]} for id_, name in FILES.items()],
        )

        if not self._session.has_table("currency_settings"):
            self.given_currency()
        self.run("daily_rates")
        self.run("converted_transactions")

    def given_currency(self, report_in: str | None = None, rates: Sequence[tuple[str, str, str]] = ()) -> None:
        """What is configured of currencies; with `report_in` a column states them. Rates are (currency, day, rate)."""
        self.given("currency_settings", [{"is_mapped": report_in is not None, "report_in": report_in}])
        self.given("currency_rates", [dict(zip(("currency", "day", "rate"), rate, strict=True)) for rate in rates])

    def given_parameters(self, **changes: Any) -> None:
        """The table `parameters` with the defaults of the settings, except for `changes`; and the day of the run."""
        self.given("run_day", [{"today": TODAY, "as_of": changes.pop("as_of", None)}])
        blocks = [dict(Cleaning()), dict(Forecast()), {"has_money": True, "has_costs": False}]
        frame = settings_frame(models()["parameters"].contract, blocks)
        row = frame.row(0, named=True) | changes
        self.given("parameters", [row])
        if not row["has_costs"]:
            self.given("shop_margin", [{"margin_source": "forecast.margin", "margin": row["margin"]}])
            self.given("customer_margins", [])

    def run(self, name: str) -> list[Row]:
        """Build the model's table by its SELECT; its rows in the order of its key.

        Tables between what tests give and what they try are built first.
        """
        model = models()[name]
        assert isinstance(model, SqlModel)
        if name == "rejected_transactions":
            self.run("rejected_at_sight")
            self.run("matched_returns")
        for between in model.dependencies:
            if between in BETWEEN:
                self.run(between)
        contract = _as_table(model)
        self._session.stage_query(contract, model.sql)
        self._put_in_place(contract)
        key = ", ".join(map(quote_identifier, contract.key))
        return self._session.read(f"select * from {quote_identifier(name)} order by {key}").to_dicts()

    def checks(self, table: str) -> list[CheckResult]:
        """Every promise of its contract, held against the table as it stands."""
        return self._session.auditor.audit(models()[table].contract, table)

    def failed_checks(self, table: str) -> list[str]:
        """Which promises of its contract the table breaks as it stands."""
        return [result.check for result in self.checks(table) if not result.passed]

    def _put_in_place(self, contract: Contract) -> None:
        live, staged = map(quote_identifier, (contract.table, staged_name(contract.table)))
        self._session.execute(f"drop table if exists {live}")
        self._session.execute(f"alter table {staged} rename to {live}")


def _as_table(model: TableModel) -> Contract:
    return model.contract.model_copy(update={"materialized": "table"})


def _texts(values: Iterable[Any] | None) -> list[str] | None:
    return None if values is None else [str(value) for value in values]


def _text(value: Any) -> str | None:
    return None if value is None else str(value)
