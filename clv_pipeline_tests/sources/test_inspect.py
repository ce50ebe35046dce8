"""`clv init` proposes, `clv check` reports; neither shows a traceback."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from clv_pipeline.cli.commands import main
from clv_pipeline.config.settings import Settings
from clv_pipeline_tests.helpers.shop_files import write

SHOP = (
    "Order Number;Client ID;Purchased At;SKU;Qty;Unit Price;Order Total;Channel\n"
    "A1;7;13/05/2010 08:26;P1;2;1,50;4,00;web\n"
    "A1;7;13/05/2010 08:26;P2;1;1,00;4,00;web\n"
    "A1;7;13/05/2010 08:26;P2;1;1,00;4,00;web\n"
    "A2;;14/05/2010 09:00;P2;x;1,00;1,00;shop\n"
    "A3;8;soon;P2;-1;1,00;-1,00;shop\n"
    "broken\n"
)


def clv(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments), catch_exceptions=False)


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("CLV_CONFIG", "CLV_HOME"):
        monkeypatch.delenv(name, raising=False)


def test_check_names_files_that_are_there_twice(tmp_path: Path) -> None:
    write(tmp_path, "orders/shop.csv", SHOP)
    write(tmp_path, "orders/shop (1).csv", SHOP)
    clv("init", "orders/*.csv")
    told = " ".join(clv("check").output.split())
    assert "orders/shop (1).csv: 6 rows" in told
    assert "; also there as orders/shop.csv, which counts once 6 rows, 2 customers" in told


def test_init_guesses_a_mapping_that_settings_accept_and_check_passes(tmp_path: Path) -> None:
    write(tmp_path, "shop.csv", SHOP)
    made = clv("init", "shop.csv")
    assert (made.exit_code, "not mapped: Order Total, Channel" in made.output) == (0, True)
    source = Settings.load().source.transactions
    assert source.path == ["shop.csv"]
    assert source.columns == {
        "customer_id": "Client ID",
        "order_id": "Order Number",
        "ordered_at": "Purchased At",
        "product_id": "SKU",
        "quantity": "Qty",
        "unit_price": "Unit Price",
    }
    checked = clv("check")
    # A third of the dates cannot be read.
    assert (checked.exit_code, "raw_transactions.most_dates_can_be_read" in checked.output) == (1, True)
    told = " ".join(checked.output.split())
    for part in (
        "shop.csv: 6 rows (CSV, delimiter ';', utf-8, dates %d/%m/%Y %H:%M, decimal comma)",
        "6 rows, 2 customers",
        "2010-05-13 to 2010-05-14",
        "customer_id 66.67% Client ID",
        "1 lines that are no records",
        "1 rows without a customer",
        "1 rows without a readable date",
        "1 rows with an unreadable number",
        "1 rows with an amount of zero or below (negative ones will be netted)",
        "1 rows that repeat another one (will be dropped)",
    ):
        assert part in told


def test_init_asks_what_it_cannot_know_and_check_does_not_pass_before_it_is_answered(tmp_path: Path) -> None:
    write(tmp_path, "odd.csv", "xa,xb,xc\nx,01/02/2010,3\ny,03/04/2010,4\n")
    made = clv("init", "odd.csv")
    assert "? which column tells the customers apart: xa (2 values)" in made.output
    assert "? which is the money of a row: xc; delete this line if there is none" in made.output
    assert "? the dates in the column 'xb' may be day first or month first: write ['%d/%m/%Y'] or" in made.output
    text = (tmp_path / "clv.yaml").read_text()
    checked = clv("check")
    assert checked.exit_code == 1
    for key in ("columns.customer_id", "columns.amount", "format.date_formats"):
        assert f"clv.yaml: source.transactions.{key} is asked, and not answered (" in checked.output
    answers = {"customer_id": "customer_id: xa", "amount": "amount: xc"}
    for key, answer in answers.items():
        text = re.sub(rf'{key}: "[?].*"', answer, text)
    (tmp_path / "clv.yaml").write_text(text)
    assert clv("check").output.count("is asked") == 1
    answered = re.sub(r'date_formats: "[?].* write (\[.*\]) or .*"', r"date_formats: \1", text)
    (tmp_path / "clv.yaml").write_text(answered)
    assert "2010-02-01 to 2010-04-03" in clv("check").output


def test_check_refuses_models_that_are_not_known(tmp_path: Path) -> None:
    write(tmp_path, "shop.csv", SHOP)
    clv("init", "shop.csv")
    with (tmp_path / "clv.yaml").open("a") as file:
        file.write("\nmodels: [own_rat]\n")
    checked = clv("check")
    assert (checked.exit_code, "unknown model 'own_rat'; did you mean 'own_rate'?" in checked.output) == (1, True)


def test_init_does_not_overwrite_unless_told_to(tmp_path: Path) -> None:
    write(tmp_path, "shop.csv", SHOP)
    write(tmp_path, "clv.yaml", "mine")
    refused = clv("init", "shop.csv")
    assert (refused.exit_code, refused.output) == (1, "clv.yaml exists; --force overwrites it\n")
    assert (tmp_path / "clv.yaml").read_text() == "mine"
    assert clv("init", "shop.csv", "--force").exit_code == 0


def test_init_writes_paths_that_hold_from_the_folder_of_the_file(tmp_path: Path) -> None:
    write(tmp_path, "data/a: #1.csv", SHOP)
    write(tmp_path, "data/b.csv", SHOP)
    (tmp_path / "config").mkdir()
    assert clv("init", "data/a: #1.csv", "data/b.csv").exit_code == 0
    assert Settings.load().source.transactions.path == ["data/a: #1.csv", "data/b.csv"]
    assert clv("init", "data/*.csv", "--output", "config/clv.yaml").exit_code == 0
    assert "data/a: #1.csv: 6 rows" in clv("check", "--config", "config/clv.yaml").output


def test_init_takes_one_kind_of_transactions_at_a_time(tmp_path: Path) -> None:
    write(tmp_path, "a.csv", SHOP)
    write(tmp_path, "b.csv", "client,date,total\n1,2024-01-01,2\n1,2024-01-05,3\n")
    refused = clv("init", "a.csv", "b.csv")
    assert (refused.exit_code, "b.csv: has other columns than a.csv, and both may be tr" in refused.output) == (1, True)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("source: {transactions: {path: none.csv}}", "source.transactions.columns: is missing"),
        (
            "source: {transactions: {path: none.csv, columns: {customer_id: a, ordered_at: b, amount: c}}}",
            "none.csv: there is no such file",
        ),
        ("source: [", "line 1"),
    ],
)
def test_check_says_what_is_wrong_without_a_traceback(tmp_path: Path, text: str, told: str) -> None:
    write(tmp_path, "clv.yaml", text)
    result = clv("check")
    assert (result.exit_code, told in result.output, "Traceback" in result.output) == (1, True, False)


def test_check_tells_of_demographics_and_events_too(tmp_path: Path) -> None:
    write(tmp_path, "shop.csv", SHOP)
    write(tmp_path, "people.csv", "id,age,city\n7,41,Bern\n8,,Genf\n9,old,n/a\n,30,Bern\n")
    write(tmp_path, "log.csv", "user,at,what\n7,2010-05-01,visit\n7,2010-05-03,click\n77,never,visit\n")
    assert clv("init", "shop.csv").exit_code == 0
    text = (tmp_path / "clv.yaml").read_text()
    proposed = {
        "  # customers: {path: customers.csv": "  customers: {path: people.csv",
        "  # events: {path: events/*.csv, columns: {customer_id: user, occurred_at: time, event: type}}": (
            "  events: {path: log.csv, columns: {customer_id: user, occurred_at: at, event: what}}"
        ),
    }
    for comment, filled in proposed.items():
        assert comment in text
        text = text.replace(comment, filled)
    (tmp_path / "clv.yaml").write_text(text)
    checked = clv("check")
    assert (checked.exit_code, "raw_transactions.most_dates_can_be_read" in checked.output) == (1, True)
    told = " ".join(checked.output.split())
    for part in (
        "people.csv: 4 rows (CSV, delimiter ',', utf-8) 4 rows, 1 of them without a customer",
        "3 customers, 2 of them in the transactions",
        "age 75.00% filled, 66.67% of it numbers",
        "city 75.00% filled, 0.00% of it numbers",
        "log.csv: 3 rows (CSV, delimiter ',', utf-8) 3 rows, 1 of them without a customer or a readable date",
        "2 customers, 1 of them in the transactions types of event: 2 2010-05-01 to 2010-05-03",
    ):
        assert part in told


def test_check_of_the_embedded_default(tmp_path: Path) -> None:
    result = clv("check")
    assert (result.exit_code, "69,659 rows, 23,570 customers" in result.output) == (0, True)
