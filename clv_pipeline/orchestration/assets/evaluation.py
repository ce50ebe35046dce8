"""The model review: backtests of every configured model, their metrics, the choice, and accuracy as served."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from datetime import date, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import dagster as dg

from clv_pipeline.features import model_inputs, outlook_inputs
from clv_pipeline.orchestration.gated_step import Metadata, gated_step
from clv_pipeline.orchestration.plots import leaderboard_plots, metric_table, served_accuracy_plots
from clv_pipeline.pipeline import Pipeline, Refresh
from clv_pipeline.warehouse import Session

if TYPE_CHECKING:
    import polars as pl

    from clv_pipeline.evaluation.choice import Contender
    from clv_pipeline.forecasting.protocol import TrainingData

_SERVED = """
select cutoff, max(model) as model, max(horizon_days) as longest
from served_accuracy
where metric not like 'best_rule_%'
group by cutoff
order by cutoff
"""
"""Who would have served at each past cutoff, and the longest horizon that is over."""


_DESCRIBED = """
select f.customer_id, s.segment, f.country, cast(f.revenue as double) as revenue
from customer_features as f
left join past_segments as s on f.customer_id = s.customer_id and f.cutoff = s.cutoff
where f.cutoff = ? and exists (
    select 1 from backtest_forecasts as b where b.cutoff = ? and b.customer_id = f.customer_id
)
"""
"""What was known of the customers of the backtest at a cutoff."""


def tables(pipeline: Pipeline) -> list[dg.AssetsDefinition]:
    """The tables of backtests with their fits, metrics with calibration, the leaderboard, served_accuracy, outlooks."""
    settings = pipeline.settings

    def build_backtest(session: Session, _: Refresh) -> Mapping[str, Metadata]:
        import polars as pl

        from clv_pipeline.evaluation.backtest import BACKTEST_SCHEMA, backtest
        from clv_pipeline.evaluation.drivers import DRIVERS_SCHEMA, linear_coefficients
        from clv_pipeline.forecasting.outlook import WEEKS_SCHEMA
        from clv_pipeline.forecasting.registry import models_of
        from clv_pipeline.forecasting.serving import fit_rows

        log = dg.get_dagster_logger()
        contract = pipeline.contract("backtest_forecasts")
        session.stage_frame(contract, pl.DataFrame(schema=BACKTEST_SCHEMA))
        windows = session.read("select * from forecast_windows where is_backtest order by cutoff, horizon_days")
        latest = windows.group_by("horizon_days").agg(pl.col("cutoff").max())
        fits, skipped, drivers = [fit_rows([], {})], 0, [pl.DataFrame(schema=DRIVERS_SCHEMA)]
        weeks = [pl.DataFrame(schema=WEEKS_SCHEMA)]
        # Cutoff by cutoff, so that only one of them is in memory.
        for of_cutoff in windows.partition_by("cutoff", maintain_order=True):
            cutoff, horizons = of_cutoff["cutoff"][0], of_cutoff["horizon_days"].to_list()
            log.info("backtest as of %s: %d models over %s days", cutoff, len(settings.models), horizons)
            # Read once: those who are forecast are those whose totals are learned.
            customers = model_inputs.customers(session, cutoff, horizons=horizons, most=model_inputs.CURRENT_SAMPLE)
            training = model_inputs.training_data(session, cutoff, customers)
            tried = backtest(
                models_of(settings.models, settings.extensions),
                of_cutoff,
                training_for=_always(training),
                customers_for=_always(customers),
                outcomes_for=partial(model_inputs.outcomes, session, most=model_inputs.CURRENT_SAMPLE),
                explained={*latest.select("cutoff", "horizon_days").iter_rows()},
            )
            session.append_frame(contract, tried.forecasts)
            gaps: dict[tuple[str, date], list[int]] = defaultdict(list)
            for gap in tried.skipped:
                gaps[gap.model, gap.cutoff].append(gap.horizon_days)
            fits.append(fit_rows(tried.reports, gaps))
            skipped += len(tried.skipped)
            drivers.append(tried.drivers)
            weeks.append(tried.weeks)
        all_fits = pl.concat(fits)
        session.stage_frame(pipeline.contract("backtest_fits"), all_fits)
        session.stage_frame(pipeline.contract("family_drivers"), pl.concat(drivers))
        session.stage_frame(pipeline.contract("linear_coefficients"), linear_coefficients(all_fits))
        session.stage_frame(pipeline.contract("backtest_weeks"), pl.concat(weeks))
        return {"backtest_forecasts": {"fits": all_fits.height, "skipped": skipped}}

    def build_metrics(session: Session, _: Refresh) -> Mapping[str, Metadata]:
        import polars as pl

        from clv_pipeline.evaluation.metrics import CALIBRATION_SCHEMA, METRICS_SCHEMA, Scored, score

        scored = [Scored(pl.DataFrame(schema=METRICS_SCHEMA), pl.DataFrame(schema=CALIBRATION_SCHEMA))]
        # Cutoff by cutoff: all of them at once would not fit into every memory.
        for cutoff in session.read("select distinct cutoff from backtest_forecasts order by 1")["cutoff"]:
            # Unordered: to sort all rows is dearer than to read them, and `score` needs no such order.
            forecasts = session.read("select * from backtest_forecasts where cutoff = ?", [cutoff])
            scored.append(score(forecasts))
        metrics, deciles = zip(*scored, strict=True)
        session.stage_frame(pipeline.contract("evaluation_metrics"), pl.concat(metrics))
        session.stage_frame(pipeline.contract("calibration"), pl.concat(deciles))
        return {}

    def build_leaderboard(session: Session, _: Refresh) -> Mapping[str, Metadata]:
        import polars as pl

        from clv_pipeline.evaluation.backtest import Skipped
        from clv_pipeline.evaluation.champion import HISTORY_SCHEMA, add_review, leaderboard

        as_of: date = session.read("select as_of from history_span").item()
        history = pl.DataFrame(schema=HISTORY_SCHEMA)
        if session.has_table("champion_history"):
            history = session.read("select * from champion_history order by as_of, horizon_days, role")
        gaps = session.read(
            "select model, as_of as cutoff, unnest(skipped_horizons) as horizon_days, notes as reason"
            " from backtest_fits order by all"
        )
        board = leaderboard(
            session.read("select * from evaluation_metrics order by all"),
            _contenders(pipeline),
            settings.forecast.horizons_days,
            as_of,
            [Skipped(**row) for row in gaps.iter_rows(named=True)],
        )
        session.stage_frame(pipeline.contract("model_leaderboard"), board)
        session.stage_frame(pipeline.contract("champion_history"), add_review(history, board, as_of))
        return {}

    def build_served(session: Session, _: Refresh) -> Mapping[str, Metadata]:
        from clv_pipeline.evaluation.served import as_served

        served = as_served(
            partial(_backtest_by, session),
            session.read("select * from evaluation_metrics order by all"),
            _contenders(pipeline),
            lambda cutoff: session.read(_DESCRIBED, [cutoff, cutoff]),
            settings.forecast.interval_level,
        )
        session.stage_frame(pipeline.contract("served_accuracy"), served.accuracy)
        session.stage_frame(pipeline.contract("served_bins"), served.bins)
        return {}

    def build_outlooks(session: Session, _: Refresh) -> Mapping[str, Metadata]:
        from clv_pipeline.evaluation.outlook import Past, outlook_backtest
        from clv_pipeline.forecasting.ground import one_thread
        from clv_pipeline.forecasting.outlook import outlook

        served = session.read(_SERVED)
        weeks = session.read("select * from backtest_weeks order by cutoff, week_ends")
        past = []
        for cutoff, model, longest in served.iter_rows():
            totals = outlook_inputs.past_totals(session, cutoff, model)
            known = outlook_inputs.known_by(session, cutoff, totals, weeks, model)
            with one_thread():
                made = outlook(known, longest)
            past.append(Past(made, outlook_inputs.came_after(session, cutoff, cutoff + timedelta(days=longest))))
        backtest = outlook_backtest(past, settings.forecast.interval_level)
        session.stage_frame(pipeline.contract("revenue_outlook_backtest"), backtest)
        return {}

    return [
        gated_step(
            pipeline,
            ["backtest_forecasts", "backtest_fits", "family_drivers", "linear_coefficients", "backtest_weeks"],
            reads=model_inputs.TABLES,
            kinds={"python"},
            build=build_backtest,
        ),
        gated_step(
            pipeline,
            ["evaluation_metrics", "calibration"],
            reads=["backtest_forecasts"],
            kinds={"python"},
            build=build_metrics,
            describe=metric_table,
        ),
        gated_step(
            pipeline,
            ["model_leaderboard", "champion_history"],
            reads=["history_span", "evaluation_metrics", "backtest_fits", "calibration"],
            kinds={"python"},
            build=build_leaderboard,
            describe=leaderboard_plots,
        ),
        gated_step(
            pipeline,
            ["served_accuracy", "served_bins"],
            reads=["backtest_forecasts", "evaluation_metrics", "customer_features", "past_segments"],
            kinds={"python"},
            build=build_served,
            describe=served_accuracy_plots,
        ),
        gated_step(
            pipeline,
            ["revenue_outlook_backtest"],
            reads=[
                *("served_accuracy", "backtest_forecasts", "backtest_weeks", "customer_features", "known_days"),
                *outlook_inputs.TABLES,
            ],
            kinds={"python"},
            build=build_outlooks,
        ),
    ]


def _always(read: pl.DataFrame | TrainingData) -> Callable[..., Any]:
    """A function that returns what was read already."""
    return lambda *_: read


def _contenders(pipeline: Pipeline) -> list[Contender]:
    from clv_pipeline.evaluation.choice import Contender
    from clv_pipeline.forecasting.registry import models_of

    return [Contender.of(model) for model in models_of(pipeline.settings.models, pipeline.settings.extensions)]


def _backtest_by(session: Session, model: str, cutoff: date) -> pl.DataFrame:
    """The backtest of one model at one cutoff."""
    # Unordered: `as_served` orders what it reads.
    return session.read("select * from backtest_forecasts where cutoff = ? and model = ?", [cutoff, model])
