"""A served publication of made-up customers, for commands that draw from it, without a run of the graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date

import duckdb

from clv_pipeline.config.settings import Settings
from clv_pipeline.warehouse import Session
from clv_pipeline_tests.helpers.sql_bench import Bench

HORIZONS = (30, 90, 365)


def serve_customers(
    settings: Settings,
    ids: Sequence[str],
    as_of: date,
    *,
    champions: int,
    pseudonym_key: str | None = None,
    at_stake: Mapping[str, int] | None = None,
) -> None:
    """Serve customers with these ids, the best one first, forecast over HORIZONS.

    The first ones are Champions, the others Lost; those in `at_stake` are at risk. The last one is expected to bring 1
    a day, the one before 2.
    """
    folder = settings.published_dir / "current"
    folder.mkdir(parents=True, exist_ok=True)
    session = Session(duckdb.connect(str(folder / "clv.duckdb")))
    bench = Bench(session)
    at_risk = at_stake or {}
    bench.given(
        "customer_overview",
        [
            {
                "customer_id": name,
                "as_of": as_of,
                "segment": "Champions" if place < champions else "Lost",
                "at_risk": name in at_risk,
                "value_at_stake": at_risk.get(name, 0),
            }
            for place, name in enumerate(ids)
        ],
    )
    bench.given(
        "clv_forecasts",
        [
            {
                "customer_id": name,
                "as_of": as_of,
                "horizon_days": horizon,
                "expected_purchases": 1 + horizon / 100,
                "clv": (len(ids) - place) * horizon,
                "spend_deviation": 2 * horizon,
            }
            for place, name in enumerate(ids)
            for horizon in HORIZONS
        ],
    )
    bench.given("publication", [{"run_id": "v1", "as_of": as_of, "config_hash": "x", "pseudonym_key": pseudonym_key}])
    session.close()
