"""What moves the champions' forecasts, and what linear models say beside it; part of the model review."""

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
        from clv_pipeline.forecasting.registry import build_models

        champions = session.read("select horizon_days, model from model_leaderboard where is_champion order by 1")
        models = {model.name: model for model in build_models(champions["model"].unique().sort().to_list())}
        drivers = find_drivers(
            {horizon: models[name] for horizon, name in champions.iter_rows()},
            session.read("select * from forecast_windows"),
            training_for=partial(model_inputs.training_data, session),
            customers_for=partial(model_inputs.customers, session, most=BACKTEST_CUSTOMERS),
            outcomes_for=partial(model_inputs.outcomes, session, most=BACKTEST_CUSTOMERS),
        )
        session.stage_frame(pipeline.contract("clv_drivers"), drivers)
        return {}

    def build_coefficients(session: Session, _: Refresh) -> Mapping[str, Metadata]:
        from clv_pipeline.evaluation.drivers import linear_coefficients

        coefficients = linear_coefficients(
            session.read("select model, as_of, parameters from backtest_fits"),
            session.read("select * from forecast_windows"),
        )
        session.stage_frame(pipeline.contract("linear_coefficients"), coefficients)
        return {}

    return [
        gated_step(
            pipeline,
            ["clv_drivers"],
            reads=["model_leaderboard", "forecast_windows", *model_inputs.TABLES],
            kinds={"python"},
            build=build_drivers,
            describe=driver_plot,
        ),
        gated_step(
            pipeline,
            ["linear_coefficients"],
            reads=["backtest_fits", "forecast_windows"],
            kinds={"python"},
            build=build_coefficients,
        ),
    ]
