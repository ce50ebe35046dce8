"""A night of the pipeline in a process of its own, which a fault can be prepared for.

The part of the graph from the source files to `rfm` and `row_ledger` runs as Dagster assets, and a publication of
these two tables ends it. Whatever is heavy is imported here, so that a fork server imports it once for all nights;
nothing here may start a thread or open DuckDB before the fork.
"""

from __future__ import annotations

import json
import multiprocessing
import resource
from collections.abc import Callable
from dataclasses import dataclass, replace
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import dagster as dg

# Not named below: imported once in the fork server instead of in every night.
import great_expectations  # noqa: F401
import polars  # noqa: F401

from clv_pipeline.config.settings import Settings
from clv_pipeline.contracts.loader import SqlModel, load_models
from clv_pipeline.display import Display
from clv_pipeline.orchestration.assets import all_assets, serving
from clv_pipeline.orchestration.gated_step import REFRESH
from clv_pipeline.orchestration.plots import PLOTS
from clv_pipeline.orchestration.resources import RefreshOptions
from clv_pipeline.pipeline import Pipeline
from clv_pipeline.publication import pages, report
from clv_pipeline.publication.write import PAGES
from clv_pipeline_tests.helpers.runs import failure

MODELS = {
    # Every table is audited, but by one expectation: the search for faults is in how tables come and go.
    name: replace(model, contract=model.contract.model_copy(update={"expectations": model.contract.expectations[:1]}))
    for name, model in load_models().items()
}
QUERIES = [model.parsed for model in MODELS.values() if isinstance(model, SqlModel)]
"""Asked for here, because a query is parsed once and remembers."""
PUBLISHED = ("rfm", "row_ledger", "publication")
COLUMNS = ("customer_id", "order_id", "ordered_at", "product_id", "quantity", "unit_price")

Prepare = Callable[[Path], None]
"""Runs first in the night's process and is given its folder: limits it, or sets up what kills it."""


@dataclass(frozen=True)
class Night:
    """How a night ended. A night that was killed has no report, and neither succeeded nor failed."""

    exit_code: int
    success: bool
    failure: str

    @property
    def killed(self) -> bool:
        """Whether its process was ended by SIGKILL."""
        return self.exit_code == -9


def settings_of(folder: Path) -> Settings:
    """Order files in `folder/orders`, everything else in `folder/home`."""
    return Settings.from_mapping(
        {
            "source": {"transactions": {"path": "orders/*", "columns": {name: name for name in COLUMNS}}},
            "storage": {"home": str(folder / "home"), "keep_versions": 3},
        },
        config_file=folder / "clv.yaml",
    )


def start_night(folder: Path, prepare: Prepare | None = None) -> ForkServerProcess:
    """Start a night in a process of its own."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    (folder / "report.json").unlink(missing_ok=True)
    process = context.Process(target=_night, args=(folder, prepare))
    process.start()
    return process


def end_of(process: ForkServerProcess, folder: Path, seconds: float = 600) -> Night:
    """Wait for a night to end."""
    process.join(seconds)
    assert process.exitcode is not None, f"the night has not ended after {seconds} s"
    written = folder / "report.json"
    told = json.loads(written.read_text()) if written.exists() else {"success": False, "failure": ""}
    return Night(process.exitcode, **told)


def spend_night(folder: Path, prepare: Prepare | None = None) -> Night:
    """A whole night, from start to end."""
    return end_of(start_night(folder, prepare), folder)


def _night(folder: Path, prepare: Prepare | None) -> None:
    # Charts show tables and change none.
    PLOTS.clear()
    # Pages read tables that are not built here; others take their places in the publication.
    pages.write_pages = _write_pages
    report.summary_lines = _no_summary
    if prepare is not None:
        prepare(folder)
    settings = settings_of(folder)
    pipeline = replace(Pipeline.of(settings), models=MODELS)
    few = replace(pipeline, models={name: MODELS[name] for name in PUBLISHED})
    whole = [asset for asset in all_assets(pipeline) if dg.AssetKey("published_marts") not in asset.keys]
    try:
        result = dg.materialize(
            [*whole, serving.published_marts(few)],
            resources={REFRESH: RefreshOptions()},
            selection=dg.AssetSelection.from_string("*published_marts").required_multi_asset_neighbors(),
            instance=dg.DagsterInstance.ephemeral(),
            raise_on_error=False,
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        )
    finally:
        pipeline.warehouse.close()
    # A full disk is for the pipeline, not for what the test has to know.
    resource.setrlimit(resource.RLIMIT_FSIZE, (-1, -1))
    (folder / "report.json").write_text(json.dumps({"success": result.success, "failure": failure(result)}))


def _write_pages(version: Path, display: Display, *, warn: Callable[[str], None] = print) -> None:
    for page in PAGES:
        (version / page).write_text("<p>A page.</p>\n" * 10_000, encoding="utf-8")


def _no_summary(database: Path, display: Display) -> list[str]:
    return []
