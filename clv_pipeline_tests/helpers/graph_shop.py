"""A small shop with real-looking transactions, and runs of the whole graph on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg

from clv_pipeline.config.settings import Settings
from clv_pipeline.orchestration.assets import all_assets
from clv_pipeline.orchestration.gated_step import REFRESH
from clv_pipeline.orchestration.resources import RefreshOptions
from clv_pipeline.pipeline import Pipeline
from clv_pipeline.privacy.erasure import Erasure, forget
from clv_pipeline.simulation.raw_lines import generate

COLUMNS = ("customer_id", "order_id", "ordered_at", "product_id", "quantity", "unit_price")


def erased(settings: Settings, customers: Sequence[str]) -> Erasure:
    """What `clv forget` does."""
    return forget(settings, Pipeline.of(settings).warehouse, customers)


@dataclass(frozen=True)
class Shop:
    """Order files in `folder/orders`, a Dagster instance, and the pipeline over them."""

    folder: Path
    instance: dg.DagsterInstance

    def settings(self, **blocks: Any) -> Settings:
        """clv.yaml for the order files, with few models and horizons, and all tables; keywords are further blocks."""
        columns = {name: name for name in COLUMNS}
        transactions = {"path": "orders/*.csv", "columns": columns, "removed_files": "remove"}
        return Settings.from_mapping(
            {
                "source": {"transactions": transactions},
                "storage": {"home": str(self.folder / "home")},
                "models": ["own_rate", "pareto_nbd", "hybrid"],
                "forecast": {"horizons_days": [30, 90]},
                "backtest": {"origins": 2},
                "publish": {"fact_orders": True},
                **blocks,
            },
            config_file=self.folder / "clv.yaml",
        )

    def write_orders(self, name: str, rows: int, seed: int) -> Path:
        """A CSV file of generated transactions."""
        path = self.folder / "orders" / name
        path.parent.mkdir(exist_ok=True)
        generate(rows, seed=seed).write_csv(path, datetime_format="%Y-%m-%d %H:%M:%S")
        return path

    def materialize(
        self, selection: str | None = None, refresh: RefreshOptions | None = None, **blocks: Any
    ) -> dg.ExecuteInProcessResult:
        """Run the graph, or the selected part of it, in this process."""
        pipeline = Pipeline.of(self.settings(**blocks))
        chosen = dg.AssetSelection.from_string(selection or "*").required_multi_asset_neighbors()
        try:
            return dg.materialize(
                all_assets(pipeline),
                selection=chosen,
                resources={REFRESH: refresh or RefreshOptions()},
                instance=self.instance,
                raise_on_error=False,
            )
        finally:
            pipeline.warehouse.close()

    @property
    def served(self) -> Path:
        """What BI tools read."""
        return self.folder / "home" / "published" / "current" / "clv.duckdb"
