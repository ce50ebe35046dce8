"""What customers may cost; settings of campaigns; campaigns: kept, measured, learned from; suggestions for refinement.

Other tables are SQL.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import TYPE_CHECKING

import dagster as dg

from clv_pipeline.features import refinement_inputs
from clv_pipeline.orchestration.gated_step import Metadata, gated_step
from clv_pipeline.orchestration.plots import acquisition_plots, campaign_plot
from clv_pipeline.pipeline import Pipeline, Refresh
from clv_pipeline.publication.campaign import READS
from clv_pipeline.warehouse import Session
from clv_pipeline.warehouse.predecessors import stage_kept
from clv_pipeline.warehouse.settings_table import settings_frame

if TYPE_CHECKING:
    import polars as pl

_WINDOWS = """
select distinct c.campaign, c.started_on, c.horizon_days as stated_days, c.assumed_uplift, c.cost_per_contact,
    o.horizon_days, o.days_measured
from campaigns as c
inner join campaign_outcomes as o on c.campaign = o.campaign
order by c.campaign, o.horizon_days
"""

_FINISHED = """
select distinct c.campaign, c.started_on, c.horizon_days
from campaigns as c
inner join campaign_results as r on c.campaign = r.campaign and c.horizon_days = r.horizon_days
inner join forecast_windows as w on c.horizon_days = w.horizon_days
where w.is_served and r.is_over and r.measure = 'margin'
order by c.campaign
"""
"""Campaigns that are over, of a horizon that customers are forecast for."""

_WERE_OVER = "select campaign, horizon_days from campaign_results where is_over"

_PAST_GROUPS = """
select b.cutoff, b.horizon_days, c.first_month, c.channel, count(*) as customers,
    cast(sum(cast(b.expected_purchases as decimal(18, 6))) as double) as expected_purchases,
    cast(sum(cast(b.expected_spend as decimal(28, 6))) as double) as expected_spend,
    cast(sum(cast(b.actual_spend as decimal(28, 6))) as double) as actual_spend
from backtest_forecasts as b
inner join customer_channels as c on b.customer_id = c.customer_id
where b.model = ?
group by b.cutoff, b.horizon_days, c.first_month, c.channel
order by b.cutoff, b.horizon_days, c.first_month, c.channel
"""
"""Past forecasts of the model that serves, by month of first purchase and channel."""


def tables(pipeline: Pipeline) -> list[dg.AssetsDefinition]:
    """What customers cost and bring; campaign_settings, campaigns, members, campaign_results and segment_uplifts.

    Also refinement_suggestions.
    """
    # Written by `clv campaign start`, and kept by runs.
    kept = ["campaigns", "campaign_members"]

    def build_settings(session: Session, _: Refresh) -> Mapping[str, Metadata]:
        contract, campaign = pipeline.contract("campaign_settings"), pipeline.settings.campaign
        rows = [[dict(campaign)]] if campaign else []
        session.stage_frame(contract, settings_frame(contract, *rows))
        return {}

    def build_kept(session: Session, _: Refresh) -> Mapping[str, Metadata]:
        for table in kept:
            stage_kept(session, pipeline.contract(table))
        return {}

    def build_results(session: Session, _: Refresh) -> Mapping[str, Metadata]:
        from clv_pipeline.campaigns.results import Campaign, result, results_frame

        has_money = pipeline.settings.source.transactions.has_money
        were_over = _were_over(session, pipeline)
        rows = [
            result(
                Campaign(
                    campaign=window["campaign"],
                    started_on=window["started_on"],
                    horizon_days=window["stated_days"],
                    assumed_uplift=float(window["assumed_uplift"]),
                    cost_per_contact=None if window["cost_per_contact"] is None else float(window["cost_per_contact"]),
                ),
                window["horizon_days"],
                window["horizon_days"]
                if (window["campaign"], window["horizon_days"]) in were_over
                else window["days_measured"],
                _members(session, window["campaign"], window["horizon_days"]),
                has_money=has_money,
            )
            for window in session.read(_WINDOWS).iter_rows(named=True)
        ]
        session.stage_frame(pipeline.contract("campaign_results"), results_frame(rows))
        return {"campaign_results": {row["campaign"]: row["verdict"] for row in rows if row["is_stated"]}}

    def build_uplifts(session: Session, _: Refresh) -> Mapping[str, Metadata]:
        from clv_pipeline.campaigns.segment_uplifts import Finished, horizon_to_plan, segment_uplifts

        assumed = pipeline.settings.campaign.assumed_uplift if pipeline.settings.campaign else None
        finished = [Finished(**row) for row in session.read(_FINISHED).iter_rows(named=True)]
        horizon = horizon_to_plan(finished, pipeline.settings.forecast.horizons_days)
        frames = [_members(session, found.campaign, horizon) for found in finished if found.horizon_days == horizon]
        segments = session.read("select segment from segment_profiles order by segment")["segment"].to_list()
        uplifts = segment_uplifts(frames, horizon, assumed, segments)
        session.stage_frame(pipeline.contract("segment_uplifts"), uplifts)
        return {}

    def build_acquisition(session: Session, _: Refresh) -> Mapping[str, Metadata]:
        from clv_pipeline.evaluation.acquisition import acquisition_value, backtest, held_share

        level = pipeline.settings.forecast.interval_level
        as_of: date = session.read("select as_of from history_span").item()
        model: str = session.read("select max(model) from clv_forecasts").item()
        past = backtest(session.read(_PAST_GROUPS, [model]), model, level)
        value = acquisition_value(
            session.read("select * from cohort_margins order by all"),
            session.read("select * from acquisition_outlook order by all"),
            session.read("select * from acquisition_costs order by all"),
            past,
            as_of,
            level,
        )
        session.stage_frame(pipeline.contract("acquisition_backtest"), past)
        session.stage_frame(pipeline.contract("acquisition_value"), value)
        held = {f"{row['scope']}, {row['horizon_days']} days": f"{row['held']:.0%}" for row in held_share(past)}
        return {"acquisition_backtest": {"ranges held": dg.MetadataValue.json(held)}}

    def build_suggestions(session: Session, _: Refresh) -> Mapping[str, Metadata]:
        from clv_pipeline.evaluation.refinement import suggestions

        settings = pipeline.settings
        situation = refinement_inputs.situation(
            session, models=settings.models, has_order_ids="order_id" in settings.source.transactions.columns
        )
        found = suggestions(situation)
        session.stage_frame(pipeline.contract("refinement_suggestions"), found)
        return {"refinement_suggestions": dict(found.select("suggestion_code", "suggestion").iter_rows())}

    return [
        gated_step(
            pipeline,
            ["refinement_suggestions"],
            reads=refinement_inputs.TABLES,
            kinds={"python"},
            build=build_suggestions,
        ),
        gated_step(
            pipeline,
            ["acquisition_value", "acquisition_backtest"],
            reads=[
                *("history_span", "clv_forecasts", "backtest_forecasts", "customer_channels"),
                *("cohort_margins", "acquisition_outlook", "acquisition_costs"),
            ],
            kinds={"python"},
            build=build_acquisition,
            describe=acquisition_plots,
        ),
        gated_step(pipeline, ["campaign_settings"], reads=[], kinds={"python"}, build=build_settings),
        gated_step(pipeline, kept, reads=READS, kinds={"sql"}, build=build_kept),
        gated_step(
            pipeline,
            ["campaign_results"],
            reads=["campaigns", "campaign_outcomes"],
            kinds={"python"},
            build=build_results,
            describe=campaign_plot,
        ),
        gated_step(
            pipeline,
            ["segment_uplifts"],
            reads=[
                *("campaigns", "campaign_outcomes", "campaign_results", "campaign_settings"),
                *("segment_profiles", "forecast_windows"),
            ],
            kinds={"python"},
            build=build_uplifts,
        ),
    ]


def _were_over(session: Session, pipeline: Pipeline) -> set[tuple[str, int]]:
    """Campaigns and horizons that an earlier run found to be over: a verdict that was given stays.

    Rows that disappear from the source may turn the last known day back, but not what was told. Whoever states
    forecast.as_of asks what was known on that day.
    """
    if pipeline.settings.forecast.as_of != "latest" or not session.has_table("campaign_results"):
        return set()
    return set(session.read(_WERE_OVER).iter_rows())


def _members(session: Session, campaign: str, horizon_days: int) -> pl.DataFrame:
    """The members of a campaign with what came of them within a horizon."""
    query = "select * from campaign_outcomes where campaign = ? and horizon_days = ? order by customer_id"
    return session.read(query, [campaign, horizon_days])
