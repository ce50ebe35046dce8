"""What the insight tables are told from `clv.yaml`; the tables themselves are SQL."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import dagster as dg

from clv_pipeline.config.settings import Campaign
from clv_pipeline.orchestration.gated_step import Metadata, gated_step
from clv_pipeline.pipeline import Pipeline, Refresh
from clv_pipeline.warehouse import Session

if TYPE_CHECKING:
    import polars as pl


def tables(pipeline: Pipeline) -> dg.AssetsDefinition:
    """campaign_settings."""

    def build(session: Session, _: Refresh) -> Mapping[str, Metadata]:
        frame = campaign_settings_frame(pipeline.settings.campaign)
        session.stage_frame(pipeline.contract("campaign_settings"), frame)
        return {}

    return gated_step(pipeline, ["campaign_settings"], reads=[], kinds={"python"}, build=build)


def campaign_settings_frame(campaign: Campaign | None) -> pl.DataFrame:
    """The row of `campaign_settings`; none without a campaign."""
    import polars as pl

    schema = dict.fromkeys(Campaign.model_fields, pl.Float64)
    return pl.DataFrame([campaign.model_dump()] if campaign else [], schema=schema)
