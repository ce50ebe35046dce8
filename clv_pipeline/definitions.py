"""The whole graph on one screen. Loading reads files of this repository and `clv.yaml`, and opens nothing."""

import dagster as dg

from clv_pipeline.config.settings import Settings
from clv_pipeline.database.file_modes import private_files
from clv_pipeline.orchestration.assets import all_assets
from clv_pipeline.orchestration.gated_step import REFRESH
from clv_pipeline.orchestration.jobs import model_review, nightly_refresh, schedules
from clv_pipeline.orchestration.resources import RefreshOptions
from clv_pipeline.orchestration.sensors import sensors
from clv_pipeline.pipeline import Pipeline


def build_defs(settings: Settings) -> dg.Definitions:
    """Assets, checks, jobs, schedules and sensors of these settings: assembled only here; tests call it, too."""
    pipeline = Pipeline.of(settings)
    assets = all_assets(pipeline)
    return dg.Definitions(
        assets=assets,
        jobs=[nightly_refresh, model_review],
        schedules=schedules(pipeline, assets),
        sensors=sensors(settings),
        resources={REFRESH: RefreshOptions.configure_at_launch()},
        # DuckDB has one writer, and a process per step would cost seconds each.
        executor=dg.in_process_executor,
    )


@dg.definitions
def defs() -> dg.Definitions:
    """The definitions that `workspace.yaml` loads. A run loads them first, before it writes anything."""
    private_files()
    return build_defs(Settings.load())
