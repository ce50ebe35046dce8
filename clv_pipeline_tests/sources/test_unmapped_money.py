"""Sources that map no money: amounts are NULL and nothing is unreadable, but forgotten money is asked about."""

from __future__ import annotations

from pathlib import Path

import pytest

from clv_pipeline.cli.notices import notices
from clv_pipeline.config.settings import Settings
from clv_pipeline.errors import SourceError
from clv_pipeline_tests.helpers.shop_files import load, write

COLUMNS = {"customer_id": "cust", "ordered_at": "date"}


def test_a_log_of_purchases_is_read_without_a_complaint(tmp_path: Path) -> None:
    write(tmp_path, "log.csv", "cust,date,Notes\n7,2024-01-05,gift\n8,2024-02-06,12\n9,2024-02-07,x\n")
    loaded = load(tmp_path, COLUMNS, path="log.csv")
    assert loaded.column("amount") == [None, None, None]
    assert loaded.column("source_text") == [None, None, None]


def test_a_purchase_without_a_date_is_still_unreadable(tmp_path: Path) -> None:
    write(tmp_path, "log.csv", "cust,date\n7,2024-01-05\n8,soon\n")
    assert load(tmp_path, COLUMNS, path="log.csv").column("source_text")[1] == '{"customer_id":"8","ordered_at":"soon"}'


@pytest.mark.parametrize("column", ["Amount", "Order Total", "unit_price", "Gesamtbetrag", "net_revenue"])
def test_a_column_that_looks_like_money_is_asked_about(tmp_path: Path, column: str) -> None:
    write(tmp_path, "shop.csv", f"cust,date,{column}\n7,2024-01-05,€ 12.50\n8,2024-02-06,3.00\n")
    with pytest.raises(SourceError) as caught:
        load(tmp_path, COLUMNS, path="shop.csv")
    assert "no money is mapped" in str(caught.value)
    assert column in str(caught.value)
    assert "under another name" in str(caught.value)


def test_who_maps_it_under_another_name_has_answered(tmp_path: Path) -> None:
    write(tmp_path, "shop.csv", "cust,date,Total\n7,2024-01-05,12.50\n")
    loaded = load(tmp_path, COLUMNS | {"items_in_stock": "Total"}, path="shop.csv")
    assert loaded.column("amount") == [None]
    assert loaded.column("attributes") == ['{"items_in_stock":"12.50"}']


def test_words_are_no_money(tmp_path: Path) -> None:
    write(tmp_path, "shop.csv", "cust,date,payment\n7,2024-01-05,visa\n")
    assert load(tmp_path, COLUMNS, path="shop.csv").column("amount") == [None]


def test_a_shop_without_money_is_told_with_what_cannot_do_anything(tmp_path: Path) -> None:
    def of(**blocks: object) -> Settings:
        source = {"transactions": {"path": "log.csv", "columns": COLUMNS}}
        return Settings.from_mapping({"source": source, **blocks}, config_file=tmp_path / "clv.yaml")

    [plain] = notices(of(cleaning={"returns": "drop"}))
    assert plain == (
        "source.transactions.columns: no money is mapped, so purchases are forecast and every amount is NULL"
    )
    campaign = {"budget": 10, "cost_per_contact": 1, "assumed_uplift": 0.1}
    [told] = notices(of(cleaning={"outliers": "drop", "returns": "net"}, campaign=campaign))
    assert told.endswith("; without money cleaning.outliers, cleaning.returns, campaign cannot do anything")
