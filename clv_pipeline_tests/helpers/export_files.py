"""Made-up export files of well-known programs, with all their statuses, and what their how-to says they are worth.

The orders are made once; each export writes them in its own columns. The worth is computed with pandas from the file
itself, as the how-to's formula says, so that it is independent of the pipeline.
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

ORDERS = 3_200
PEOPLE = 450
FIRST = datetime(2023, 1, 2, 8, 0, 0)
DAYS = 540
PRODUCTS = [(f"SKU-{number:03d}", f"Item {number}", 4.90 + 3.35 * number) for number in range(1, 41)]

Row = dict[str, Any]


@dataclass(frozen=True)
class Item:
    """A line of an order; money in cents."""

    sku: str
    name: str
    quantity: int
    price: int
    discount: int
    tax: int

    @property
    def net(self) -> int:
        return self.quantity * self.price - self.discount


@dataclass
class Order:
    """An order; money in cents."""

    number: int
    at: datetime
    email: str
    customer: int
    """0 for a guest."""
    country: str
    state: str
    """paid, pending, failed, cancelled, voided, refunded or partly: refunded in part."""
    is_test: bool
    currency: str
    items: list[Item]
    shipping: int
    refunds: list[tuple[datetime, int]] = field(default_factory=list)
    """When, and how much, tax and shipping included."""

    @property
    def net(self) -> int:
        return sum(item.net for item in self.items)

    @property
    def tax(self) -> int:
        return sum(item.tax for item in self.items) + self.shipping // 5

    @property
    def discount(self) -> int:
        return sum(item.discount for item in self.items)

    @property
    def total(self) -> int:
        return self.net + self.tax + self.shipping

    @property
    def refunded(self) -> int:
        return sum(amount for _, amount in self.refunds)


STATES = {
    "paid": 0.8,
    "pending": 0.03,
    "failed": 0.03,
    "cancelled": 0.03,
    "voided": 0.02,
    "refunded": 0.04,
    "partly": 0.05,
}


def make_orders(orders: int = ORDERS, seed: int = 7) -> list[Order]:
    """Orders of people who come back at rates of their own, in the order of time."""
    rng = np.random.default_rng(seed)
    rates = rng.gamma(0.9, 1.0, PEOPLE)
    people = rng.choice(PEOPLE, orders, p=rates / rates.sum())
    seconds = np.sort(rng.integers(0, DAYS * 86_400, orders))
    states = rng.choice(list(STATES), orders, p=list(STATES.values()))
    made = []
    for number in range(orders):
        person = int(people[number])
        email = f"person{person}@example.com"
        if rng.random() < 0.05:
            email = f" {email.upper()}"
        items = []
        for at in rng.choice(len(PRODUCTS), rng.choice([1, 2, 3, 4], p=[0.5, 0.3, 0.15, 0.05]), replace=False):
            sku, name, price = PRODUCTS[int(at)]
            quantity = int(rng.integers(1, 4))
            worth = quantity * round(price * 100)
            discount = round(worth * 0.15) if rng.random() < 0.2 else 0
            items.append(Item(sku, name, quantity, round(price * 100), discount, round((worth - discount) * 0.2)))
        at_time = FIRST + timedelta(seconds=int(seconds[number]))
        order = Order(
            number=1001 + number,
            at=at_time,
            email=email,
            customer=0 if person % 9 == 0 else 5000 + person,
            country=("DE", "FR", "US")[person % 3],
            state=str(states[number]),
            is_test=bool(rng.random() < 0.01),
            currency="usd" if person % 4 == 0 else "eur",
            items=items,
            shipping=0 if rng.random() < 0.4 else 495,
        )
        later = at_time + timedelta(days=int(rng.integers(0, 20)), hours=1)
        if order.state == "refunded":
            order.refunds.append((later, order.total))
        elif order.state == "partly":
            order.refunds.append((later, round(order.total * float(rng.uniform(0.1, 0.7)))))
        made.append(order)
    return made


def money(cents: float) -> str:
    return f"{cents / 100:.2f}"


def write_csv(path: Path, rows: list[Row], delimiter: str = ",") -> Path:
    """The rows under the names of the first one; what a later row lacks is empty."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), restval="", delimiter=delimiter, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return path


@dataclass(frozen=True)
class Worth:
    """What a file is worth: the money of each customer, and of the rows that do not count, by reason."""

    customers: dict[str, float]
    rejected: dict[str, tuple[int, float]]
    """Rows and money by reason."""

    @property
    def revenue(self) -> float:
        return sum(self.customers.values())


def worth(
    frame: pd.DataFrame, customer: pd.Series, amount: pd.Series, counts: pd.Series, *, returns: str = "drop"
) -> Worth:
    """Adds up a frame by the rules that cleaning has for every source."""
    rows = pd.DataFrame({"customer": customer, "amount": amount.round(4), "counts": counts.fillna(False).astype(bool)})
    assert len(rows) == len(frame)
    rows["reason"] = "kept"
    rows.loc[(rows["amount"] == 0) | ((rows["amount"] < 0) & (returns == "drop")), "reason"] = "non-positive amount"
    rows.loc[rows["customer"].isna(), "reason"] = "no customer"
    rows.loc[~rows["counts"], "reason"] = "not selected"
    kept = rows[rows["reason"] == "kept"]
    rejected = rows[rows["reason"] != "kept"].groupby("reason")["amount"].agg(["size", "sum"])
    return Worth(
        {str(name): float(total) for name, total in kept.groupby("customer")["amount"].sum().items()},
        {str(reason): (int(size), float(total)) for reason, (size, total) in rejected.T.items()},
    )


def read(path: Path, **options: Any) -> pd.DataFrame:
    frame: pd.DataFrame = pd.read_csv(path, dtype=str, keep_default_na=False, na_values=[""], **options)
    return frame


def numbers(frame: pd.DataFrame, name: str) -> pd.Series:
    return pd.to_numeric(frame[name])


def email_of(column: pd.Series) -> pd.Series:
    return column.str.strip().str.lower()


# --- Shopify ---

_SHOPIFY = {
    "paid": "paid",
    "pending": "pending",
    "failed": "expired",
    "cancelled": "paid",
    "voided": "voided",
    "refunded": "refunded",
    "partly": "partially_refunded",
}


def shopify(folder: Path, orders: list[Order]) -> Path:
    rows = []
    for order in orders:
        at = f"{order.at:%Y-%m-%d %H:%M:%S} +0200"
        for position, item in enumerate(order.items):
            head = {
                "Name": f"#{order.number}",
                "Email": order.email,
                "Financial Status": _SHOPIFY[order.state],
                "Paid at": at if order.state in ("paid", "refunded", "partly") else "",
                "Fulfillment Status": "fulfilled",
                "Currency": "EUR",
                "Subtotal": money(order.net),
                "Shipping": money(order.shipping),
                "Taxes": money(order.tax),
                "Total": money(order.total),
                "Discount Code": "SPRING" if order.discount else "",
                "Discount Amount": money(order.discount),
                "Created at": at,
            }
            line = {
                "Lineitem quantity": item.quantity,
                "Lineitem name": item.name,
                "Lineitem price": money(item.price),
                "Lineitem sku": item.sku,
            }
            tail = {
                "Shipping Country": order.country,
                "Cancelled at": at if order.state == "cancelled" else "",
                "Payment Method": "bogus" if order.is_test else "Shopify Payments",
                "Refunded Amount": money(order.refunded),
                "Id": 4_000_000 + order.number,
            }
            # Only the order's first line states what holds for all of it; Name and Email stand on each.
            rest = {"Name": head["Name"], "Email": head["Email"]}
            rows.append({**head, **line, **tail} if position == 0 else {**dict.fromkeys(head, ""), **rest, **line})
    return write_csv(folder / "orders_export.csv", rows)


def shopify_worth(path: Path) -> Worth:
    frame = read(path)
    total = numbers(frame, "Total")
    net = total - numbers(frame, "Shipping") - numbers(frame, "Taxes")
    counts = (
        frame["Financial Status"].isin(["paid", "partially_paid", "partially_refunded"])
        & frame["Cancelled at"].isna()
        & (frame["Payment Method"] != "bogus")
    )
    return worth(frame, email_of(frame["Email"]), net * (1 - numbers(frame, "Refunded Amount") / total), counts)


# --- WooCommerce ---

_WOO = {
    "paid": "completed",
    "pending": "pending",
    "failed": "failed",
    "cancelled": "cancelled",
    "voided": "on-hold",
    "refunded": "refunded",
    "partly": "processing",
}


def _woo_order(order: Order) -> Row:
    return {
        "order_id": order.number,
        "order_number": order.number,
        "order_date": f"{order.at:%Y-%m-%d %H:%M:%S}",
        "status": "checkout-draft" if order.is_test else _WOO[order.state],
        "shipping_total": money(order.shipping),
        "shipping_tax_total": money(order.shipping // 5),
        "fee_total": "0.00",
        "tax_total": money(order.tax),
        "discount_total": money(order.discount),
        "order_total": money(order.total),
        "refunded_total": money(order.refunded),
        "order_currency": "EUR",
        "payment_method": "bacs",
        "customer_id": order.customer,
        "billing_first_name": "A",
        "billing_email": order.email,
        "billing_country": order.country,
    }


def woocommerce(folder: Path, orders: list[Order]) -> Path:
    return write_csv(folder / "woo_orders.csv", [_woo_order(order) for order in orders])


def woocommerce_worth(path: Path) -> Worth:
    frame = read(path)
    total = numbers(frame, "order_total")
    net = total - numbers(frame, "shipping_total") - numbers(frame, "tax_total")
    share = 1 - numbers(frame, "refunded_total") / total
    return worth(
        frame, email_of(frame["billing_email"]), net * share, frame["status"].isin(["completed", "processing"])
    )


def woocommerce_items(folder: Path, orders: list[Order]) -> Path:
    rows = []
    for order in orders:
        share = order.refunded / order.total
        for position, item in enumerate(order.items):
            line = {
                "item_id": order.number * 10 + position,
                "item_product_id": item.sku.removeprefix("SKU-"),
                "item_name": item.name,
                "item_sku": item.sku,
                "item_quantity": item.quantity,
                "item_subtotal": money(item.quantity * item.price),
                "item_total": money(item.net),
                "item_total_tax": money(item.tax),
                "item_refunded": money(round(item.net * share)),
            }
            rows.append({**_woo_order(order), **line})
    return write_csv(folder / "woo_items.csv", rows)


def woocommerce_items_worth(path: Path) -> Worth:
    frame = read(path)
    amount = numbers(frame, "item_total") - numbers(frame, "item_refunded")
    return worth(frame, email_of(frame["billing_email"]), amount, frame["status"].isin(["completed", "processing"]))


# --- Stripe ---

_STRIPE = {
    "paid": "Paid",
    "pending": "requires_action",
    "failed": "Failed",
    "cancelled": "canceled",
    "voided": "Paid",
    "refunded": "Refunded",
    "partly": "Paid",
}
RATE = 0.92
"""Euros for a dollar."""


def stripe(folder: Path, orders: list[Order]) -> Path:
    rows = []
    for order in orders:
        failed = order.state in ("failed", "pending", "cancelled")
        rate = RATE if order.currency == "usd" else 1
        rows.append(
            {
                "id": f"ch_{order.number}",
                "Created date (UTC)": f"{order.at:%Y-%m-%d %H:%M:%S}",
                "Amount": money(order.total),
                "Amount Refunded": money(order.refunded),
                "Currency": order.currency,
                "Captured": "false" if failed or order.state == "voided" else "true",
                "Converted Amount": "" if failed else money(round(order.total * rate)),
                "Converted Amount Refunded": "" if failed else money(round(order.refunded * rate)),
                "Converted Currency": "" if failed else "eur",
                "Decline Reason": "card_declined" if order.state == "failed" else "",
                "Description": f"Order {order.number}",
                "Fee": money(round(order.total * 0.015) + 25),
                "Mode": "Test" if order.is_test else "Live",
                "Status": _STRIPE[order.state],
                "Customer ID": f"cus_{order.customer}" if order.customer else "",
                "Customer Email": order.email if order.number % 50 else "",
                "Invoice ID": "",
            }
        )
    return write_csv(folder / "unified_payments.csv", rows)


def stripe_worth(path: Path) -> Worth:
    frame = read(path)
    amount = numbers(frame, "Converted Amount") - numbers(frame, "Converted Amount Refunded")
    customer = email_of(frame["Customer Email"]).fillna(frame["Customer ID"])
    counts = (
        frame["Status"].str.lower().isin(["paid", "succeeded"])
        & (frame["Captured"] == "true")
        & (frame["Mode"] != "Test")
    )
    return worth(frame, customer, amount, counts)


def stripe_balance(folder: Path, orders: list[Order]) -> Path:
    rows: list[Row] = []

    def add(order: Order, kind: str, at: datetime, cents: int) -> None:
        rows.append(
            {
                "balance_transaction_id": f"txn_{len(rows)}",
                "created_utc": f"{at:%Y-%m-%d %H:%M:%S}",
                "created": f"{at + timedelta(hours=1):%Y-%m-%d %H:%M:%S}",
                "currency": "eur",
                "gross": money(cents),
                "fee": money(25 if kind == "charge" else 0),
                "net": money(cents - (25 if kind == "charge" else 0)),
                "reporting_category": kind,
                "source_id": f"src_{len(rows)}",
                "description": f"Order {order.number}" if kind in ("charge", "refund") else kind,
                "customer_id": f"cus_{order.customer}" if order.customer and kind in ("charge", "refund") else "",
                "customer_email": order.email if kind in ("charge", "refund") else "",
                "charge_id": f"ch_{order.number}" if kind in ("charge", "refund") else "",
                "payment_intent_id": f"pi_{order.number}" if kind in ("charge", "refund") else "",
            }
        )

    for order in orders:
        if order.state in ("paid", "refunded", "partly"):
            add(order, "charge", order.at, order.total)
            for at, cents in order.refunds:
                add(order, "refund", at, -cents)
        if order.number % 100 == 0:
            add(order, "payout", order.at, -100_000)
            add(order, "fee", order.at, -199)
    rows.sort(key=lambda row: row["created"])
    return write_csv(folder / "itemized_balance.csv", rows)


def stripe_balance_worth(path: Path) -> Worth:
    frame = read(path)
    customer = email_of(frame["customer_email"]).fillna(frame["customer_id"])
    counts = frame["reporting_category"].isin(["charge", "refund", "dispute", "dispute_reversal"])
    return worth(frame, customer, numbers(frame, "gross"), counts, returns="net")


# --- Magento, Square, Amazon ---

_MAGENTO = {
    "paid": "Complete",
    "pending": "Pending",
    "failed": "Suspected Fraud",
    "cancelled": "Canceled",
    "voided": "On Hold",
    "refunded": "Closed",
    "partly": "Processing",
}


def magento(folder: Path, orders: list[Order]) -> Path:
    rows = [
        {
            "ID": f"{order.number:09d}",
            "Purchase Point": "Main Website",
            "Purchase Date": f"{order.at:%b} {order.at.day}, {order.at:%Y %I:%M:%S %p}",
            "Bill-to Name": f"Person {order.customer}",
            "Ship-to Name": f"Person {order.customer}",
            "Grand Total (Base)": f"{order.total / 100:.4f}",
            "Grand Total (Purchased)": f"{order.total / 100:.4f}",
            "Status": _MAGENTO[order.state],
            "Customer Email": order.email,
            "Customer Group": "General" if order.customer else "NOT LOGGED IN",
            "Subtotal": f"{(order.net + order.discount) / 100:.4f}",
            "Shipping and Handling": f"{order.shipping / 100:.4f}",
            "Total Refunded": f"{order.refunded / 100:.4f}" if order.refunded else "",
        }
        for order in orders
    ]
    return write_csv(folder / "magento.csv", rows)


def magento_worth(path: Path) -> Worth:
    frame = read(path)
    total = numbers(frame, "Grand Total (Base)")
    refunded = numbers(frame, "Total Refunded").fillna(0)
    amount = (total - numbers(frame, "Shipping and Handling")) * (
        1 - refunded / numbers(frame, "Grand Total (Purchased)")
    )
    return worth(frame, email_of(frame["Customer Email"]), amount, frame["Status"].isin(["Complete", "Processing"]))


def square(folder: Path, orders: list[Order]) -> Path:
    def signed(cents: int) -> str:
        return f"{'-' if cents < 0 else ''}${abs(cents) / 100:,.2f}"

    rows = []
    for order in orders:
        if order.state not in ("paid", "refunded", "partly"):
            continue
        share = order.refunded / order.total
        events = [("Payment", order.at, 1.0), *(("Refund", at, -share) for at, _ in order.refunds)]
        for event, at, sign in events:
            rows += [
                {
                    "Date": f"{at:%Y-%m-%d}",
                    "Time": f"{at:%H:%M:%S}",
                    "Time Zone": "Eastern Time (US & Canada)",
                    "Category": "Shop",
                    "Item": item.name,
                    "Qty": f"{item.quantity if sign > 0 else -item.quantity}.0",
                    "Price Point Name": "Regular",
                    "SKU": item.sku,
                    "Modifiers Applied": "",
                    "Gross Sales": signed(round(sign * item.quantity * item.price)),
                    "Discounts": signed(-round(sign * item.discount)),
                    "Net Sales": signed(round(sign * item.net)),
                    "Tax": signed(round(sign * item.tax)),
                    "Transaction ID": f"T{order.number}",
                    "Payment ID": f"P{order.number}",
                    "Event Type": event,
                    "Location": "Main",
                    "Customer ID": f"C{order.customer}" if order.customer else "",
                    "Customer Name": "",
                    "Customer Reference ID": "",
                }
                for item in order.items
            ]
    rows.sort(key=lambda row: (row["Date"], row["Time"]))
    return write_csv(folder / "square_items.csv", rows)


def square_worth(path: Path) -> Worth:
    frame = read(path)
    amount = pd.to_numeric(frame["Net Sales"].str.replace("[$,]", "", regex=True))
    return worth(frame, frame["Customer ID"], amount, frame["Event Type"].isin(["Payment", "Refund"]), returns="net")


_AMAZON = {
    "paid": "Shipped",
    "pending": "Pending",
    "failed": "Cancelled",
    "cancelled": "Cancelled",
    "voided": "Cancelled",
    "refunded": "Shipped - Returned to Seller",
    "partly": "Shipped - Delivered to Buyer",
}


def amazon(folder: Path, orders: list[Order]) -> Path:
    rows = []
    for order in orders:
        rows += [
            {
                "amazon-order-id": f"305-{order.number:07d}-0000000",
                "purchase-date": f"{order.at:%Y-%m-%dT%H:%M:%S}+00:00",
                "last-updated-date": f"{order.at + timedelta(days=3):%Y-%m-%dT%H:%M:%S}+00:00",
                "order-status": _AMAZON[order.state],
                "fulfillment-channel": "Amazon",
                "sales-channel": "Amazon.de",
                "buyer-email": f"b{order.email.strip().lower().split('@')[0]}@marketplace.amazon.de",
                "product-name": item.name,
                "sku": item.sku,
                "asin": f"B0{item.sku[4:]}",
                "item-status": "Shipped",
                "quantity": item.quantity,
                "currency": "EUR",
                "item-price": money(item.quantity * item.price) if order.state != "pending" else "",
                "item-tax": money(item.tax),
                "shipping-price": money(order.shipping),
                "item-promotion-discount": money(item.discount) if item.discount else "",
                "ship-country": order.country,
            }
            for item in order.items
        ]
    return write_csv(folder / "amazon_orders.txt", rows, delimiter="\t")


def amazon_worth(path: Path) -> Worth:
    frame = read(path, sep="\t")
    amount = numbers(frame, "item-price") - numbers(frame, "item-promotion-discount").abs().fillna(0)
    counts = frame["order-status"].isin(["Shipped", "Shipped - Delivered to Buyer"])
    return worth(frame, email_of(frame["buyer-email"]), amount, counts)


@dataclass(frozen=True)
class Made:
    """How an export is made, and what a file of it is worth by its how-to."""

    write: Callable[[Path, list[Order]], Path]
    worth: Callable[[Path], Worth]


EXPORTS = {
    "shopify": Made(shopify, shopify_worth),
    "woocommerce": Made(woocommerce, woocommerce_worth),
    "woocommerce_items": Made(woocommerce_items, woocommerce_items_worth),
    "stripe": Made(stripe, stripe_worth),
    "stripe_balance": Made(stripe_balance, stripe_balance_worth),
    "magento": Made(magento, magento_worth),
    "square": Made(square, square_worth),
    "amazon": Made(amazon, amazon_worth),
}
