"""The hybrid: a purchase process as features, learned shares, and a total that knows season and growth.

Three questions, each answered by what answers it best: how many purchases in all (season.py), whose they are (a
Poisson regression on the customers frame and BG/NBD's expectations), and what a purchase is worth (a regression of
its logarithm). The sum over customers is right by construction where the total is.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, ClassVar

import numpy as np
import polars as pl

from clv_pipeline.forecasting.bg_nbd import BgNbd
from clv_pipeline.forecasting.design_matrix import CLIP, TRAINING_SAMPLE, DesignMatrix, is_drawn, training_rows
from clv_pipeline.forecasting.frames import Floats, floats, forecast_frame
from clv_pipeline.forecasting.learned import one_thread, row_sums
from clv_pipeline.forecasting.protocol import (
    ALL_TARGETS,
    FitReport,
    FittedModel,
    Target,
    TrainingData,
)
from clv_pipeline.forecasting.season import ExpectedTotal, expected_total

WINDOW_ROWS = 200_000
"""Rows of completed windows that totals are set right on at most, per horizon."""

MINIMUM_ROWS = 200
MINIMUM_BUYERS = 50
"""Below these the shares would be noise, and BG/NBD's own forecast serves."""

PENALTY = {"purchases": 0.01, "spend": 10.0, "buys": 0.1}
"""Strength of the ridge on standardised features (scikit-learn's alpha, alpha and C). Chosen on windows of Online
Retail II that end before the ones accuracy is reported on."""


class Hybrid:
    """BG/NBD features, learned shares, seasonal total; all three targets."""

    name: ClassVar[str] = "hybrid"
    targets: ClassVar[frozenset[Target]] = ALL_TARGETS
    is_baseline: ClassVar[bool] = False

    def fit(self, training: TrainingData, horizons_days: Sequence[int]) -> "FittedHybrid":
        """Fit BG/NBD once, and per horizon the shares on completed windows and the total on daily totals.

        A horizon without enough completed windows is served by BG/NBD alone; the notes say so.
        `report.parameters` = {"process": BG/NBD's, "horizons": {"<days>": {"rows", "total", "total_basis",
        "purchases", "spend_per_purchase", "buys"}}}; the last three map features to standardised coefficients.
        """
        process = BgNbd().fit(training, horizons_days)
        shares: dict[int, Shares] = {}
        notes = [process.report.notes] if process.report.notes else []
        with one_thread():
            for horizon in horizons_days:
                learned = _learn_shares(training, horizon, process)
                if learned is None:
                    notes.append(f"{horizon} days: too few completed windows, BG/NBD alone serves.")
                else:
                    shares[horizon] = learned
                    notes.append(f"{horizon} days: the total is {learned.total.note}.")
        report = FitReport(
            model=self.name,
            as_of=training.cutoff,
            parameters={
                "process": process.report.parameters,
                "horizons": {str(horizon): learned.described() for horizon, learned in shares.items()},
            },
            customers=training.customers,
            verdict=process.report.verdict,
            notes=" ".join(notes),
            log_likelihood=process.report.log_likelihood,
        )
        return FittedHybrid(report, process, shares)


PROCESS_FEATURES = ("log_expected_purchases", "log_p_purchase", "log_mean_spend", "p_alive")


@dataclass(frozen=True, eq=False)
class Inputs:
    """The customers frame and the process's expectations as standardised numbers, with a leading column of ones."""

    matrix: DesignMatrix
    process_means: Floats
    process_scales: Floats

    @classmethod
    def learn(cls, rows: pl.DataFrame, process_forecast: pl.DataFrame) -> "Inputs":
        """Learn means and scales from completed windows."""
        features = _process_features(process_forecast)
        return cls(DesignMatrix.learn(rows), features.mean(axis=0), np.maximum(features.std(axis=0), 1e-9))

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns of `of`."""
        return ("intercept", *self.matrix.standardised_names, *PROCESS_FEATURES)

    def of(self, customers: pl.DataFrame, process_forecast: pl.DataFrame) -> Floats:
        """Shape (n, len(names))."""
        process = (_process_features(process_forecast) - self.process_means) / self.process_scales
        ones = np.ones((customers.height, 1))
        return np.hstack([ones, self.matrix.standardised(customers), np.clip(process, -CLIP, CLIP)])


@dataclass(frozen=True, eq=False)
class Shares:
    """One horizon, learned: coefficients over `inputs`; exp(purchases), exp(spend) per purchase, logit(buys)."""

    inputs: Inputs
    purchases: Floats
    spend: Floats
    buys: Floats
    rows: int
    total: ExpectedTotal

    def described(self) -> dict[str, Any]:
        """What a reader wants to know, in values that JSON can carry."""
        parts = {"purchases": self.purchases, "spend_per_purchase": self.spend, "buys": self.buys}
        return {
            "rows": self.rows,
            "total": self.total.purchases,
            "total_basis": self.total.note,
            **{part: dict(zip(self.inputs.names, values.tolist(), strict=True)) for part, values in parts.items()},
        }


@dataclass(frozen=True)
class FittedHybrid:
    """The process and, per horizon, the learned shares."""

    report: FitReport
    process: FittedModel
    shares: Mapping[int, Shares]

    def can_forecast(self, horizon_days: int) -> bool:
        """Any horizon: where nothing was learned, the process serves."""
        return True

    def forecast(self, customers: pl.DataFrame, horizon_days: int, annual_discount_rate: float = 0.0) -> pl.DataFrame:
        """Forecast all targets; spend is discounted along the path of the process's expected purchases."""
        process = self.process.forecast(customers, horizon_days, annual_discount_rate)
        learned = self.shares.get(horizon_days)
        if learned is None or customers.is_empty():
            return process
        inputs = learned.inputs.of(customers, process)
        # Nobody buys on more days than the horizon has.
        purchases = np.minimum(_exponential(inputs, learned.purchases), float(horizon_days))
        spend = purchases * _exponential(inputs, learned.spend)
        undiscounted = floats(process, "expected_spend")
        present_value = np.ones_like(spend)
        np.divide(floats(process, "discounted_spend"), undiscounted, out=present_value, where=undiscounted > 0.0)
        return forecast_frame(
            self.report.model,
            customers,
            expected_purchases=purchases,
            expected_spend=spend,
            discounted_spend=spend * present_value,
            p_purchase=_logistic(inputs, learned.buys),
            p_alive=floats(process, "p_alive"),
        )


def _learn_shares(training: TrainingData, horizon: int, process: FittedModel) -> Shares | None:
    """What completed windows teach of one horizon; None when there are too few."""
    from sklearn.linear_model import LogisticRegression, PoissonRegressor, Ridge

    rows = training_rows(training, horizon, limit=WINDOW_ROWS)
    current = training.current_customers
    current = current if current.is_empty() else current.filter(pl.col("horizon_days") == horizon)
    if rows.height < MINIMUM_ROWS or current.is_empty():
        return None
    purchases, spend = floats(rows, "actual_purchases"), floats(rows, "actual_spend")
    # How much all bought in a window, per customer: its season. Shares are learned relative to it; a window in which
    # nobody bought has nothing to share out.
    level = rows.select(pl.col("actual_purchases").mean().over("cutoff")).to_series().cast(pl.Float64).to_numpy()
    bought = (purchases > 0.0) & (spend > 0.0)
    # Coefficients settle on a sample; totals, which a few large customers decide, are set right on all rows.
    some = (level > 0.0) & is_drawn(rows, TRAINING_SAMPLE).to_numpy()
    paid = bought & some
    if paid.sum() < MINIMUM_BUYERS or bought[some].all():
        return None
    expected = process.forecast(rows, horizon)
    inputs = Inputs.learn(rows, expected)
    design = inputs.of(rows, expected)
    features = design[:, 1:]
    with_level = np.column_stack([features[some], np.log(level[some])])

    shares = PoissonRegressor(alpha=PENALTY["purchases"], max_iter=1_000)
    shares.fit(features[some], purchases[some] / level[some])
    worth = Ridge(alpha=PENALTY["spend"])
    worth.fit(features[paid], np.log(spend[paid] / purchases[paid]), sample_weight=purchases[paid])
    buys = LogisticRegression(C=PENALTY["buys"], max_iter=2_000)
    buys.fit(with_level, bought[some])

    expected_now = process.forecast(current, horizon)
    total = _total(training, horizon, rows, expected_now)
    per_customer = total.purchases / training.customers
    to_share = _with_intercept(shares.coef_, shares.intercept_)
    now = inputs.of(current, expected_now)
    to_buy = _with_intercept(buys.coef_[0, :-1], buys.intercept_[0])
    to_spend = _with_intercept(worth.coef_, worth.intercept_)
    # The mean of a logarithm understates money; what was spent on the purchases that came sets it right.
    understated = float(spend.sum() / np.sum(purchases * _exponential(design, to_spend)))
    return Shares(
        inputs=inputs,
        purchases=_with_intercept(
            shares.coef_, shares.intercept_ + np.log(per_customer / _exponential(now, to_share).mean())
        ),
        spend=_with_intercept(worth.coef_, worth.intercept_ + np.log(understated)),
        buys=_with_mean(to_buy, now, _share_of_buyers(rows, per_customer)),
        rows=rows.height,
        total=total,
    )


def _total(training: TrainingData, horizon: int, rows: pl.DataFrame, expected_now: pl.DataFrame) -> ExpectedTotal:
    """The total of the horizon after the cutoff; the share of known customers is that of the latest window."""
    latest: date = rows["cutoff"].max()  # type: ignore[assignment]
    daily = training.daily_totals
    known_then = int(daily.filter(pl.col("day") <= latest)["new_customers"].sum())
    window = daily.filter(pl.col("day") > latest, pl.col("day") <= latest + timedelta(days=horizon))
    # The rows may be a sample of the customers known then.
    in_latest = rows.filter(pl.col("cutoff") == latest)
    by_known = float(in_latest["actual_purchases"].mean()) * known_then  # type: ignore[arg-type]
    everybody = float(window["purchases"].sum())
    return expected_total(
        daily,
        training.cutoff,
        horizon,
        known_share=min(by_known / everybody, 1.0) if everybody > 0.0 else 1.0,
        process_total=float(expected_now["expected_purchases"].mean()) * training.customers,  # type: ignore[arg-type]
    )


def _share_of_buyers(rows: pl.DataFrame, purchases_per_customer: float) -> float:
    """Share of customers that will buy at all when so much is bought: the latest window's, moved along all windows.

    In a season in which twice as much is bought, fewer than twice as many buy. The elasticity is the slope of log
    share of buyers on log purchases per customer over the completed windows, within [0, 1]; 1 with one window.
    """
    bought = (pl.col("actual_purchases") > 0).mean().alias("share")
    windows = rows.group_by("cutoff").agg(bought, pl.col("actual_purchases").mean().alias("level")).sort("cutoff")
    windows = windows.filter(pl.col("share") > 0.0)
    level, share = np.log(floats(windows, "level")), np.log(floats(windows, "share"))
    spread = level - level.mean()
    scatter = float(spread @ spread)
    elasticity = float(np.clip(spread @ share / scatter, 0.0, 1.0)) if scatter > 0.0 else 1.0
    moved = float(np.exp(share[-1] + elasticity * (np.log(purchases_per_customer) - level[-1])))
    return min(moved, 1.0 - 1.0 / rows.height)


def _with_mean(coefficients: Floats, inputs: Floats, mean: float) -> Floats:
    """Logistic coefficients with the intercept at which the probabilities of `inputs` have this mean."""
    from scipy.optimize import brentq

    def excess(shift: float) -> float:
        return float(_logistic(inputs, _with_intercept(coefficients[1:], coefficients[0] + shift)).mean()) - mean

    return _with_intercept(coefficients[1:], coefficients[0] + brentq(excess, -50.0, 50.0))


def _process_features(forecast: pl.DataFrame) -> Floats:
    """What BG/NBD and Gamma-Gamma expect, on the scale of the logarithm where the regressions are linear."""
    purchases, spend = pl.col("expected_purchases"), pl.col("expected_spend")
    mean_spend = pl.when(purchases > 0.0).then(spend / purchases).otherwise(0.0)
    features = (
        (purchases + 1e-3).log(),
        (pl.col("p_purchase") + 1e-3).log(),
        mean_spend.log1p(),
        pl.col("p_alive"),
    )
    named = [feature.alias(name) for feature, name in zip(features, PROCESS_FEATURES, strict=True)]
    return np.ascontiguousarray(forecast.select(named).to_numpy(), dtype=np.float64)


def _with_intercept(coefficients: Floats, intercept: float) -> Floats:
    return np.append(intercept, coefficients)


def _exponential(inputs: Floats, coefficients: Floats) -> Floats:
    # exp(30) is beyond any customer; the bound keeps an absurd extrapolation finite.
    return np.exp(np.clip(row_sums(inputs, coefficients), -30.0, 30.0))


def _logistic(inputs: Floats, coefficients: Floats) -> Floats:
    from scipy.special import expit

    return np.asarray(expit(row_sums(inputs, coefficients)), dtype=np.float64)
