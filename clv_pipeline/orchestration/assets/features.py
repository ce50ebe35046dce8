"""The windows for which features are computed: past ones for training and backtests, and today's."""

from __future__ import annotations

from collections.abc import Mapping

import dagster as dg

from clv_pipeline.errors import ConfigError
from clv_pipeline.orchestration.gated_step import Metadata, gated_step
from clv_pipeline.pipeline import Pipeline, Refresh
from clv_pipeline.warehouse import Session


def tables(pipeline: Pipeline) -> dg.AssetsDefinition:
    """The table forecast_windows."""
    settings = pipeline.settings

    def build_windows(session: Session, _: Refresh) -> Mapping[str, Metadata]:
        from clv_pipeline.evaluation.backtest import plan_windows

        first_day, as_of = session.read("select first_day, as_of from history_span").row(0)
        try:
            windows = plan_windows(
                first_day,
                as_of,
                settings.forecast.horizons_days,
                settings.backtest.origins,
                settings.backtest.cutoffs or (),
            )
        except ValueError as error:
            raise ConfigError(f"the windows cannot be planned: {error}") from error
        session.stage_frame(pipeline.contract("forecast_windows"), windows)
        shown: Metadata = {
            "as of": str(as_of),
            "history days": (as_of - first_day).days + 1,
            "cutoffs": windows["cutoff"].n_unique(),
            "backtest windows": int(windows["is_backtest"].sum()),
        }
        return {"forecast_windows": shown}

    return gated_step(pipeline, ["forecast_windows"], reads=["history_span"], kinds={"python"}, build=build_windows)
