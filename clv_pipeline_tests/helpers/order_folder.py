"""A folder of order files, refreshed night by night with `deduplicate: false` and `removed_files: keep`, where nothing
else hides a row that counts twice or is gone."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from clv_pipeline.config.settings import Settings
from clv_pipeline.contracts import Contract
from clv_pipeline.pipeline import Refresh
from clv_pipeline.quality import CheckResult
from clv_pipeline.warehouse import Admission, Session, Warehouse
from clv_pipeline_tests.helpers.nights import NEWS, RECIPE, night

FIRST = date(2024, 3, 1)
TODAY = date(2024, 6, 30)
HEADER = "customer,order,date,product,quantity,price"
COLUMNS = {
    "customer_id": "customer",
    "order_id": "order",
    "ordered_at": "date",
    "product_id": "product",
    "quantity": "quantity",
    "unit_price": "price",
}

CONTENT = {
    "lines": "select * exclude (source_id, source_line) from raw_transactions",
    "rejected": "select * exclude (source_id, source_line, source_file) from rejected_transactions",
    "days": "from customer_days",
    "rfm": "from rfm",
    "books": 'select outcome, sum("rows"), sum(amount) from row_ledger group by outcome',
}
"""What there is, whatever the files are called."""

NAMED = {
    "lines": "select f.source_file, t.* exclude (source_id) from raw_transactions as t"
    " join source_files as f using (source_id)",
    "rejected": "select * exclude (source_id) from rejected_transactions",
    "books": "from row_ledger",
    "files": 'select source_file, path, "rows", bytes, sha256, content, copies, lines, joined_lines from source_files',
}
"""What there is, by the names of the files."""


def no_audit(contract: Contract, _: str) -> list[CheckResult]:
    """Contracts are tried elsewhere; here it is about rows."""
    return [CheckResult(contract.table, "not_audited", True, "error", "", "", "")]


@dataclass
class Shop:
    """A folder of order files, and warehouses that are refreshed from it."""

    folder: Path
    warehouse: Warehouse = field(init=False)

    def __post_init__(self) -> None:
        self.orders.mkdir()
        self.warehouse = Warehouse(self.folder / "home" / "clv.duckdb", [self.folder])

    @property
    def orders(self) -> Path:
        return self.folder / "orders"

    @property
    def session(self) -> Session:
        return self.warehouse.open("test")

    def write(self, name: str, *lines: str) -> Path:
        path = self.orders / name
        path.write_text("\n".join([HEADER, *lines]) + "\n")
        return path

    def settings(self, **source: Any) -> Settings:
        transactions = {"path": "orders/*", "columns": COLUMNS, **source}
        cleaning = {"deduplicate": False}
        content = {"source": {"transactions": transactions}, "cleaning": cleaning}
        return Settings.from_mapping(content, config_file=self.folder / "clv.yaml")

    def run(
        self,
        warehouse: Warehouse | None = None,
        refresh: Refresh = NEWS,
        recipe: str = RECIPE,
        audited: bool = False,
        **source: Any,
    ) -> dict[str, Admission]:
        warehouse = warehouse or self.warehouse
        session = warehouse.open("test")
        vars(session.auditor).pop("audit", None)
        if not audited:
            session.auditor.audit = no_audit  # type: ignore[method-assign,assignment]
        return night(warehouse, self.settings(**source), today=TODAY, refresh=refresh, recipe=recipe)

    def tables(self, queries: dict[str, str] = CONTENT, warehouse: Warehouse | None = None) -> dict[str, list[Any]]:
        session = (warehouse or self.warehouse).open("test")
        return {name: sorted(session.execute(query).fetchall(), key=repr) for name, query in queries.items()}

    def files(self, columns: str = "source_file") -> list[Any]:
        found = self.session.execute(f"select {columns} from source_files order by source_file").fetchall()
        return [row if len(row) > 1 else row[0] for row in found]

    def read_afresh(self, queries: dict[str, str]) -> dict[str, list[Any]]:
        """The tables of a new warehouse that reads the files as they are now."""
        with tempfile.TemporaryDirectory() as folder:
            other = Warehouse(Path(folder) / "clv.duckdb", [self.folder])
            self.run(other)
            tables = self.tables(queries, other)
            other.close()
        return tables


@contextmanager
def shops() -> Iterator[Shop]:
    with tempfile.TemporaryDirectory() as folder:
        shop = Shop(Path(folder))
        try:
            yield shop
        finally:
            shop.warehouse.close()


def line(customer: str, day: int, price: str = "3.50") -> str:
    return f"{customer},{day},{FIRST + timedelta(days=day)} 10:30:00,mug,1,{price}"


def daily(day: int) -> list[str]:
    return [line("ann", day), line("bob", day, "4.25"), line("ann", day), line("", day)]
