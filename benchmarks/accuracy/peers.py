"""What others say of the same customers on the same days: the usual libraries, used as people use them, and boosting.

`lifetimes` and pymc-marketing: BG/NBD and Gamma-Gamma on the summary that their documentation makes, in weeks, without
penalty or with the library's own priors. `boosted_hurdle`: gradient boosting of whether, how often and how much
customers buy, its shape tuned on the window before the last one, fitted on the last one that was over.
"""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
import tempfile
import venv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from benchmarks.accuracy.history import Came, Floats, History
from benchmarks.accuracy.rules import Forecast

DAYS_PER_WEEK = 7
PYMC_MARKETING = "pymc-marketing==0.19.2"
"""The newest release for Python 3.11."""
PYMC_SCRIPT = Path(__file__).with_name("pymc_map.py")

SHAPES: tuple[Mapping[str, Any], ...] = tuple(
    {
        "max_leaf_nodes": leaves,
        "min_samples_leaf": rows,
        "learning_rate": 0.06,
        "max_iter": 120,
        "l2_regularization": 1.0,
    }
    for leaves, rows in product((4, 12), (30, 150))
)
"""The small grid that the boosted hurdle is tuned over."""
TRAINING_CUSTOMERS = 30_000
TWEEDIE_POWER = 1.5


Said = dict[tuple[date, int], "Forecast | str"]
"""By cutoff and horizon: a forecast of the customers known at the cutoff, or in words why there is none."""
Peer = Callable[[History, Mapping[date, Sequence[int]]], Said]
"""From a history and the windows to forecast, horizons by cutoff."""


def lifetimes(history: History, windows: Mapping[date, Sequence[int]]) -> Said:
    """BG/NBD × Gamma-Gamma as in the documentation of `lifetimes`: no penalty, conditional expectations."""
    said: Said = {}
    for cutoff, horizons in windows.items():
        said |= {(cutoff, days): forecast for days, forecast in _by_lifetimes(history, cutoff, horizons).items()}
    return said


def _by_lifetimes(history: History, cutoff: date, horizons: Sequence[int]) -> Mapping[int, Forecast | str]:
    from lifetimes import BetaGeoFitter, GammaGammaFitter
    from lifetimes.utils import ConvergenceError

    summary = _summary(history, cutoff)
    frequency, recency, T, value = (summary[column].to_numpy() for column in summary.columns[1:])
    repeats = (frequency > 0) & (value > 0)
    process, money = BetaGeoFitter(penalizer_coef=0.0), GammaGammaFitter(penalizer_coef=0.0)
    try:
        # It prints what its optimizer says when it fails.
        with contextlib.redirect_stdout(io.StringIO()):
            process.fit(frequency, recency, T)
            money.fit(frequency[repeats], value[repeats])
    except (ConvergenceError, ValueError) as error:
        return dict.fromkeys(horizons, f"no fit: {str(error).strip().splitlines()[0]}")
    of_each = np.asarray(money.conditional_expected_average_profit(frequency, value))
    return {
        days: _expected(
            np.asarray(
                process.conditional_expected_number_of_purchases_up_to_time(
                    days / DAYS_PER_WEEK, frequency, recency, T
                ),
                dtype=np.float64,
            ),
            of_each,
        )
        for days in horizons
    }


def _summary(history: History, cutoff: date) -> pl.DataFrame:
    """customer_id, frequency, recency and T in weeks, monetary_value: what the libraries are fitted on."""
    return history.customers(cutoff).select(
        "customer_id",
        "frequency",
        (pl.col("recency_days") / DAYS_PER_WEEK).alias("recency"),
        (pl.col("tenure_days") / DAYS_PER_WEEK).alias("T"),
        "monetary_value",
    )


def _expected(purchases: Floats, value: Floats) -> Forecast | str:
    # The mean of Gamma-Gamma is negative for q < 1: no expectation.
    spend = purchases * np.maximum(value, 0.0)
    if not (np.isfinite(purchases).all() and np.isfinite(spend).all()):
        return "no fit: expectations are not finite"
    return Forecast(purchases, spend)


def boosted_hurdle(history: History, windows: Mapping[date, Sequence[int]]) -> Said:
    """P(buys) × what a buyer spends, boosted, with the shape that was best on the window before."""
    return {(cutoff, days): _by_boosting(history, cutoff, days) for cutoff, of in windows.items() for days in of}


def _by_boosting(history: History, cutoff: date, horizon: int) -> Forecast | str:
    window = timedelta(days=horizon)
    learned, tuned = cutoff - window, cutoff - 2 * window
    if not history.is_known(learned):
        return "no window is over that it could learn from"
    latest = _Window.of(history, learned, cutoff)
    if not latest.has_both:
        return "all customers of the last window bought, or none"
    shape = SHAPES[0]
    if history.is_known(tuned):
        earlier = _Window.of(history, tuned, learned)
        if earlier.has_both:
            shape = min(SHAPES, key=lambda tried: latest.loss(_boosted(earlier, latest.features, tried)))
    return _boosted(latest, _features(history.customers(cutoff)), shape)


@dataclass(frozen=True)
class _Window:
    """Customers as of a day, in numbers, and what came within the window after it."""

    features: Floats
    came: Came

    @classmethod
    def of(cls, history: History, start: date, end: date) -> _Window:
        customers = history.customers(start)
        if customers.height > TRAINING_CUSTOMERS:
            customers = customers.sample(TRAINING_CUSTOMERS, seed=1)
        return cls(_features(customers), history.came(customers, start, end))

    @property
    def has_both(self) -> bool:
        """Whether some of the customers bought and some did not."""
        return 0 < int((self.came.purchases > 0).sum()) < len(self.came.purchases)

    def loss(self, forecast: Forecast) -> float:
        """The Tweedie deviance of the spend forecast for these customers."""
        from sklearn.metrics import mean_tweedie_deviance

        floor = 0.01 * max(float(self.came.spend.mean()), 1e-9)
        return float(mean_tweedie_deviance(self.came.spend, np.maximum(forecast.spend, floor), power=TWEEDIE_POWER))


def _features(customers: pl.DataFrame) -> Floats:
    return customers.drop("customer_id").cast(pl.Float64).to_numpy()


def _varying(taught: Floats, asked: Floats) -> tuple[Floats, Floats]:
    """Both without the features that are the same in all rows that teach, which scikit-learn cannot bin."""
    varies = np.array([np.unique(column[np.isfinite(column)]).size > 1 for column in taught.T])
    return taught[:, varies], asked[:, varies]


def _boosted(window: _Window, customers: Floats, shape: Mapping[str, Any]) -> Forecast:
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
    from threadpoolctl import threadpool_limits

    buyers = window.came.purchases > 0

    def of_buyers(amounts: Floats, loss: str) -> Floats:
        regressor = HistGradientBoostingRegressor(**shape, loss=loss, random_state=1)
        features, asked = _varying(window.features[buyers], customers)
        return np.asarray(regressor.fit(features, amounts[buyers]).predict(asked))

    # Its threads wait for each other by spinning: on a busy machine that takes a hundred times as long as one thread.
    with threadpool_limits(limits=1):
        features, asked = _varying(window.features, customers)
        whether = HistGradientBoostingClassifier(**shape, random_state=1).fit(features, buyers)
        p_purchase = np.asarray(whether.predict_proba(asked)[:, 1])
        often = np.maximum(of_buyers(window.came.purchases, "poisson"), 1.0)
        return Forecast(p_purchase * often, p_purchase * of_buyers(window.came.spend, "gamma"), p_purchase)


def pymc_marketing(history: History, windows: Mapping[date, Sequence[int]], python: Path) -> Said:
    """BG/NBD × Gamma-Gamma of pymc-marketing, by MAP, by the Python of its own environment."""
    found: Said = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for cutoff, horizons in windows.items():
            _summary(history, cutoff).write_csv(folder / f"{cutoff}.csv")
            (folder / f"{cutoff}.weeks").write_text(" ".join(str(days / DAYS_PER_WEEK) for days in horizons))
        told = subprocess.run([python, PYMC_SCRIPT, folder], capture_output=True, text=True, check=False)
        for cutoff, horizons in windows.items():
            answer, reason = folder / f"{cutoff}.out.csv", folder / f"{cutoff}.error"
            for place, days in enumerate(horizons):
                if answer.is_file():
                    said = pl.read_csv(answer)
                    found[cutoff, days] = _expected(said[f"purchases_{place}"].to_numpy(), said["value"].to_numpy())
                else:
                    lines = (reason.read_text() if reason.is_file() else told.stderr).strip().splitlines()
                    found[cutoff, days] = f"no fit: {lines[-1] if lines else 'it ended without a word'}"
    return found


def peers_with(pymc: Path | str) -> Mapping[str, Peer]:
    """All peers by name; `pymc`: the Python that has pymc-marketing, or why there is none, which it then says."""

    def in_its_environment(history: History, windows: Mapping[date, Sequence[int]]) -> Said:
        if isinstance(pymc, Path):
            return pymc_marketing(history, windows, pymc)
        return {(cutoff, days): pymc for cutoff, of in windows.items() for days in of}

    return {"lifetimes": lifetimes, "pymc_marketing": in_its_environment, "boosted_hurdle": boosted_hurdle}


def pymc_environment() -> Path | str:
    """The Python of an environment that has pymc-marketing, made once in the user's cache; or why there is none."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "clv_pipeline" / PYMC_MARKETING.replace("==", "-")
    python, ready = folder / "bin" / "python", folder / "ready"
    if ready.is_file():
        return python
    venv.EnvBuilder(with_pip=True, clear=True).create(folder)
    made = subprocess.run(
        [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", PYMC_MARKETING],
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode != 0:
        lines = made.stderr.strip().splitlines()
        return f"{PYMC_MARKETING} could not be installed for Python {sys.version_info[0]}.{sys.version_info[1]}: " + (
            lines[-1] if lines else "pip gave no reason"
        )
    ready.touch()
    return python
