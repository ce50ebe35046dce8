"""A shop without money in the whole graph: every check holds, and NULL is what the dictionary says, nothing else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import duckdb
import polars as pl
import pytest

from clv_pipeline.contracts.loader import load_models
from clv_pipeline.display import Display
from clv_pipeline.publication.explain import explain
from clv_pipeline.publication.report import summary_lines
from clv_pipeline.publication.summary import publication_facts, publication_summary
from clv_pipeline.simulation.raw_lines import generate
from clv_pipeline_tests.helpers.graph_shop import Shop

pytestmark = pytest.mark.timeout(900)

PROMISE = "NULL where the shop has no money."
EMPTY = {
    *("revenue_deciles", "revenue_concentration", "revenue_distribution", "order_values", "calibration"),
    "campaign_plan",
}

SPENT = {"acquisition_value.cost", "acquisition_value.cac"}
"""Known without money: what was spent to acquire customers (`source.costs`)."""


def blocks(money: bool, as_of: str) -> dict[str, Any]:
    """clv.yaml for the log, with the money mapped or as an attribute that means nothing."""
    columns = {"customer_id": "customer_id", "ordered_at": "ordered_at", "amount" if money else "points": "paid"}
    return {
        "source": {"transactions": {"path": "orders/*.csv", "columns": columns}},
        "cleaning": {"deduplicate": False},
        "forecast": {"horizons_days": [30, 90], "as_of": as_of},
        "backtest": {"origins": 1},
    }


@pytest.fixture(scope="module")
def shop(new_shop: Callable[[], Shop]) -> Shop:
    """A shop that was run without money, then with money, then without it again, a month apart; then it publishes."""
    shop = new_shop()
    (shop.folder / "orders").mkdir()
    lines = generate(3_000, seed=1).filter(pl.col("quantity") > 0, pl.col("unit_price") > 0)
    log = lines.select("customer_id", "ordered_at", paid=pl.col("quantity") * pl.col("unit_price"))
    log.write_csv(shop.folder / "orders" / "log.csv", datetime_format="%Y-%m-%d %H:%M:%S")
    for money, as_of in ((False, "2024-10-01"), (True, "2024-11-05"), (False, "2024-12-10")):
        wanted = None if as_of == "2024-12-10" else "+key:forecast_history"
        result = shop.night(wanted, **blocks(money, as_of))
        assert result.success, result.failures
    return shop


def test_null_is_what_the_dictionary_says_and_nothing_else(shop: Shop) -> None:
    with duckdb.connect(str(shop.served), read_only=True) as published:
        for name, model in load_models().items():
            contract = model.contract
            if not contract.published or name == "forecast_tracking":
                continue
            counts = ", ".join(f'count("{column.name}")' for column in contract.columns)
            rows, *known = published.execute(f"select count(*), {counts} from {name}").fetchall()[0]
            if name in EMPTY:
                assert rows == 0, name
                continue
            for column, count in zip(contract.columns, known, strict=True):
                if PROMISE in column.description:
                    assert count == 0, f"{name}.{column.name} is made up"
                elif column.unit == "currency" and f"{name}.{column.name}" not in SPENT:
                    assert rows == 0, f"{name}.{column.name} does not say what it is without money"


def test_forecasts_of_other_runs_are_judged_by_what_is_known(shop: Shop) -> None:
    with duckdb.connect(str(shop.served), read_only=True) as published:
        judged = published.execute(
            "select as_of::varchar, status, forecast_spend is null, actual_spend is null, actual_buyers_share is null"
            " from forecast_tracking where horizon_days = 30 order by as_of"
        ).fetchall()
    assert judged == [
        ("2024-10-01", "passed", True, True, False),
        ("2024-11-05", "passed", False, True, False),
        ("2024-12-10", "running", True, True, True),
    ]


def test_no_sentence_tells_of_money(shop: Shop) -> None:
    settings = shop.settings(**blocks(money=False, as_of="2024-12-10"))
    report = (shop.served.parent / "report.html").read_text(encoding="utf-8")
    with duckdb.connect(str(shop.served), read_only=True) as published:
        [(customer,)] = published.execute("select min(customer_id) from rfm where frequency > 1").fetchall()
        words = published.execute("select string_agg(forecasts_in_words, ' ') from customer_overview").fetchall()[0][0]
    told = [
        *publication_summary(publication_facts(settings)),
        *summary_lines(shop.served, Display()),
        *explain(settings, customer),
        words,
    ]
    text = "\n".join(told)
    for nonsense in ("None", "nan", "NaN", "revenue", "CLV"):
        assert nonsense not in text
    assert "no money is mapped" in text
    seen = report[: report.index('id="sources"')]
    for nonsense in (">None<", "NaN", "0.00<", "Revenue so far"):
        assert nonsense not in seen
