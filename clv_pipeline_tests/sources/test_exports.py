"""Exports of well-known programs load by what `clv init` writes, worth what their how-to says, to the penny."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
import yaml

from clv_pipeline.config.settings import Settings
from clv_pipeline.sources.exports import EXPORTS as KNOWN
from clv_pipeline.sources.exports import Export, Money
from clv_pipeline.warehouse import Session, Warehouse
from clv_pipeline_tests.helpers.commands import clv
from clv_pipeline_tests.helpers.export_files import EXPORTS, Order, Worth, make_orders
from clv_pipeline_tests.helpers.nights import night
from clv_pipeline_tests.helpers.order_folder import no_audit

TODAY = date(2024, 8, 1)
PENNY = Decimal("0.005")
HOW_TO = Path(__file__).parents[2] / "docs" / "how-to"

pytestmark = pytest.mark.usefixtures("own_folder")


@pytest.fixture(scope="module")
def orders() -> list[Order]:
    return make_orders()


@contextmanager
def cleaned(folder: Path) -> Iterator[Session]:
    """A warehouse up to rfm, by the clv.yaml in the folder."""
    settings = Settings.load(folder / "clv.yaml")
    warehouse = Warehouse(folder / "home" / "clv.duckdb", [folder])
    session = warehouse.open("test")
    session.auditor.audit = no_audit  # type: ignore[method-assign,assignment]
    night(warehouse, settings, today=TODAY)
    try:
        yield session
    finally:
        warehouse.close()


def assert_worth(session: Session, expected: Worth) -> None:
    found = dict(
        session.execute("select customer_id, sum(amount) from cleaned_transactions group by customer_id").fetchall()
    )
    assert set(found) == set(expected.customers)
    assert abs(sum(found.values()) - Decimal(str(expected.revenue))) < PENNY
    assert max(abs(float(money) - expected.customers[name]) for name, money in found.items()) < 0.005
    books = session.execute(
        "select outcome, sum(\"rows\"), sum(amount) from row_ledger where outcome <> 'kept' group by outcome"
    ).fetchall()
    assert {(reason, int(rows)) for reason, rows, _ in books} == {
        (reason, rows) for reason, (rows, _) in expected.rejected.items()
    }
    for reason, _, money in books:
        assert abs(money - Decimal(str(expected.rejected[reason][1]))) < PENNY


@pytest.mark.parametrize("name", EXPORTS)
def test_an_export_is_worth_what_its_how_to_says(name: str, orders: list[Order], tmp_path: Path) -> None:
    path = EXPORTS[name].write(tmp_path, orders)
    made = clv("init", path.name)
    assert (made.exit_code, "?" in made.output) == (0, False), made.output
    with cleaned(tmp_path) as session:
        assert_worth(session, EXPORTS[name].worth(path))
        ((days,),) = session.execute("select count(*) from rfm").fetchall()
    assert days > 300


@pytest.mark.parametrize("name", ["shopify", "stripe_balance"])
def test_check_passes_without_a_hands_touch(name: str, orders: list[Order], tmp_path: Path) -> None:
    clv("init", EXPORTS[name].write(tmp_path, orders).name)
    checked = clv("check")
    assert checked.exit_code == 0, checked.output


@pytest.mark.parametrize("name", EXPORTS)
def test_the_how_to_shows_the_settings_that_init_writes(name: str, orders: list[Order], tmp_path: Path) -> None:
    path = EXPORTS[name].write(tmp_path, orders[:300])
    clv("init", path.name)
    written = yaml.safe_load((tmp_path / "clv.yaml").read_text(encoding="utf-8"))
    export = next(
        export
        for export in KNOWN
        if export.matches(path.open().readline().strip().split("\t" if name == "amazon" else ","))
    )
    shown = [
        yaml.safe_load(block.split("```")[0])
        for block in (HOW_TO / export.how_to).read_text(encoding="utf-8").split("```yaml\n")[1:]
    ]
    expected = {
        "source": {"transactions": written["source"]["transactions"]},
        "cleaning": {key: written["cleaning"][key] for key in ("deduplicate", "returns")},
    }
    assert expected in shown, yaml.safe_dump(expected)


def words_of(export: Export) -> str:
    return " ".join((HOW_TO / export.how_to).read_text(encoding="utf-8").split())


def in_words(money: Money) -> str:
    """The formula of an amount, as the how-tos write it."""
    names = [money.total, *(re.findall('"(.*?)"', taken_off)[0] for taken_off in money.minus)]
    formula = " − ".join(names)
    if not money.refunded:
        return formula
    return (
        f"{f'({formula})' if len(names) > 1 else formula} × (1 − {money.refunded} ÷ {money.refunded_of or money.total})"
    )


@pytest.mark.parametrize("export", KNOWN, ids=lambda export: export.name)
def test_the_how_to_has_the_formula_and_names_the_columns_that_decide(export: Export) -> None:
    said = words_of(export)
    assert f"= {in_words(export.money[0])}" in said
    assert [formula for formula in map(in_words, export.money) if formula not in said] == []
    deciding = [name for condition in export.conditions for name in re.findall('"(.*?)"', condition.sql)]
    assert [name for name in deciding if f"`{name}`" not in said] == []


def spelled(status: str) -> str:
    """A status without what differs from version to version of a program."""
    return status.lower().replace("_", " ").replace("wc-", "").replace("cancelled", "canceled").strip()


@pytest.mark.parametrize("export", [export for export in KNOWN if export.statuses], ids=lambda export: export.name)
def test_the_how_to_lists_every_status(export: Export) -> None:
    rows = re.findall(
        r"^\| (.+?) \| (.+?) \|$", (HOW_TO / export.how_to).read_text(encoding="utf-8"), flags=re.MULTILINE
    )
    for statuses in export.statuses:
        for known, outcome in ((statuses.counts, "revenue"), (statuses.out, "not selected")):
            cells = [cell for cell, told in rows if told.startswith(outcome)]
            told = [[spelled(part) for part in cell.split(" and all others")[0].split(", ")] for cell in cells]

            def is_told(status: str, listed: list[str]) -> bool:
                return any(status == part or (part[-1] == "…" and status.startswith(part[:-1])) for part in listed)

            # Stripe has two exports, and so two tables.
            listed = max(told, key=lambda parts: sum(is_told(spelled(status), parts) for status in known))
            unknown = [part for part in listed if part[-1] != "…" and part not in map(spelled, known)]
            missing = [status for status in known if not is_told(spelled(status), listed)]
            is_whole = not any(" and all others" in cell for cell in cells)
            assert (unknown, missing if is_whole or outcome == "revenue" else []) == ([], [])


def test_a_status_that_nobody_knows_is_asked_about(orders: list[Order], tmp_path: Path) -> None:
    path = EXPORTS["woocommerce"].write(tmp_path, orders[:300])
    path.write_text(path.read_text().replace(",completed,", ",packed,", 5))
    made = clv("init", path.name)
    assert "? which of these is revenue: status 'packed'" in made.output
    assert "source.transactions.where is asked, and not answered" in clv("check").output


def test_an_export_without_a_customer_says_how_to_get_one(orders: list[Order], tmp_path: Path) -> None:
    path = EXPORTS["amazon"].write(tmp_path, orders[:300])
    path.write_text(path.read_text().replace("buyer-email", "something-else", 1))
    assert "? this report names no buyer: take the Amazon Fulfilled Shipments report" in clv("init", path.name).output
    assert clv("check").exit_code == 1


def test_every_export_has_a_how_to() -> None:
    assert [export.how_to for export in KNOWN if not (HOW_TO / export.how_to).is_file()] == []
    assert os.environ.get("CLV_CONFIG") is None
