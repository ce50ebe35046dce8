"""The names under which models are configured; adding a model means adding its class here."""

import difflib
from collections.abc import Callable, Mapping, Sequence

from clv_pipeline.forecasting.baselines import LastWindow, OwnRate, SameWindowLastYear
from clv_pipeline.forecasting.bg_nbd import BgNbd
from clv_pipeline.forecasting.classifiers import BoostedClassifier, LogisticClassifier
from clv_pipeline.forecasting.generalized_linear import GeneralizedLinear
from clv_pipeline.forecasting.gradient_boosting import BoostedHurdle
from clv_pipeline.forecasting.hiatus import HiatusRule
from clv_pipeline.forecasting.hybrid import Hybrid
from clv_pipeline.forecasting.mbg_nbd import MbgNbd
from clv_pipeline.forecasting.neural import ZeroInflatedLognormal
from clv_pipeline.forecasting.pareto_nbd import ParetoNbd
from clv_pipeline.forecasting.protocol import Model
from clv_pipeline.forecasting.regression import LinearRegression

_CLASSES: tuple[type[Model], ...] = (
    OwnRate,
    LastWindow,
    SameWindowLastYear,
    HiatusRule,
    LinearRegression,
    GeneralizedLinear,
    BgNbd,
    MbgNbd,
    ParetoNbd,
    LogisticClassifier,
    BoostedClassifier,
    BoostedHurdle,
    ZeroInflatedLognormal,
    Hybrid,
)

MODELS: Mapping[str, Callable[[], Model]] = {model.name: model for model in _CLASSES}


def build_models(names: Sequence[str]) -> list[Model]:
    """Create the named models in the given order; ValueError names an unknown or repeated name."""
    for name in names:
        if name not in MODELS:
            nearest = difflib.get_close_matches(name, MODELS, n=1, cutoff=0.0)
            raise ValueError(f"unknown model {name!r}; did you mean {nearest[0]!r}? Known: {', '.join(MODELS)}")
    repeated = {name for name in names if list(names).count(name) > 1}
    if repeated:
        raise ValueError(f"models named more than once: {', '.join(sorted(repeated))}")
    return [MODELS[name]() for name in names]
