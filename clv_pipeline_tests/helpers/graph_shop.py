"""A small shop with real-looking transactions, and runs of the whole graph on it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from graphlib import TopologicalSorter
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

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
class Night:
    """What came of the steps of a night."""

    shown: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    """By table that was built or kept: what the UI would show of it."""
    failures: dict[str, str] = field(default_factory=dict)
    """By table: why its step failed, as the user reads it."""
    failed_checks: list[dg.AssetCheckResult] = field(default_factory=list)
    """Checks that did not pass, warnings too."""

    @property
    def success(self) -> bool:
        """Whether every step went well."""
        return not self.failures

    def take(self, step: dg.AssetsDefinition, reported: Iterable[Any]) -> None:
        """Note what a step reports."""
        for report in reported:
            if isinstance(report, dg.MaterializeResult):
                key = report.asset_key or step.key
                self.shown[key.to_user_string()] = report.metadata or {}
            elif not report.passed:
                self.failed_checks.append(report)


def _chosen(selection: str | None) -> dg.AssetSelection:
    """The selected tables with those that are built in the same steps; everything if None."""
    return dg.AssetSelection.from_string(selection or "*").required_multi_asset_neighbors()


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
        try:
            return dg.materialize(
                all_assets(pipeline),
                selection=_chosen(selection),
                resources={REFRESH: refresh or RefreshOptions()},
                instance=self.instance,
                raise_on_error=False,
            )
        finally:
            pipeline.warehouse.close()

    def night(self, selection: str | None = None, refresh: RefreshOptions | None = None, **blocks: Any) -> Night:
        """The steps of `materialize` in the order of the graph, without Dagster's engine and history.

        For tests of what is in the tables: a night without news takes a third of the time. After a step that failed,
        none starts that needs it.
        """
        pipeline = Pipeline.of(self.settings(**blocks))
        assets = all_assets(pipeline)
        chosen = _chosen(selection).resolve(assets)
        steps = {key: step for step in assets for key in step.keys & chosen}
        needs = {
            step: {steps[dep.asset_key] for spec in step.specs for dep in spec.deps if dep.asset_key in steps}
            for step in steps.values()
        }
        night, log = Night(), dg.get_dagster_logger()
        context = SimpleNamespace(run=SimpleNamespace(run_id=str(uuid4())), log=log, instance=self.instance)
        stopped: set[dg.AssetsDefinition] = set()
        try:
            for step in TopologicalSorter(needs).static_order():
                if needs[step] & stopped:
                    stopped.add(step)
                    continue
                try:
                    body: Any = step.op.compute_fn
                    reported = body.decorated_fn(context, refresh or RefreshOptions())
                    night.take(step, reported if isinstance(reported, Iterator) else [reported])
                except dg.Failure as failure:
                    stopped.add(step)
                    night.failures[step.op.name] = str(failure.description)
            return night
        finally:
            pipeline.warehouse.close()

    @property
    def served(self) -> Path:
        """What BI tools read."""
        return self.folder / "home" / "published" / "current" / "clv.duckdb"
