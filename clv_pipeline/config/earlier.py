"""Keys of a `clv.yaml` from an earlier version, read under their names of today; and defaults that have changed.

This module holds every key and name of earlier versions. Today's keys are in `settings.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clv_pipeline.config.settings import Settings

MODELS = {
    "linear_regression": "hybrid",
    "glm": "hybrid",
    "logistic": "hybrid",
    "boosted_classifier": "hybrid_boosted",
    "boosted_hurdle": "hybrid_boosted",
    "neural": "hybrid_neural",
}
"""Removed models, with the model that replaces each."""

LEAST_ORIGINS = 13
"""Least number of origins that folds are read as: fewer monthly origins than the default would miss the season ahead.
"""


def as_called_today(raw: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The mapping of a configuration with today's names, and a notice for each replaced name.

    Other mistakes are left to the validation.
    """
    today, notices = dict(raw), []
    backtest = today.get("backtest")
    if isinstance(backtest, Mapping) and type(folds := backtest.get("folds")) is int and folds >= 1:
        origins = backtest.get("origins", max(LEAST_ORIGINS, folds))
        today["backtest"] = {**{key: value for key, value in backtest.items() if key != "folds"}, "origins": origins}
        notices.append(
            f"backtest.folds: is no longer a key, and read as `origins: {origins}`: from so many monthly days the"
            " models are tried out; write that instead"
        )
    if isinstance(models := today.get("models"), list):
        today["models"] = kept = []
        replaced: dict[str, list[str]] = {}
        for name in models:
            if not isinstance(name, str) or name not in MODELS:
                kept.append(name)
                continue
            replaced.setdefault(MODELS[name], []).append(name)
            if MODELS[name] not in [*models, *kept]:
                kept.append(MODELS[name])
        notices += [
            f"models: {', '.join(old)} {'is' if len(old) == 1 else 'are'} gone, and read as `{new}`; write that instead"
            for new, old in replaced.items()
        ]
    if earlier_tables(today) is not None:
        storage = today["storage"]
        spark = {key: value for key, value in storage["spark"].items() if key != "tables"}
        today["storage"] = {**storage, "spark": spark}
        notices.append(
            "storage.spark.tables: is no longer a key; tables are in `storage.catalog` now, and the next run takes over"
            " what is kept from run to run and builds the others anew. Write `catalog` instead, and remove the folder"
            " after that run"
        )
    return today, notices


def earlier_tables(raw: Mapping[str, Any]) -> str | None:
    """The folder that an earlier version's `storage.spark.tables` names; None without one."""
    storage = raw.get("storage")
    spark = storage.get("spark") if isinstance(storage, Mapping) else None
    tables = spark.get("tables") if isinstance(spark, Mapping) else None
    return tables if isinstance(tables, str) else None


def changed_defaults(settings: Settings) -> dict[str, list[str]]:
    """Notices for the keys that `clv.yaml` leaves to a default that has changed.

    They are grouped by a published table that every version has since the change.
    """
    models, gates, currencies = [], [], []
    if "models" not in settings.model_fields_set:
        models.append(
            f"models: the default has changed to [{', '.join(settings.models)}]; write the key to choose, and to"
            " silence this"
        )
    if "origins" not in settings.backtest.model_fields_set:
        models.append(
            f"backtest.origins: models are tried out from {settings.backtest.origins} monthly days now, where it was 3"
            " windows per horizon; write the key to choose, and to silence this"
        )
    for key, judged in (("files", "a file that is not as usual"), ("kept", "a day of which too few rows are kept")):
        if key not in settings.gates.model_fields_set:
            gates.append(
                f"gates.{key}: {judged} stops a run now (`{getattr(settings.gates, key)}`); write the key to choose,"
                " and to silence this"
            )
    returns = []
    if settings.source.transactions.has_money and "returns" not in settings.cleaning.model_fields_set:
        returns.append(
            f"cleaning.returns: a negative amount is taken off the purchase that it belongs to now"
            f" (`{settings.cleaning.returns}`), where it was rejected; write the key to choose, and to silence this"
        )
    if settings.source.transactions.states_currency:
        currencies.append(
            f"{settings.source.transactions.key}.columns.currency: is the currency of the row's money now, where it"
            " was an attribute; several currencies stop a run unless `currency: {report_in, rates}` converts them;"
            " rename the key to keep an attribute"
        )
    advice = []
    if "contact_costs" not in settings.model_fields_set and settings.source.transactions.has_money:
        costs = settings.contact_costs
        advice.append(
            "contact_costs: what a contact costs decides now by which channel to reach a customer, by default"
            f" {costs.email:.2f} for an e-mail, {costs.letter:.2f} for a letter, {costs.telephone:.2f} for a call;"
            " write the key to choose, and to silence this"
        )
    facts = []
    if settings.source.customers is not None and not settings.privacy.pseudonyms:
        facts.append(
            f"{settings.source.customers.key}.columns: attributes of customers are published now, in dim_customer; take"
            " out what BI tools must not show"
        )
    return {
        "served_accuracy": models,
        "file_gates": gates,
        "currency_ledger": currencies,
        "matched_returns": returns,
        "segment_advice": advice,
        "dim_customer": facts,
    }
