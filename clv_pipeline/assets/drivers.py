"""What moves the champion's forecasts, and the coefficients that fits report beside it; part of the model review."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import dagster as dg

from clv_pipeline.assets.evaluation import BACKTEST_CUSTOMERS
from clv_pipeline.assets.plots import driver_plot
from clv_pipeline.assets.tables import Metadata, Pipeline, gated_step
from clv_pipeline.refresh import Refresh
from clv_pipeline.warehouse import Session, model_inputs


def tables(pipeline: Pipeline) -> list[dg.AssetsDefinition]:
    """clv_drivers; linear_coefficients."""

    def build_drivers(session: Session, _: Refresh) -> Mapping[str, Metadata]:
        from clv_pipeline.evaluation.drivers import find_drivers
        from clv_pipeline.forecasting.registry import models_of

        served = session.read("select distinct model from model_leaderboard where is_champion")
        [champion] = models_of(served["model"].to_list(), pipeline.settings.extensions)
        drivers = find_drivers(
            champion,
            session.read("select * from forecast_windows"),
            training_for=partial(model_inputs.training_data, session),
            customers_for=lambda cutoff, horizons: model_inputs.customers(
                session, cutoff, horizons=horizons, most=BACKTEST_CUSTOMERS
            ),
            outcomes_for=partial(model_inputs.outcomes, session, most=BACKTEST_CUSTOMERS),
        )
        session.stage_frame(pipeline.contract("clv_drivers"), drivers)
        return {}

    def build_coefficients(session: Session, _: Refresh) -> Mapping[str, Metadata]:
        from clv_pipeline.evaluation.drivers import linear_coefficients

        coefficients = linear_coefficients(session.read("select model, as_of, parameters from backtest_fits"))
        session.stage_frame(pipeline.contract("linear_coefficients"), coefficients)
        return {}

    return [
        gated_step(
            pipeline,
            ["clv_drivers"],
            reads=["model_leaderboard", *model_inputs.TABLES],
            kinds={"python"},
            build=build_drivers,
            describe=driver_plot,
        ),
        gated_step(
            pipeline,
            ["linear_coefficients"],
            reads=["backtest_fits"],
            kinds={"python"},
            build=build_coefficients,
        ),
    ]
