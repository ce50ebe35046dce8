"""The listed names are those that tables hold."""

from __future__ import annotations

import re
from itertools import product
from pathlib import Path

import duckdb
import pytest

from clv_pipeline.campaigns.results import RESULTS_SCHEMA
from clv_pipeline.contracts.loader import load_models
from clv_pipeline.display import terms
from clv_pipeline.evaluation.facts import FACTS
from clv_pipeline.forecasting.acquisition import METHODS
from clv_pipeline.forecasting.family import TOTAL_NOTES
from clv_pipeline.segmentation.clusters import ClusterName

ROOT = Path(__file__).parents[2]
SQL = ROOT / "dbt_like_sql"


def value_set(table: str, column: str) -> set[str]:
    """The names that the contract of a table allows in a column."""
    sets = [
        set(expectation.kwargs["value_set"])
        for expectation in load_models()[table].contract.expectations
        if expectation.kwargs.get("column") == column and "value_set" in expectation.kwargs
    ]
    return set().union(*sets)


@pytest.mark.parametrize(
    ("names", "table", "column"),
    [
        (terms.SEGMENTS, "past_segments", "segment"),
        (terms.SILENCES, "customer_rhythms", "silence"),
        (terms.FIT_VERDICTS, "fitted_models", "verdict"),
        (terms.TARGETS, "served_accuracy", "target"),
        (terms.OUTLOOK_TARGETS, "revenue_outlook_backtest", "target"),
        (terms.GROUP_KINDS, "served_accuracy", "group_kind"),
        (terms.DIRECTIONS, "clv_drivers", "direction"),
        (terms.SEVERITIES, "file_gate_settings", "severity"),
    ],
)
def test_names_are_those_of_the_contract(names: tuple[str, ...], table: str, column: str) -> None:
    assert set(names) == value_set(table, column)


def test_outcomes_are_kept_and_the_reasons_of_rejections() -> None:
    assert set(terms.OUTCOMES) == {"kept"} | value_set("rejected_transactions", "reason")


def test_advice_is_that_of_its_sql() -> None:
    query = (SQL / "segmentation" / "segment_advice.sql").read_text(encoding="utf-8")
    with duckdb.connect() as client:
        client.execute("create table contact_costs as select 1.0 as email, 2.0 as letter, 3.0 as telephone")
        client.execute("create table parameters as select true as has_money")
        found = {
            column: {name for (name,) in client.execute(f"select distinct {column} from ({query})").fetchall()}
            for column in ("segment", "claim", "recommended_action", "channel")
        }
    assert found == {
        "segment": set(terms.SEGMENTS),
        "claim": set(terms.CLAIMS),
        "recommended_action": set(terms.ACTIONS),
        "channel": set(terms.CHANNELS),
    }


def literals(*paths: str) -> set[str]:
    """The texts between apostrophes in SQL files."""
    return {
        text for path in paths for text in re.findall(r"'((?:[^']|'')*)'", (SQL / path).read_text(encoding="utf-8"))
    }


def test_names_of_the_gates_are_in_their_sql() -> None:
    found = literals("ingestion/file_gates.sql", "cleaning/volume_gates.sql")
    reasons = {name.removeprefix("not judged: ") for name in terms.GATE_VERDICTS}
    assert {*reasons, *terms.EXCUSES, "not judged: "} <= found
    assert {text for text in found if text.startswith(("too ", "nothing ", "no row", "the day"))} <= reasons


@pytest.mark.parametrize(
    ("names", "path"),
    [
        (terms.VALUE_TIERS, "segmentation/segments.sql"),
        (terms.STATUSES, "forecasting/forecast_tracking.sql"),
        (terms.MARGIN_SOURCES, "features/shop_margin.sql"),
        (terms.PERIODS, "insights/sales_trends.sql"),
        ((terms.NOT_KNOWN,), "features/customer_channels.sql"),
        (terms.FACTS, "insights/customer_overview.sql"),
    ],
)
def test_names_are_in_the_sql(names: tuple[str, ...], path: str) -> None:
    assert set(names) <= literals(path)


def test_slices_are_made_by_their_sql() -> None:
    found = literals("insights/revenue_distribution.sql")
    assert {"decile ", "top ", " %"} <= found
    shares = (SQL / "insights" / "revenue_concentration.sql").read_text(encoding="utf-8")
    tops = re.findall(r"\((\d+), \d+, \d+\)", shares)
    assert set(terms.SLICES) == {f"decile {n}" for n in range(1, 11)} | {f"top {n} %" for n in tops}


def test_names_of_clusters_are_all_that_there_are() -> None:
    pairs = list(product(("high", "medium", "low"), ("recent", "cooling", "lapsed")))
    made = {str(ClusterName(*pair)) for pair in pairs} | {
        str(ClusterName(*pair, measure="frequency")) for pair in pairs
    }
    assert set(terms.CLUSTERS) == {str(ClusterName())} | made


def test_names_of_models_are_those_of_their_modules() -> None:
    assert set(terms.ACQUISITION_METHODS) == set(METHODS.values())
    assert set(terms.FEATURES) == set(FACTS)
    assert "measure" in RESULTS_SCHEMA
    assert set(TOTAL_NOTES.values()) <= set(terms.FIT_NOTES)


def source_text(folder: str) -> str:
    return "\n".join(
        path.read_text(encoding="utf-8") for path in sorted((ROOT / "clv_pipeline" / folder).rglob("*.py"))
    )


@pytest.mark.parametrize("note", [note for note in terms.FIT_NOTES if note not in TOTAL_NOTES.values()])
def test_notes_of_fits_are_said_by_a_model(note: str) -> None:
    assert note in source_text("forecasting")


@pytest.mark.parametrize(
    ("names", "folder"),
    [
        (terms.GROUPS, "evaluation"),
        (terms.SCOPES, "evaluation"),
        (terms.PAYBACKS, "evaluation"),
        (terms.MEASURES, "campaigns"),
    ],
)
def test_names_are_in_their_module(names: tuple[str, ...], folder: str) -> None:
    assert [name for name in names if f'"{name}"' not in source_text(folder)] == []
