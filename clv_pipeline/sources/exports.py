"""What well-known exports look like, and what their columns mean to us: data, no code that reads.

`guess` recognises an export by its columns and writes plain settings from here; nothing of it works behind the
settings. Each has a how-to with its formula, its statuses and their sources.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass

from clv_pipeline.database.sql_text import quote_identifier


@dataclass(frozen=True)
class Choice:
    """One way to fill one of our columns. The first way whose columns are there is taken."""

    ours: str
    theirs: str = ""
    sql: str = ""
    why: str = ""

    def fits(self, columns: Collection[str]) -> bool:
        """Whether the columns that it reads are there."""
        return ({self.theirs} if self.theirs else _named_in(self.sql)) <= set(columns)


@dataclass(frozen=True)
class Money:
    """The money of a row: a total, less other amounts, less the refunded share."""

    total: str
    minus: tuple[str, ...] = ()
    """Expressions; one whose columns are not there is left out."""
    refunded: str = ""
    """A column of what was paid back, tax and shipping included."""
    refunded_of: str = ""
    """The total that it was paid back of, where that is another column than `total`."""
    why: str = ""

    def fits(self, columns: Collection[str]) -> bool:
        """Whether the total is there."""
        return self.total in columns

    def sql(self, columns: Collection[str]) -> str:
        """The expression over the columns that are there; the bare name of the total if nothing is taken off."""
        total = quote_identifier(self.total)
        taken_off = [expression for expression in self.minus if _named_in(expression) <= set(columns)]
        money = " - ".join([total, *taken_off])
        whole = self.refunded_of or self.total
        if self.refunded not in columns or whole not in columns:
            return money if taken_off else self.total
        if taken_off:
            money = f"({money})"
        share = f"{quote_identifier(self.refunded)} / nullif({quote_identifier(whole)}, 0)"
        return f"{money} * (1 - coalesce({share}, 0))"


@dataclass(frozen=True)
class Statuses:
    """A column of statuses, and which of them are revenue."""

    column: str
    counts: tuple[str, ...]
    out: tuple[str, ...]
    """Those that are no revenue. A status that is neither is asked about."""


@dataclass(frozen=True)
class Condition:
    """A condition that rows of revenue meet; it is left out where a column of it is not there."""

    sql: str
    why: str

    def fits(self, columns: Collection[str]) -> bool:
        """Whether the columns that it reads are there."""
        return _named_in(self.sql) <= set(columns)


@dataclass(frozen=True)
class Export:
    """One export of one program."""

    name: str
    how_to: str
    """Its document in docs/how-to."""
    known_by: frozenset[str]
    """Columns that it has."""
    and_some_of: frozenset[str]
    """Columns of which it has two or more."""
    choices: tuple[Choice, ...]
    money: tuple[Money, ...]
    statuses: tuple[Statuses, ...] = ()
    conditions: tuple[Condition, ...] = ()
    without_customer: str = ""
    """What to do where no column tells the customer."""
    returns: str = "drop"
    returns_why: str = "or net: a negative amount is taken off the purchase that it belongs to"
    line_id: str = ""
    """A column that tells two equal lines of an order apart; '' if each order is one row."""
    is_by_line: bool = False
    """Whether an order may have several rows that count."""

    def matches(self, columns: Collection[str]) -> bool:
        """Whether a file with these columns is this export."""
        return self.known_by <= set(columns) and len(self.and_some_of & set(columns)) >= min(2, len(self.and_some_of))


def _named_in(sql: str) -> set[str]:
    return {name.replace('""', '"') for name in re.findall(r'"((?:[^"]|"")*)"', sql)}


_LOWER_EMAIL = "e-mails are compared without spaces around and in lower case"

SHOPIFY = Export(
    name="Shopify orders",
    how_to="shopify.md",
    known_by=frozenset({"Name", "Financial Status", "Created at", "Total", "Lineitem price"}),
    and_some_of=frozenset({"Email", "Subtotal", "Taxes", "Lineitem quantity", "Lineitem name", "Lineitem sku"}),
    choices=(
        Choice("customer_id", sql='lower(trim("Email"))', why=_LOWER_EMAIL),
        Choice("order_id", "Name"),
        Choice("ordered_at", "Created at", why="when the order was placed, in the shop's time"),
        Choice("country", "Shipping Country"),
        Choice("currency", "Currency"),
        Choice("status", "Financial Status", why="an attribute: it tells why a row was rejected"),
    ),
    money=(
        Money(
            "Total",
            minus=('coalesce("Shipping", 0)', 'coalesce("Taxes", 0)'),
            refunded="Refunded Amount",
            why="the order after discounts, without shipping and taxes, less the share that was paid back; an order's"
            " money stands on its first line only",
        ),
    ),
    statuses=(
        Statuses(
            "Financial Status",
            counts=("paid", "partially_paid", "partially_refunded"),
            out=("pending", "authorized", "voided", "refunded", "expired", "unpaid"),
        ),
    ),
    conditions=(
        Condition('"Cancelled at" is null', "cancelled orders are out"),
        Condition("lower(coalesce(\"Payment Method\", '')) not like '%bogus%'", "orders of the test gateway are out"),
    ),
    without_customer="export the orders with the column Email",
)

_WOO_OUT = ("pending", "on-hold", "cancelled", "refunded", "failed", "checkout-draft", "draft", "trash", "auto-draft")
_WOO_STATUSES = tuple(
    Statuses(
        column,
        counts=("completed", "processing", "wc-completed", "wc-processing"),
        out=(*_WOO_OUT, *(f"wc-{status}" for status in _WOO_OUT)),
    )
    for column in ("order_status", "status")
)
_WOO_CHOICES = (
    Choice("customer_id", sql='lower(trim("billing_email"))', why=f"guests have no id of their own; {_LOWER_EMAIL}"),
    Choice("customer_id", sql='lower(trim("customer_email"))', why=f"guests have no id of their own; {_LOWER_EMAIL}"),
    Choice(
        "customer_id", sql="nullif(\"customer_id\", '0')", why="0 stands for every guest, so guests are no customer"
    ),
    Choice("order_id", "order_id"),
    Choice("ordered_at", "order_date"),
)
_WOO_REST = (
    Choice("country", "billing_country"),
    Choice("currency", "order_currency"),
    Choice("status", "order_status", why="an attribute: it tells why a row was rejected"),
    Choice("status", "status", why="an attribute: it tells why a row was rejected"),
)
_WOO_FIELDS = frozenset(
    {
        *("billing_email", "shipping_total", "tax_total", "refunded_total", "discount_total", "order_currency"),
        *("payment_method", "customer_note", "billing_first_name", "cart_discount", "order_number_formatted"),
        *("shipping_tax_total", "fee_total", "billing_country", "customer_id", "status", "order_status"),
    }
)

WOOCOMMERCE_ITEMS = Export(
    name="WooCommerce orders, one row per item",
    how_to="woocommerce.md",
    known_by=frozenset({"order_id", "order_date", "item_total"}),
    and_some_of=_WOO_FIELDS,
    choices=(
        *_WOO_CHOICES,
        Choice("product_id", "item_sku"),
        Choice("product_id", "item_product_id"),
        Choice("product_id", "item_name"),
        Choice("quantity", "item_quantity"),
        *_WOO_REST,
    ),
    money=(
        Money(
            "item_total",
            minus=('coalesce("item_refunded", 0)',),
            why="the line after discounts, without tax and shipping, less what was paid back of it",
        ),
    ),
    statuses=_WOO_STATUSES,
    without_customer="export the column billing_email",
    line_id="item_id",
    is_by_line=True,
)

WOOCOMMERCE = Export(
    name="WooCommerce orders",
    how_to="woocommerce.md",
    known_by=frozenset({"order_id", "order_date", "order_total"}),
    and_some_of=_WOO_FIELDS,
    choices=(*_WOO_CHOICES, *_WOO_REST),
    money=(
        Money(
            "order_total",
            minus=('coalesce("shipping_total", 0)', 'coalesce("tax_total", 0)'),
            refunded="refunded_total",
            why="the order after discounts, without shipping and tax, less the share that was paid back",
        ),
    ),
    statuses=_WOO_STATUSES,
    without_customer="export the column billing_email",
)

STRIPE_PAYMENTS = Export(
    name="Stripe payments",
    how_to="stripe.md",
    known_by=frozenset({"id", "Amount", "Amount Refunded", "Currency", "Status"}),
    and_some_of=frozenset({"Customer ID", "Customer Email", "Captured", "Fee", "Converted Amount", "Seller Message"}),
    choices=(
        Choice(
            "customer_id",
            sql='coalesce(lower(trim("Customer Email")), "Customer ID")',
            why=f"one person may have several customer ids; {_LOWER_EMAIL}",
        ),
        Choice("customer_id", "Customer ID"),
        Choice("customer_id", sql='lower(trim("Customer Email"))', why=_LOWER_EMAIL),
        Choice("order_id", "id"),
        Choice("ordered_at", "Created date (UTC)"),
        Choice("ordered_at", "Created (UTC)"),
        Choice("country", "Card Issue Country"),
        Choice("currency", "Converted Currency"),
        Choice("currency", "Currency"),
        Choice("status", "Status", why="an attribute: it tells why a row was rejected"),
    ),
    money=(
        Money(
            "Converted Amount",
            minus=('coalesce("Converted Amount Refunded", 0)',),
            why="what the payment was worth in the currency of the account, less what was paid back",
        ),
        Money(
            "Amount", minus=('coalesce("Amount Refunded", 0)',), why="what the customer paid, less what was paid back"
        ),
    ),
    statuses=(
        Statuses(
            "Status",
            counts=("paid", "succeeded", "partial refund", "partially refunded"),
            out=(
                *(
                    "refunded",
                    "failed",
                    "pending",
                    "canceled",
                    "cancelled",
                    "uncaptured",
                    "blocked",
                    "disputed",
                    "early",
                ),
                *(
                    "requires_payment_method",
                    "requires_action",
                    "requires_confirmation",
                    "requires_capture",
                    "incomplete",
                ),
            ),
        ),
    ),
    conditions=(
        Condition("lower(\"Captured\") = 'true'", "an authorization that was not captured is out"),
        Condition("lower(coalesce(\"Mode\", 'live')) <> 'test'", "payments of the test mode are out"),
        Condition("lower(coalesce(\"Dispute Status\", '')) <> 'lost'", "payments lost in a dispute are out"),
    ),
    without_customer="export the payments with the columns Customer ID and Customer Email",
)

_BALANCE_COUNTS = (
    *("charge", "refund", "dispute", "dispute_reversal", "partial_capture_reversal"),
    *("charge_failure", "refund_failure"),
)
STRIPE_BALANCE = Export(
    name="Stripe balance change from activity, itemized",
    how_to="stripe.md",
    known_by=frozenset({"balance_transaction_id", "reporting_category", "gross", "currency"}),
    and_some_of=frozenset({"created", "created_utc", "fee", "net", "description", "source_id"}),
    choices=(
        Choice(
            "customer_id",
            sql='coalesce(lower(trim("customer_email")), "customer_id")',
            why=f"one person may have several customer ids; {_LOWER_EMAIL}",
        ),
        Choice("customer_id", "customer_id"),
        Choice("customer_id", sql='lower(trim("customer_email"))', why=_LOWER_EMAIL),
        Choice("order_id", "payment_intent_id"),
        Choice("order_id", "charge_id"),
        Choice("order_id", "source_id"),
        Choice("ordered_at", "created"),
        Choice("ordered_at", "created_utc"),
        Choice("currency", "currency"),
        Choice("category", "reporting_category", why="an attribute: it tells why a row was rejected"),
    ),
    money=(Money("gross", why="before Stripe's fees; refunds and disputes are negative"),),
    statuses=(
        Statuses(
            "reporting_category",
            counts=_BALANCE_COUNTS,
            out=(
                *("payout", "payout_reversal", "payout_minimum_balance_hold", "payout_minimum_balance_release"),
                *("fee", "transfer", "transfer_reversal", "topup", "topup_reversal", "advance", "advance_funding"),
                *("platform_earning", "platform_earning_refund", "network_cost", "tax", "climate_order_purchase"),
                *("connect_collection_transfer", "connect_reserved_funds", "risk_reserved_funds", "contribution"),
                *("other_adjustment", "financing_paydown", "financing_paydown_reversal", "financing_payout"),
                *("issuing_authorization_hold", "issuing_authorization_release", "issuing_transaction", "unreconciled"),
            ),
        ),
    ),
    without_customer="download the report with the columns customer_id and customer_email",
    returns="net",
    returns_why="refunds and disputes are rows of their own, on their own day",
    line_id="balance_transaction_id",
    is_by_line=True,
)

MAGENTO = Export(
    name="Magento (Adobe Commerce) order grid",
    how_to="magento.md",
    known_by=frozenset({"ID", "Purchase Date", "Grand Total (Base)", "Status"}),
    and_some_of=frozenset(
        {"Purchase Point", "Bill-to Name", "Ship-to Name", "Grand Total (Purchased)", "Customer Email"}
    ),
    choices=(
        Choice("customer_id", sql='lower(trim("Customer Email"))', why=_LOWER_EMAIL),
        Choice("order_id", "ID"),
        Choice("ordered_at", "Purchase Date"),
        Choice("status", "Status", why="an attribute: it tells why a row was rejected"),
    ),
    money=(
        Money(
            "Grand Total (Base)",
            minus=('coalesce("Shipping and Handling", 0)',),
            refunded="Total Refunded",
            refunded_of="Grand Total (Purchased)",
            why="the order after discounts, without shipping, less the share that was paid back; the grid does not tell"
            " the tax apart",
        ),
    ),
    statuses=(
        Statuses(
            "Status",
            counts=("complete", "processing"),
            out=(
                *(
                    "pending",
                    "pending payment",
                    "pending_payment",
                    "pending paypal",
                    "pending_paypal",
                    "on hold",
                    "holded",
                ),
                *("canceled", "closed", "suspected fraud", "fraud", "payment review", "payment_review"),
                *(
                    "paypal reversed",
                    "paypal_reversed",
                    "paypal canceled reversal",
                    "paypal_canceled_reversal",
                    "rejected",
                ),
            ),
        ),
    ),
    without_customer="show the column Customer Email in the grid and export again; Bill-to Name would take two people"
    " of one name for one customer",
)

SQUARE = Export(
    name="Square items",
    how_to="square.md",
    known_by=frozenset({"Date", "Time", "Item", "Net Sales", "Transaction ID"}),
    and_some_of=frozenset({"Gross Sales", "Discounts", "Price Point Name", "Event Type", "Modifiers Applied"}),
    choices=(
        Choice(
            "customer_id", "Customer ID", why="blank where nobody was recognised: these rows are counted as no customer"
        ),
        Choice("customer_id", "Customer Reference ID"),
        Choice("order_id", "Transaction ID"),
        Choice("ordered_at", sql='"Date" || \' \' || "Time"'),
        Choice("product_id", "SKU"),
        Choice("product_id", "Item"),
        Choice("quantity", "Qty"),
        Choice("event", "Event Type", why="an attribute: Payment or Refund"),
    ),
    money=(Money("Net Sales", why="after discounts, without tax and tips; refunds are negative"),),
    statuses=(Statuses("Event Type", counts=("payment", "refund"), out=("cancel", "canceled", "void", "no sale")),),
    without_customer="download the items with the column Customer ID",
    returns="net",
    returns_why="refunds are rows of their own, on their own day",
    is_by_line=True,
)

AMAZON = Export(
    name="Amazon orders",
    how_to="amazon.md",
    known_by=frozenset({"purchase-date", "sku", "item-price", "currency"}),
    and_some_of=frozenset({"amazon-order-id", "order-id", "item-tax", "product-name", "shipping-price", "buyer-email"}),
    choices=(
        Choice(
            "customer_id", sql='lower(trim("buyer-email"))', why=f"Amazon gives each buyer an address; {_LOWER_EMAIL}"
        ),
        Choice("order_id", "amazon-order-id"),
        Choice("order_id", "order-id"),
        Choice("ordered_at", "purchase-date"),
        Choice("product_id", "sku"),
        Choice("quantity", "quantity"),
        Choice("quantity", "quantity-purchased"),
        Choice("quantity", "quantity-shipped"),
        Choice("country", "ship-country"),
        Choice("currency", "currency"),
        Choice("status", "order-status", why="an attribute: it tells why a row was rejected"),
    ),
    money=(
        Money(
            "item-price",
            minus=('abs(coalesce("item-promotion-discount", 0))',),
            why="all pieces of the line, less the promotion; shipping and item-tax stand apart and are not added",
        ),
    ),
    statuses=tuple(
        Statuses(
            column,
            counts=(
                *("shipped", "unshipped", "partiallyshipped", "shipping", "complete", "invoiceunconfirmed"),
                *("shipped - delivered to buyer", "shipped - picked up", "shipped - out for delivery"),
            ),
            out=(
                *(
                    "cancelled",
                    "canceled",
                    "pending",
                    "pendingavailability",
                    "unfulfillable",
                    "pending - waiting for pick up",
                ),
                *("shipped - returned to seller", "shipped - returning to seller", "shipped - rejected by buyer"),
                *("shipped - lost in transit", "shipped - damaged", "shipped - undeliverable"),
            ),
        )
        for column in ("order-status", "item-status")
    ),
    without_customer="this report names no buyer: take the Amazon Fulfilled Shipments report or the Order Report, which"
    " have buyer-email, or name a column that tells your buyers apart",
    line_id="order-item-id",
    is_by_line=True,
)

EXPORTS = (SHOPIFY, WOOCOMMERCE_ITEMS, WOOCOMMERCE, STRIPE_PAYMENTS, STRIPE_BALANCE, MAGENTO, SQUARE, AMAZON)


def export_of(columns: Collection[str]) -> Export | None:
    """The export that a file with these columns is, or None."""
    return next((export for export in EXPORTS if export.matches(columns)), None)
