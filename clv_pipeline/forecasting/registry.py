"""The names under which models are configured, and whether those that are can serve all that is published.

Adding a model means adding its class here.
"""

import difflib
from collections.abc import Callable, Collection, Mapping, Sequence

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
from clv_pipeline.forecasting.protocol import ALL_TARGETS, SPEND_TARGETS, Model, Target
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

_SERVED: Mapping[str, frozenset[Target]] = {
    "purchases and spend": SPEND_TARGETS,
    "p_purchase": ALL_TARGETS - SPEND_TARGETS,
}
"""What is served by one model each."""


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


def refuse_incomplete(targets: Mapping[str, Collection[Target]]) -> None:
    """Raise ValueError when nobody could serve: no model forecasts purchases and spend, or none p_purchase.

    `targets`: what each of the models to choose from forecasts, by name.
    """
    for what, needed in _SERVED.items():
        if not any(needed <= set(given) for given in targets.values()):
            giving = ", ".join(name for name, model in MODELS.items() if needed <= model().targets)
            raise ValueError(f"models: none of {', '.join(targets)} forecasts {what}; add one of {giving}")


def check_models(names: Sequence[str]) -> None:
    """Raise ValueError when a name is no model's, is repeated, or the models together cannot serve."""
    refuse_incomplete({model.name: model.targets for model in build_models(names)})
