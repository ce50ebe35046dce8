"""The two public data sets that the product is shown on, held against their published counts."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from clv_pipeline.config.settings import Settings
from clv_pipeline.sources import load_records
from clv_pipeline_tests.helpers.shared_files import online_retail_example


def load_settings(settings: Settings, work_dir: Path) -> duckdb.DuckDBPyConnection:
    con = duckdb.connect()
    load_records(con, "raw", settings.source.transactions, settings.base_dir, work_dir)
    return con


def test_the_embedded_default_is_the_whole_cdnow_master_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CLV_CONFIG", raising=False)
    monkeypatch.chdir(tmp_path)
    with load_settings(Settings.load(), tmp_path / "work") as con:
        assert con.execute(
            "SELECT count(*), count(DISTINCT customer_id), sum(amount), min(ordered_at), max(ordered_at), "
            "count(source_text), any_value(source_id) FROM raw"
        ).fetchone() == (
            69_659,
            23_570,
            Decimal("2500315.63"),
            datetime(1997, 1, 1),
            datetime(1998, 6, 30),
            0,
            1,
        )


@pytest.fixture(scope="module")
def online_retail(tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    """Online Retail II, loaded as examples/online_retail_ii.yaml says."""
    with load_settings(online_retail_example(), tmp_path_factory.mktemp("work") / "work") as con:
        yield con


def test_online_retail_arrives_whole(online_retail: duckdb.DuckDBPyConnection) -> None:
    assert online_retail.execute(
        "SELECT count(*), count(DISTINCT order_id), count(DISTINCT customer_id), count(*) - count(customer_id), "
        "count(*) FILTER (order_id LIKE 'C%'), count(*) FILTER (quantity < 0), count(*) FILTER (unit_price = 0), "
        "count(source_text), min(source_line), max(source_line) FROM raw"
    ).fetchone() == (1_067_370, 53_628, 5_942, 243_007, 19_494, 22_950, 6_202, 0, 2, 1_067_371)


def test_online_retail_sums_to_the_published_revenue(online_retail: duckdb.DuckDBPyConnection) -> None:
    good = "FROM raw WHERE quantity > 0 AND unit_price > 0 AND customer_id IS NOT NULL"
    assert online_retail.execute(
        f"SELECT count(*), count(DISTINCT customer_id), round(sum(amount), 2) {good}"
    ).fetchone() == (805_548, 5_878, Decimal("17743411.18"))
    distinct = "customer_id, order_id, product_id, ordered_at, quantity, unit_price, country, attributes"
    assert online_retail.execute(
        f"SELECT count(*), round(sum(quantity * unit_price), 2), count(DISTINCT order_id) "
        f"FROM (SELECT DISTINCT {distinct} {good})"
    ).fetchone() == (779_424, Decimal("17374786.27"), 36_969)
