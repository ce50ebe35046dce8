"""`clv init` on files that nobody has described: right, or asked."""

from __future__ import annotations

import json
import re
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from clv_pipeline.config.settings import Settings
from clv_pipeline.errors import ConfigError, SourceError
from clv_pipeline.sources.guess import propose
from clv_pipeline.sources.proposal import Proposal
from clv_pipeline_tests.helpers.shop_files import load, write, write_xlsx

ROWS = 60


def day(number: int) -> str:
    return f"{date(2024, 1, 1) + timedelta(days=number):%Y-%m-%d}"


def shop(folder: Path, header: str, *values: str, name: str = "shop.csv") -> Proposal:
    """Init of a file whose rows hold `values`, in which {n} is the row, {c} a customer, {o} an order, {d} its day."""
    lines = [
        ",".join(values).format(n=n, c=n // 3 % 13 + 100, o=n // 3 + 5000, d=day(n // 2), p=(n % 7 + 1) * 10)
        for n in range(ROWS)
    ]
    write(folder, name, "\n".join([header, *lines]) + "\n")
    return propose([name], folder)


def asked(proposal: Proposal) -> dict[str, str]:
    return {entry.key: entry.value for entry in proposal.transactions.questions}


@pytest.mark.parametrize(
    ("customer", "order", "when", "money"),
    [
        ("Kundennummer", "Bestellnummer", "Bestelldatum", "Gesamtbetrag"),
        ("Kunden-Nr.", "Belegnr", "Datum", "Umsatz"),
        ("N° client", "Numéro commande", "Date de commande", "Montant"),
        ("id_cliente", "Pedido", "Fecha de compra", "Importe"),
        ("Codice cliente", "Ordine", "Data ordine", "Totale"),
        ("klantnummer", "factuurnummer", "factuurdatum", "bedrag"),
        ("顧客ID", "注文番号", "注文日時", "金額"),
        ("CustomerKey", "SalesOrderNumber", "OrderDateKey", "SalesAmount"),
        ("household_id", "basket_id", "transaction_timestamp", "sales_value"),
        ("player_id", "TransactionID", "time", "item_revenue"),
        ("CUSTOMERNAME", "ORDERNUMBER", "ORDERDATE", "SALES"),
        ("customer_id", "transaction_id", "trans_date", "tran_amount"),
    ],
)
def test_columns_are_known_in_several_languages(
    customer: str, order: str, when: str, money: str, tmp_path: Path
) -> None:
    proposal = shop(tmp_path, f"{customer},{order},{when},{money}", "{c}", "{o}", "{d}", "{p}.50")
    expected = {"customer_id": customer, "order_id": order, "ordered_at": when, "amount": money}
    assert (asked(proposal), proposal.transactions.mapping) == ({}, expected)


def test_values_decide_and_not_names_alone(tmp_path: Path) -> None:
    """An empty column is no id, a column with one value no order, row numbers no customer, a word no amount."""
    proposal = shop(
        tmp_path,
        "customer_id,client_id,invoice_id,order_id,date,total,amount",
        *("{n}", "{c}", "", "1", "{d}", "paid", "{p}"),
    )
    assert asked(proposal) == {}
    assert proposal.transactions.mapping == {"customer_id": "client_id", "ordered_at": "date", "amount": "amount"}
    assert not proposal.deduplicate


def test_an_email_as_customer_is_compared_in_lower_case(tmp_path: Path) -> None:
    proposal = shop(tmp_path, "Email,date,amount", "P{c}@x.org", "{d}", "{p}")
    assert proposal.transactions.mapping["customer_id"] == 'lower(trim("Email"))'


def test_two_columns_that_may_be_the_customer_are_asked_about(tmp_path: Path) -> None:
    proposal = shop(tmp_path, "customer_id,account_id,date,amount", "{c}", "{p}", "{d}", "{p}")
    assert asked(proposal) == {"customer_id": "? which is the customer: customer_id (13 values), account_id (7 values)"}


def test_a_stated_amount_that_is_not_quantity_times_price_is_asked_about(tmp_path: Path) -> None:
    proposal = shop(tmp_path, "customer,date,qty,price,sales", "{c}", "{d}", "2", "{p}", "{p}")
    assert asked(proposal)["amount"].startswith("? sales is not qty × price in 60 of 60 rows, in sum -2,340.00")
    equal = shop(tmp_path, "customer,date,qty,price,sales", "{c}", "{d}", "1", "{p}", "{p}", name="equal.csv")
    assert equal.transactions.mapping == {
        "customer_id": "customer",
        "ordered_at": "date",
        "quantity": "qty",
        "unit_price": "price",
    }


def test_several_amounts_are_asked_about_with_their_sums_and_net_is_taken_before_gross(tmp_path: Path) -> None:
    proposal = shop(tmp_path, "customer,date,revenue,spend", "{c}", "{d}", "{p}", "{p}.5")
    assert asked(proposal)["amount"] == "? which is the money of a row: revenue (sum 2,340.00), spend (sum 2,370.00)"
    net = shop(tmp_path, "customer,date,gross_amount,net_amount", "{c}", "{d}", "{p}.5", "{p}", name="net.csv")
    assert (asked(net), net.transactions.mapping["amount"]) == ({}, "net_amount")
    short = shop(tmp_path, "customer,date,gross,net,tax", "{c}", "{d}", "{p}.5", "{p}", "0.5", name="short.csv")
    assert (asked(short), short.transactions.mapping["amount"]) == ({}, "net")


def test_money_that_was_paid_back_is_asked_about(tmp_path: Path) -> None:
    proposal = shop(tmp_path, "customer,date,total,amount_refunded", "{c}", "{d}", "{p}", "1.50")
    assert asked(proposal)["amount"] == (
        "? amount_refunded (sum 90.00) was paid back: write"
        ' {sql: \'"total" - coalesce("amount_refunded", 0)\'}, or total if that is left already'
    )
    nothing = shop(tmp_path, "customer,date,total,amount_refunded", "{c}", "{d}", "{p}", "0.00", name="nothing.csv")
    assert asked(nothing) == {}


@pytest.mark.parametrize(("width", "read"), [("", "to_timestamp"), ("000", "epoch_ms")])
def test_times_since_1970_are_read_in_seconds_or_milliseconds(width: str, read: str, tmp_path: Path) -> None:
    rows = "".join(f"{n % 13},{1_704_067_200 + n * 86_400}{width},{n % 7}.50\n" for n in range(ROWS))
    write(tmp_path, "shop.csv", f"customer,created,amount\n{rows}")
    write(tmp_path, "log.csv", "customer,timestamp\n" + re.sub(",[0-9]+[.]50", "", rows))
    proposal = propose(["shop.csv", "log.csv"], tmp_path)
    [when] = [entry for entry in proposal.transactions.columns if entry.key == "ordered_at"]
    assert (when.value, when.is_sql) == (f'{read}("created")', True)
    assert proposal.events is not None
    assert proposal.events.mapping["occurred_at"] == f'{read}("timestamp")'
    columns: dict[str, Any] = {"customer_id": "customer", "ordered_at": {"sql": f'{read}("timestamp")'}}
    loaded = load(tmp_path, columns, path="log.csv")
    assert [str(when)[:10] for when in loaded.column("ordered_at")] == [day(n) for n in range(ROWS)]


def test_objects_in_json_are_neither_customers_nor_e_mails(tmp_path: Path) -> None:
    lines = [{"customer": {"id": n % 5, "email": f"p{n % 5}@x.org"}, "date": day(n), "amount": 5} for n in range(20)]
    write(tmp_path, "shop.jsonl", "\n".join(map(json.dumps, lines)))
    assert asked(propose(["shop.jsonl"], tmp_path))["customer_id"].startswith(
        "? which column tells the customers apart"
    )


def test_numbers_with_decimals_are_no_row_numbers(tmp_path: Path) -> None:
    rows = "".join(f"{n % 13},{day(n)},{n}.5\n" for n in range(ROWS))
    write(tmp_path, "shop.csv", f"customer,date,c\n{rows}")
    assert asked(propose(["shop.csv"], tmp_path))["amount"] == (
        "? which is the money of a row: c; delete this line if there is none"
    )


def test_a_file_without_records_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "shop.csv", "customer,date,amount\n")
    with pytest.raises(
        SourceError, match=r"shop\.csv: holds no record below its header \('customer', 'date', 'amount'\)"
    ):
        propose(["shop.csv"], tmp_path)
    write(tmp_path, "title.csv", "Our sales\n\ncustomer,date,amount\n1,2024-01-01,5\n")
    with pytest.raises(SourceError, match=r"header \('Our', 'sales'\); .* remove what stands above it"):
        propose(["title.csv"], tmp_path)
    shop(tmp_path, "customer,date,amount", "{c}", "{d}", "{p}", name="full.csv")
    write(tmp_path, "log.csv", "customer,time,event\n")
    assert propose(["full.csv", "log.csv"], tmp_path).left_out == ["log.csv"]


def test_orders_and_their_items_in_two_files_are_refused(tmp_path: Path) -> None:
    shop(tmp_path, "order_id,customer,date", "{o}", "{c}", "{d}", name="orders.csv")
    shop(tmp_path, "order_id,sku,qty,price", "{o}", "s{p}", "2", "{p}", name="items.csv")
    with pytest.raises(
        SourceError, match=r"items\.csv: has money, and orders\.csv has customers and days \(in both: 'ord"
    ):
        propose(["orders.csv", "items.csv"], tmp_path)
    write(tmp_path, "people.csv", "customer,total_spent\n" + "".join(f"{n},{n}.5\n" for n in range(100, 130)))
    assert propose(["orders.csv", "people.csv"], tmp_path).customers is not None


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("http://host/a.csv", "http://host/a.csv: should begin with https://; of databases, bigquery, "),
        ("s3a://bucket/a", "s3a://bucket/a: should begin with s3://"),
        ("mongodb://me:hunter2@host/shop", "mongodb://host/shop: should begin with one of s3://"),
    ],
)
def test_a_url_that_is_not_read_is_told(path: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(SourceError) as told:
        propose([path], tmp_path)
    assert str(told.value).startswith(said)


def test_an_uncertain_encoding_is_asked_about_and_the_file_is_read_in_the_likeliest(tmp_path: Path) -> None:
    names = ("Jiří", "Dvořák", "Šťastný", "Čermák")
    rows = "".join(f"{names[n % 4]},{day(n)},{n % 5 + 1}.50\n" for n in range(ROWS))
    write(tmp_path, "bare.csv", rows, "windows-1250")
    write(tmp_path, "shop.csv", f"Zákazník,datum,amount\n{rows}", "windows-1250")
    proposal = propose(["shop.csv"], tmp_path)
    [asked_about] = proposal.transactions.questions
    assert asked_about.key == "encoding"
    assert asked_about.value.startswith("? in which encoding does the file read right: a line of it reads 'Zákazník")
    assert asked_about.value.endswith(" in windows-1250")
    assert proposal.transactions.mapping["customer_id"] == "Zákazník"
    bare = propose(["bare.csv"], tmp_path).transactions
    assert bare.names == ["column_1", "column_2", "column_3"]
    assert [entry.key for entry in bare.format] == ["encoding"]


@pytest.mark.parametrize(("one", "other"), [("€", "$"), ("Euro", "US Dollar"), ("EUR", "USD")])
def test_a_column_of_currencies_is_mapped_however_it_writes_them(one: str, other: str, tmp_path: Path) -> None:
    shop(tmp_path, "customer,date,amount,currency", "{c}", "{d}", "{p}", one)
    path = tmp_path / "shop.csv"
    path.write_text(path.read_text().replace(one, other, 20))
    proposal = propose(["shop.csv"], tmp_path)
    assert proposal.transactions.mapping["currency"] == "currency"
    assert proposal.report_in is not None
    assert f"{one.upper()} (40 rows), {other.upper()} (20 rows)" in proposal.report_in.value
    assert ("what the file calls it gets the rate 1" in proposal.report_in.value) is (one != "EUR")


def test_cents_are_asked_about(tmp_path: Path) -> None:
    proposal = shop(tmp_path, "customer,date,amount_cents", "{c}", "{d}", "{p}00")
    assert asked(proposal)["amount"] == (
        "? is amount_cents in hundredths? then {sql: '\"amount_cents\" / 100'}, else its name"
    )


def test_a_shop_without_money_has_no_amount(tmp_path: Path) -> None:
    proposal = shop(tmp_path, "customer,date", "{c}", "{d}")
    assert (asked(proposal), set(proposal.transactions.mapping)) == ({}, {"customer_id", "ordered_at"})


def test_cancelled_rows_are_out_and_an_unknown_status_is_asked_about(tmp_path: Path) -> None:
    text = shop(tmp_path, "customer,date,amount,status", "{c}", "{d}", "{p}", "Shipped")
    assert text.transactions.where is None
    path = tmp_path / "shop.csv"
    path.write_text(path.read_text().replace("Shipped", "Cancelled", 4))
    where = propose(["shop.csv"], tmp_path).transactions.where
    assert where is not None
    assert (where.value, where.why) == ("\"status\" not in ('Cancelled')", "rows by status: Shipped 56, Cancelled 4")
    path.write_text(path.read_text().replace("Shipped", "Disputed", 1))
    assert (
        asked(propose(["shop.csv"], tmp_path))["where"] == "? which rows count? status 'Disputed' may be revenue or not"
    )


def test_a_blank_status_is_asked_about(tmp_path: Path) -> None:
    shop(tmp_path, "customer,date,amount,status", "{c}", "{d}", "{p}", "paid")
    path = tmp_path / "shop.csv"
    path.write_text(path.read_text().replace("paid", "", 5).replace("paid", "cancelled", 4))
    where = propose(["shop.csv"], tmp_path).transactions.where
    assert where is not None
    assert where.value == "? which rows count? status blank may be revenue or not"
    example = '"status" is null or "status" not in (\'cancelled\')'
    assert where.why == f"rows by status: paid 51, cancelled 4, blank 5; for example {example}"


@pytest.mark.parametrize(
    ("name", "out", "counts"),
    [
        ("is_cancelled", "true", "false"),
        ("Refunded", "yes", "no"),
        ("test order", "1", "0"),
        ("Storniert", "ja", ""),
        ("cancelled_at", "2024-03-01 10:00:00", ""),
    ],
)
def test_rows_that_are_marked_as_cancelled_are_out(name: str, out: str, counts: str, tmp_path: Path) -> None:
    shop(tmp_path, f"customer,date,amount,{name},status", "{c}", "{d}", "{p}", f"<{counts}>", "paid")
    path = tmp_path / "shop.csv"
    text = path.read_text().replace(f"<{counts}>", out, 7).replace(f"<{counts}>", counts)
    path.write_text(text)
    where = propose(["shop.csv"], tmp_path).transactions.where
    assert where is not None
    assert name in where.why
    columns = {"customer_id": "customer", "ordered_at": "date", "amount": "amount"}
    loaded = load(tmp_path, columns, path="shop.csv", where=where.value).column("source_text")
    assert loaded == ["not selected"] * 7 + [None] * (ROWS - 7)
    path.write_text(text.replace("paid", "pending", 9))
    both = propose(["shop.csv"], tmp_path).transactions.where
    assert both is not None
    assert load(tmp_path, columns, path="shop.csv", where=both.value).column("source_text")[8:10] == [
        "not selected",
        None,
    ]


def test_a_question_about_decimals_is_answered_where_it_stands(tmp_path: Path) -> None:
    proposal = shop(tmp_path, "customer,date,amount", "{c}", "{d}", "1.2{p}")
    [decimal] = proposal.transactions.format
    assert (decimal.key, decimal.value) == (
        "decimal",
        "? numbers may have a decimal or a thousands separator: write '.' or ','",
    )


def test_a_date_format_that_the_loader_does_not_find_is_stated(tmp_path: Path) -> None:
    proposal = shop(tmp_path, "customer,date,amount", "{c}", '"Jan 2, 2024, 03:04:05 PM"', "{p}")
    assert [(entry.key, entry.value) for entry in proposal.transactions.format] == [
        ("date_formats", "%b %d, %Y, %I:%M:%S %p")
    ]


def test_transactions_customers_and_events_are_told_apart_in_a_folder(tmp_path: Path) -> None:
    shop(tmp_path, "customer,date,amount", "{c}", "{d}", "{p}", name="data/a.csv")
    shop(tmp_path, "customer,date,amount", "{c}", "{d}", "{p}.5", name="data/b.csv")
    write(tmp_path, "data/people.csv", "customer,age\n" + "".join(f"{n},{n % 40 + 20}\n" for n in range(100, 130)))
    shop(tmp_path, "customer,date,event", "{c}", "{d}", "visit{c}", name="data/log.csv")
    write(tmp_path, "data/notes.csv", "a,b\n1,2\n")
    proposal = propose(["data"], tmp_path)
    assert proposal.transactions.paths == ["data/a.csv", "data/b.csv"]
    assert proposal.customers is not None
    assert (proposal.customers.paths, proposal.customers.mapping) == (["data/people.csv"], {"customer_id": "customer"})
    assert proposal.events is not None
    assert proposal.events.mapping == {"customer_id": "customer", "occurred_at": "date", "event": "event"}
    assert proposal.left_out == ["data/notes.csv"]
    apart = propose(["data/[ab].csv", "data/people.csv"], tmp_path)
    assert apart.transactions.paths == ["data/[ab].csv"]


def test_a_folder_without_a_file_that_can_be_read_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "data/readme.pdf", "x")
    with pytest.raises(SourceError, match="data: is a folder without any file of a kind that is read"):
        propose(["data"], tmp_path)


def test_the_sheets_of_a_workbook_are_told_apart(tmp_path: Path) -> None:
    sales = [("customer", "date", "amount"), *((n % 7 + 100, day(n), n % 5 + 1.5) for n in range(ROWS))]
    people = [("customer", "city"), *((n, "Bern") for n in range(100, 107))]
    write_xlsx(tmp_path / "book.xlsx", {"Sales": sales, "People": people, "Notes": [("a",), ("b",)]})
    proposal = propose(["book.xlsx"], tmp_path)
    assert (proposal.transactions.paths, proposal.transactions.sheets) == (["book.xlsx"], ["Sales"])
    assert proposal.customers is not None
    assert proposal.customers.sheets == ["People"]
    assert proposal.left_out == ["book.xlsx#Notes"]


def test_a_file_without_a_header_is_read_so_and_its_columns_are_asked_about(tmp_path: Path) -> None:
    shop(tmp_path, "101,2024-05-05,17.50", "{c}", "{d}", "{p}.50")
    proposal = propose(["shop.csv"], tmp_path)
    assert proposal.transactions.names == ["column_1", "column_2", "column_3"]
    assert proposal.transactions.mapping == {"ordered_at": "column_2"}
    assert set(asked(proposal)) == {"customer_id", "amount"}


@pytest.mark.parametrize("value", ["?", "? which one"])
def test_settings_that_ask_are_refused_by_key(value: str) -> None:
    columns = {"customer_id": value, "ordered_at": "date", "amount": "amount"}
    with pytest.raises(ConfigError, match=r"source\.transactions\.columns\.customer_id is asked, and not answered"):
        Settings.from_mapping({"source": {"transactions": {"path": "x.csv", "columns": columns}}})
