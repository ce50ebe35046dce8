"""A made-up publication with all tables that explore.html reads, without a run of the graph."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import duckdb

from clv_pipeline.publication.write import DATABASE
from clv_pipeline.warehouse import Session
from clv_pipeline_tests.helpers.sql_bench import Bench

AS_OF = date(2024, 6, 30)
HORIZONS = (90, 365)
SEGMENTS = ("Champions", "Loyal", "At Risk", "Lost")
MONEY = (
    *("revenue", "average_order_value", "value_at_stake", "expected_spend", "clv", "order_value", "historic_value"),
    *("total_value", "lifetime_value", "value_tier", "m_score", "clv_rank", "interval_level"),
)
"""What is not known in a shop without money."""


def customer(place: int) -> dict[str, Any]:
    """What is published of the customer at a place, the best one's being 0; no two are alike."""
    silence = 3 + 7 * place
    clv = round(900 / (1 + place) + 0.25, 4)
    return {
        "customer_id": f"c-{place:03}",
        "as_of": AS_OF,
        "country": ("Iceland", "Chile", "Japan")[place % 3],
        "last_purchase_date": AS_OF - timedelta(silence),
        "days_since_last": silence,
        "tenure_days": silence + 200,
        "frequency": 1 + place % 9,
        "orders": 2 + place % 9,
        "revenue": 1_000 + place,
        "average_order_value": 50 + place / 4,
        "usual_gap_days": 20.125 + place,
        "overdue_since": AS_OF - timedelta(place) if place % 4 == 2 else None,
        "r_score": 1 + place % 5,
        "f_score": 1 + place % 4,
        "m_score": 1 + place % 3,
        "segment": SEGMENTS[place % 4],
        "cluster_name": "High value, recent" if place % 2 else "Low value, lapsed",
        "value_tier": ("high", "middle", "low")[place % 3],
        "at_risk": place % 4 == 2,
        "value_at_stake": 10 + place,
        "recommended_action": "Win back: a personal message with a relevant offer" if place % 4 == 2 else "Rest",
        "contact_channel": "letter" if place % 4 == 2 else "no contact",
        "horizon_days": HORIZONS[-1],
        "expected_purchases": round(9 / (1 + place), 4),
        "expected_spend": clv + 10,
        "interval_level": 0.8,
        "p_purchase": round(0.98 / (1 + place / 4), 4),
        "p_alive": 0.99,
        "clv": clv,
        "clv_rank": 1 + place,
        "order_value": 61.5,
        "next_order_date": AS_OF + timedelta(40) if place % 2 == 0 else None,
        "p_purchase_30_days": 0.1,
        "p_purchase_90_days": 0.3,
        "p_purchase_365_days": 0.5,
        "historic_value": 400,
        "margin": 0.4,
        "total_value": 400 + clv,
        "lifetime_value": 3 * clv,
        "drivers_facts": '[["frequency", "more", 7.00, 2.00], ["days_since_last", "less", 75.00, 95.50]]',
    }


def publish_explored(
    folder: Path,
    customers: Sequence[Mapping[str, Any]],
    *,
    attributes: Mapping[str, Mapping[str, str]] | None = None,
    currency: str | None = "EUR",
    pseudonym_key: str | None = None,
    channels: Sequence[str] = ("search", "shop"),
    missed_by: Sequence[tuple[float | None, float | None]] = (),
    spend: Mapping[int, float] | None = None,
    monthly: tuple[float, float] = (12.5, 12.5),
) -> None:
    """Write clv.duckdb into `folder`: these customers, and what goes with each in the other tables.

    `attributes` are those of customers by id. Who has no revenue is of a shop without money. `missed_by` is a pair per
    past date: how far totals of the longest horizon were off, and those of the best simple rule. `spend` is what
    everybody is expected to spend by horizon, `monthly` what the best one spent in the first and in the last month.
    """
    folder.mkdir(parents=True, exist_ok=True)
    session = Session(duckdb.connect(str(folder / DATABASE)))
    bench = Bench(session)
    bench.given("customer_overview", list(customers))
    known = attributes or {}
    bench.given(
        "dim_customer",
        [
            {
                "customer_id": c["customer_id"],
                "cohort_month": date(2023, 1 + place % 12, 1),
                "channel": channels[place % len(channels)],
                "attributes": json.dumps(known[c["customer_id"]]) if c["customer_id"] in known else None,
            }
            for place, c in enumerate(customers)
        ],
    )
    has_money = any(c.get("revenue") is not None for c in customers)
    bench.given(
        "clv_forecasts",
        [
            {
                "customer_id": c["customer_id"],
                "horizon_days": days,
                "p_purchase": c["p_purchase"] * days / HORIZONS[-1],
                "expected_purchases": c["expected_purchases"] * days / HORIZONS[-1],
                **({"expected_spend": s, "spend_lower": s / 2, "spend_upper": 3 * s} if has_money else {}),
                **({"clv": c["clv"] * days / HORIZONS[-1]} if has_money else {}),
            }
            for c in customers
            for days in HORIZONS
            for s in ((spend or {}).get(days, days),)
        ],
    )
    bench.given(
        "fact_customer_month",
        [
            {
                "customer_id": c["customer_id"],
                "calendar_month": month,
                "orders": 1 + place % 2,
                **({"net_revenue": amount + place} if has_money else {}),
            }
            for place, c in enumerate(customers)
            for month, amount in zip((date(2023, 11, 1), date(2024, 2, 1)), monthly, strict=True)
        ],
    )
    bench.given("rfm", [{"customer_id": c["customer_id"], "revenue": c.get("revenue")} for c in customers])
    bench.given("forecast_totals", [{"as_of": AS_OF, "horizon_days": days} for days in HORIZONS])
    bench.given(
        "served_accuracy",
        [
            {
                "cutoff": AS_OF - timedelta(HORIZONS[-1] + 30 * place),
                "horizon_days": HORIZONS[-1],
                "model": "hybrid",
                "target": "spend" if has_money else "purchases",
                "metric": metric,
                "group_kind": "all",
                "group_name": "all",
                "value": value,
                "customers": len(customers),
            }
            for place, errors in enumerate(missed_by)
            for metric, value in zip(("absolute_bias", "best_rule_absolute_bias"), errors, strict=True)
        ],
    )
    bench.given("publication", [{"as_of": AS_OF, "currency": currency, "pseudonym_key": pseudonym_key}])
    session.close()


def without_money(customer: Mapping[str, Any]) -> dict[str, Any]:
    """The same customer in a shop that states no money."""
    return {name: None if name in MONEY else value for name, value in customer.items()}
