"""Settings from `clv.yaml` for the insight tables; the tables themselves are SQL."""

from __future__ import annotations

from collections.abc import Mapping

import dagster as dg

from clv_pipeline.orchestration.gated_step import Metadata, gated_step
from clv_pipeline.pipeline import Pipeline, Refresh
from clv_pipeline.warehouse import Session
from clv_pipeline.warehouse.settings_table import settings_frame


def tables(pipeline: Pipeline) -> dg.AssetsDefinition:
    """The table campaign_settings."""

    def build(session: Session, _: Refresh) -> Mapping[str, Metadata]:
        contract, campaign = pipeline.contract("campaign_settings"), pipeline.settings.campaign
        rows = [[dict(campaign)]] if campaign else []
        session.stage_frame(contract, settings_frame(contract, *rows))
        return {}

    return gated_step(pipeline, ["campaign_settings"], reads=[], kinds={"python"}, build=build)
