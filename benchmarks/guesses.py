"""What `clv init` proposes for real shops that it does not know, beside what their columns mean.

CDNOW comes with a package. The other shops are in the folder that CLV_SHOPS names; one that is absent is left out with
the reason. Writes the block `guesses` of docs/how-to/your-own-data.md, and fails if a guess is wrong: right or asked.

Run: CLV_SHOPS=folder python -m benchmarks.guesses (`make guesses`); a minute
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from benchmarks.generated_blocks import replace_block
from clv_pipeline.sources.guess import propose
from clv_pipeline.sources.proposal import Proposal

DOCUMENT = Path("docs/how-to/your-own-data.md")


@dataclass(frozen=True)
class Shop:
    """Files, and what their columns mean."""

    name: str
    files: tuple[str, ...]
    meaning: dict[str, str]
    """Ours: theirs. What is not here should not be mapped."""
    events: str = ""
    """The file that holds events."""


SHOPS = (
    Shop(
        "Online Retail II",
        ("online_retail_II.csv.gz",),
        {
            "customer_id": "Customer ID",
            "order_id": "Invoice",
            "ordered_at": "InvoiceDate",
            "product_id": "StockCode",
            "quantity": "Quantity",
            "unit_price": "Price",
            "country": "Country",
        },
    ),
    Shop(
        "CDNOW",
        ("lifetimes:CDNOW_master.txt",),
        {"customer_id": "customer_id", "ordered_at": "date", "quantity": "number_of_cds", "amount": "dollar_value"},
    ),
    Shop(
        "donations (no header)",
        ("donations.txt.gz",),
        {"customer_id": "column_1", "amount": "column_2", "ordered_at": "column_3"},
    ),
    Shop(
        "AdventureWorks",
        ("adventureworks_sales.csv.gz",),
        {
            "customer_id": "CustomerKey",
            "order_id": "SalesOrderNumber",
            "ordered_at": "OrderDateKey",
            "product_id": "ProductKey",
            "amount": "SalesAmount",
        },
    ),
    Shop("grocery (no money)", ("grocery_elog.csv.gz",), {"customer_id": "cust", "ordered_at": "date"}),
    Shop(
        "game with sessions",
        ("game_revenue.csv.gz", "game_sessions.csv.gz"),
        {
            "customer_id": "player_id",
            "ordered_at": "time",
            "product_id": "item_name",
            "amount": "item_revenue",
            "country": "country",
        },
        events="game_sessions.csv.gz",
    ),
)


def faults(shop: Shop, proposal: Proposal) -> list[str]:
    """Where a guess is neither right nor a question."""
    guessed = proposal.transactions.mapping
    asked = {entry.key for entry in proposal.transactions.questions}
    wrong = [
        f"{shop.name}: {ours} is {theirs}, not {shop.meaning.get(ours, 'anything')}"
        for ours, theirs in guessed.items()
        if shop.meaning.get(ours) != theirs
    ]
    wrong += [f"{shop.name}: {ours} is missing" for ours in shop.meaning if ours not in {*guessed, *asked}]
    events = [] if proposal.events is None else [Path(path).name for path in proposal.events.paths]
    if events != [name for name in [shop.events] if name]:
        wrong.append(f"{shop.name}: events are {events}")
    return wrong


def row(shop: Shop, proposal: Proposal) -> str:
    """The row of the table."""
    source = proposal.transactions
    guessed = ", ".join(f"{ours}: {theirs}" for ours, theirs in source.mapping.items())
    further = [f"header: false, names: {', '.join(source.names)}"] if source.names else []
    if proposal.events is not None:
        columns = ", ".join(f"{ours}: {theirs}" for ours, theirs in proposal.events.mapping.items())
        further.append(f"events: {columns}")
    asked = ", ".join(entry.key for entry in source.questions) or "–"
    return f"| {shop.name} | {'; '.join([guessed, *further])} | {asked} |"


def main() -> None:
    """Propose settings for every shop that is there and write the table.

    Raises:
        SystemExit: a guess is wrong.
    """
    folder = os.environ.get("CLV_SHOPS")
    lines = ["| shop | guessed | asked |", "|---|---|---|"]
    absent, wrong = [], []
    for shop in SHOPS:
        paths = [name if name.startswith("lifetimes:") else str(Path(folder or ".") / name) for name in shop.files]
        if any(not name.startswith("lifetimes:") and not Path(name).is_file() for name in paths):
            absent.append(f"\nLeft out: {shop.name}, because CLV_SHOPS has no {shop.files[0]}.")
            continue
        proposal = propose(paths, Path.cwd())
        lines.append(row(shop, proposal))
        wrong += faults(shop, proposal)
    block = "\n".join([*lines, *absent])
    print(block)
    if wrong:
        raise SystemExit("\n".join(wrong))
    DOCUMENT.write_text(replace_block(DOCUMENT.read_text(encoding="utf-8"), "guesses", block), encoding="utf-8")


if __name__ == "__main__":
    main()
