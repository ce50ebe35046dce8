"""What the register of forgotten customers does to freshly loaded rows."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from clv_pipeline.config.source import CustomerSource, EventSource, TableSource, TransactionSource
from clv_pipeline.privacy.register import FORGOTTEN, TEXT_NOT_KEPT, Register, suppress
from clv_pipeline.sources import create_table

ANN, BOB = "ann'; drop table rfm; --", "bob"


@pytest.mark.parametrize("kind", [TransactionSource, CustomerSource, EventSource])
def test_rows_of_forgotten_customers_are_emptied_and_stay_in_the_books(tmp_path: Path, kind: type[TableSource]) -> None:
    register = Register(tmp_path / "privacy")
    with duckdb.connect() as con:
        create_table(con, "raw", kind)
        rows = "select 1 as source_id, unnest([2, 3]) as source_line, unnest([$ann, $bob]) as customer_id"
        con.execute(f"insert into raw by name {rows}", {"ann": ANN, "bob": BOB})
        assert suppress(con, "raw", register) == 0
        register.request("run", [ANN])
        assert suppress(con, "raw", register) == 1
        found = con.execute("select source_line, customer_id, source_text from raw order by source_line").fetchall()
    assert found == [(2, None, FORGOTTEN), (3, BOB, None)]


def test_an_emptied_transaction_keeps_its_day_and_its_money(tmp_path: Path) -> None:
    register = Register(tmp_path)
    register.request("run", [ANN])
    with duckdb.connect() as con:
        create_table(con, "raw", TransactionSource)
        con.execute(
            "insert into raw values"
            " (1, 2, $ann, 'o', '2010-05-01 12:34', 'p', 2, 3, 6, 1.5, 'Ch', 'EUR', '{}', '{\"x\": 1}')",
            {"ann": ANN},
        )
        suppress(con, "raw", register)
        [row] = con.execute("select * replace (ordered_at::varchar as ordered_at) from raw").fetchall()
    assert row == (1, 2, None, None, "2010-05-01 00:00:00", None, 2, 3, 6, 1.5, None, "EUR", None, FORGOTTEN)


def test_lines_that_could_not_be_split_lose_their_text_because_they_may_be_anybodys(tmp_path: Path) -> None:
    with duckdb.connect() as con:
        create_table(con, "raw", TransactionSource)
        con.execute("insert into raw by name select 'unreadable line: bob, 1' as source_text")
        con.execute("""insert into raw by name select '{"customer_id": "bob"}' as source_text""")
        suppress(con, "raw", Register(tmp_path))
        assert ("unreadable line: bob, 1",) in con.execute("select source_text from raw").fetchall()
        Register(tmp_path).request("run", [ANN])
        suppress(con, "raw", Register(tmp_path))
        found = con.execute("select source_text from raw").fetchall()
    assert found == [(TEXT_NOT_KEPT,), ('{"customer_id": "bob"}',)]
