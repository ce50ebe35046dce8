"""What suggestions are made from is what the tables say."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import duckdb
import pytest

from clv_pipeline.evaluation.refinement import CODES, suggestions
from clv_pipeline.features.refinement_inputs import TABLES, situation
from clv_pipeline.warehouse import Session
from clv_pipeline_tests.helpers.sql_bench import Bench, Row, models, window

AS_OF = date(2024, 6, 30)
PAST = [date(2024, 1, 31), date(2024, 3, 1)]


@pytest.fixture
def session() -> Iterator[Session]:
    session = Session(duckdb.connect())
    yield session
    session.close()


def accuracy(horizon: int, metric: str, value: float, group: str = "all", **more: Any) -> list[Row]:
    kind = "all" if group == "all" else "segment"
    row = {"horizon_days": horizon, "metric": metric, "value": value, "group_kind": kind, "group_name": group}
    return [{"target": "spend", "customers": 10} | row | {"cutoff": cutoff} | more for cutoff in PAST]


def shop(session: Session, **tables: list[Row]) -> Bench:
    """A shop with nothing but purchases of two customers; `tables` have other rows."""
    bench = Bench(session)
    for table in TABLES:
        if table != "parameters":
            bench.given(table, [])
    windows = [window(AS_OF, horizon, is_complete=False) for horizon in (60, 365)]
    rows: dict[str, list[Row]] = {
        "history_span": [{"first_day": date(2023, 3, 5), "last_day": AS_OF, "as_of": AS_OF}],
        "forecast_windows": [*windows, window(PAST[0], 60), window(PAST[0], 90, is_served=False)],
        "model_leaderboard": [
            {"horizon_days": 60, "model": "hybrid", "is_champion": True, "why_code": "only_family", "why_facts": "{}"},
            {"horizon_days": 60, "model": "own_rate", "is_champion": False, "why_code": "behind", "why_facts": "{}"},
        ],
        "customer_channels": [{"customer_id": "ann", "channel": "not known"}],
        "sales_by_month": [
            {"calendar_month": date(2023 + month // 12, month % 12 + 1, 1), "orders": int(month != 13)}
            for month in range(2, 18)
        ],
        "row_ledger": [{"source_file": "a.csv", "outcome": "kept", "rows": 9}],
    }
    for table, given in (rows | tables).items():
        bench.given(table, given)
    return bench


def test_a_bare_shop_lacks_every_optional_input(session: Session) -> None:
    shop(session)
    found = situation(session, models=["hybrid"], has_order_ids=False)
    assert found.mapped == {"money"}
    assert (found.first_day, found.as_of) == (date(2023, 3, 5), AS_OF)
    # March to June have come twice, without the February that sold nothing.
    assert found.months_seen_twice == 4
    assert (found.horizons_days, found.tested_days) == ({60, 365}, set())
    assert (found.champion, found.why_code, found.why_facts) == ("hybrid", "only_family", {})
    assert (found.gini, found.auc, found.regularity, found.elasticity) == (None, None, 1, None)
    assert found.outcomes == {"kept": 9}
    codes = suggestions(found)["suggestion_code"].to_list()
    assert codes == [code for code in CODES if code.startswith(("add_", "horizon_", "history_"))]


def test_optional_inputs_are_seen_in_the_tables(session: Session) -> None:
    bench = shop(
        session,
        customer_attributes=[{"customer_id": "ann", "attribute_name": "age"}],
        customer_events=[{"customer_id": "ann", "cutoff": AS_OF, "event_type": "visit"}],
        customer_channels=[{"customer_id": "ann", "channel": "search"}],
        customer_features=[{"customer_id": "ann", "cutoff": AS_OF, "country": "France", "frequency": 0}],
    )
    bench.given_parameters(has_costs=True)
    found = situation(session, models=["hybrid"], has_order_ids=True)
    assert found.mapped == {"money", "cost", "customers", "events", "channel", "country", "order_id"}
    bench.given_parameters(has_money=False)
    assert "money" not in situation(session, models=["hybrid"], has_order_ids=True).mapped


def test_accuracy_is_that_of_the_tested_horizon_nearest_to_a_quarter(session: Session) -> None:
    near = [
        *accuracy(60, "predicted_mean", 3.0),
        *accuracy(60, "actual_mean", 2.0),
        *accuracy(60, "predicted_mean", 5.0, "Lost", customers=4),
        *accuracy(60, "actual_mean", 4.0, "Lost", customers=4),
        *accuracy(60, "normalized_gini", 0.5),
        *accuracy(60, "auc", 0.7, target="purchase"),
    ]
    # Nearer, but not among the horizons that are served; farther away.
    others = [row | {"horizon_days": horizon, "value": 99} for horizon in (90, 365) for row in near]
    shop(session, served_accuracy=near + others)
    found = situation(session, models=["hybrid"], has_order_ids=True)
    assert found.segments.sort("segment", nulls_last=False).rows() == [
        (None, 60, 2, 10.0, 60.0, 40.0, 20.0, 0.5),
        ("Lost", 60, 2, 4.0, 40.0, 32.0, 8.0, 0.25),
    ]
    assert found.gini == 0.5
    assert found.auc == pytest.approx(0.7)


def test_gaps_as_regular_as_a_clock_are_seen(session: Session) -> None:
    customers = [
        {
            "customer_id": f"c{place}",
            "cutoff": AS_OF - timedelta(days=days),
            "frequency": 12,
            "mean_gap_days": 30,
            "gap_deviation_days": 2 if days == 0 else 30,
        }
        for place in range(50)
        for days in (0, 30)
    ]
    shop(session, customer_features=customers)
    assert situation(session, models=["hybrid"], has_order_ids=True).regularity > 5


def test_the_elasticity_is_that_of_the_latest_fit(session: Session) -> None:
    def fit(day: date, parameters: str) -> Row:
        return {"model": "hybrid", "as_of": day, "parameters": parameters}

    latest = fit(AS_OF, '{"value": {"log_spend_by_log_purchases": 0.25}}')
    shop(session, fitted_models=[fit(PAST[0], '{"value": {"log_spend_by_log_purchases": 0.5}}'), latest])
    assert situation(session, models=["hybrid"], has_order_ids=True).elasticity == 0.25
    shop(session, fitted_models=[fit(AS_OF, '{"value": 3}')])
    assert situation(session, models=["hybrid"], has_order_ids=True).elasticity is None


def test_what_is_suggested_keeps_its_contract_and_a_gap_in_ranks_breaks_it(session: Session) -> None:
    bench = shop(session)
    rows = suggestions(situation(session, models=["hybrid"], has_order_ids=False))
    bench.given("refinement_suggestions", rows.to_dicts())
    assert bench.failed_checks("refinement_suggestions") == []
    bench.given("refinement_suggestions", [])
    assert bench.failed_checks("refinement_suggestions") == []
    bench.given("refinement_suggestions", rows.tail(2).to_dicts())
    assert bench.failed_checks("refinement_suggestions") == ["ranks_are_consecutive"]


def test_the_contract_knows_every_code() -> None:
    [known] = [
        expectation.kwargs["value_set"]
        for expectation in models()["refinement_suggestions"].contract.expectations
        if expectation.name == "code_is_known"
    ]
    assert known == list(CODES)
