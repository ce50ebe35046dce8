"""Pictures of both pages for docs/explanation/pages.md: four shops, on a desktop, on a phone, in the dark, on paper.

CDNOW comes with a package; the other shops are in the folder that CLV_SHOPS names, and one that is absent keeps the
pictures it has. A shop is run whole, so the pictures show what `clv run` makes of it.

Run: CLV_SHOPS=folder python -m benchmarks.pictures (`make screenshots`); about two minutes a shop
"""

from __future__ import annotations

import gzip
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from playwright.sync_api import Browser, sync_playwright

FOLDER = Path("docs/images/pages")
PAGES = ("report", "explore")
PAPER = {"width": 697, "height": 1030}
"""The inside of an A4 page with the margins of style.css, in px."""


@dataclass(frozen=True)
class View:
    """How a page is looked at."""

    width: int
    height: int
    scheme: str = "light"
    media: str = "screen"


VIEWS: Mapping[str, View] = {
    "desktop": View(1440, 1100),
    "dark": View(1440, 1100, scheme="dark"),
    "phone": View(375, 812),
    "print": View(PAPER["width"], PAPER["height"], media="print"),
}


@dataclass(frozen=True)
class Shop:
    """A shop, and its settings but for the path of its file."""

    file: str | None
    settings: Mapping[str, Any]

    def prepare(self, shops: Path | None, folder: Path) -> bool:
        """Write clv.yaml, and the file of the shop, into `folder`; False where the file is absent."""
        if self.file is None:
            return True
        found = None if shops is None else next(shops.rglob(self.file), None)
        if found is None:
            return False
        copy = folder / self.file.removesuffix(".gz")
        with gzip.open(found) as packed, copy.open("wb") as plain:
            shutil.copyfileobj(packed, plain)
        settings = {**self.settings, "source": {"transactions": {"path": copy.name, **self.settings["source"]}}}
        (folder / "clv.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
        return True


SHOPS: Mapping[str, Shop] = {
    "cdnow": Shop(None, {}),
    "online_retail_ii": Shop(
        "online_retail_II.csv.gz",
        {
            "source": {
                "columns": {
                    "customer_id": "Customer ID",
                    "order_id": "Invoice",
                    "ordered_at": "InvoiceDate",
                    "product_id": "StockCode",
                    "quantity": "Quantity",
                    "unit_price": "Price",
                    "country": "Country",
                    "description": "Description",
                }
            },
            "currency": {"report_in": "GBP"},
            "display": {"locale": "en-GB", "timezone": "Europe/London"},
            "campaign": {"budget": 2000, "cost_per_contact": 2, "assumed_uplift": 0.1},
        },
    ),
    "donations": Shop(
        "donations.txt.gz",
        {
            "source": {
                "format": {"header": False, "delimiter": "\t", "names": ["customer", "amount", "date"]},
                "columns": {"customer_id": "customer", "amount": "amount", "ordered_at": "date"},
            },
            # Without an order id, two equal gifts on a day cannot be told from a repeated row.
            "cleaning": {"deduplicate": False},
            "currency": {"report_in": "EUR"},
            "display": {"locale": "de-DE", "timezone": "Europe/Paris"},
        },
    ),
    "international": Shop(
        "intl_shop.csv.gz",
        {
            "source": {
                "columns": {
                    "customer_id": "customer",
                    "order_id": "order",
                    "ordered_at": "date",
                    "product_id": "product",
                    "quantity": "qty",
                    "unit_price": "price",
                    "country": "country",
                }
            },
            "currency": {"report_in": "JPY"},
            "forecast": {"horizons_days": [90, 365], "margin": 0.4},
            "models": ["own_rate", "last_window", "bg_nbd", "hybrid"],
            "campaign": {"budget": 200000, "cost_per_contact": 500, "assumed_uplift": 0.1},
        },
    ),
}
"""Online Retail II and the donations are real; the international shop is made up, with names in many scripts."""


def main() -> int:
    """Run every shop that is there, and take its pictures; returns how many are absent."""
    shops = Path(os.environ["CLV_SHOPS"]) if os.environ.get("CLV_SHOPS") else None
    absent = 0
    FOLDER.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        program = shutil.which("chromium") or shutil.which("google-chrome")
        with playwright.chromium.launch(executable_path=program) as browser:
            for name, shop in SHOPS.items():
                with tempfile.TemporaryDirectory() as folder:
                    if not shop.prepare(shops, Path(folder)):
                        print(f"{name}: left out, because CLV_SHOPS has no {shop.file}")
                        absent += 1
                        continue
                    take(browser, name, served(Path(folder)))
    return absent


def served(folder: Path) -> Path:
    """The folder of the version that a run in `folder` publishes."""
    clv = str(Path(sys.executable).with_name("clv"))
    unset = {name: value for name, value in os.environ.items() if name not in ("CLV_CONFIG", "CLV_HOME")}
    subprocess.run([clv, "run"], cwd=folder, env=unset, check=True, stdout=subprocess.DEVNULL)
    return folder / "data" / "published" / "current"


def take(browser: Browser, shop: str, version: Path) -> None:
    """Take the first screen of both pages in every view."""
    for page in PAGES:
        for name, view in VIEWS.items():
            tab = browser.new_page(
                viewport={"width": view.width, "height": view.height},
                color_scheme="dark" if view.scheme == "dark" else "light",
            )
            tab.goto((version / f"{page}.html").resolve().as_uri())
            tab.emulate_media(media="print" if view.media == "print" else "screen")
            path = FOLDER / f"{shop}_{page}_{name}.png"
            tab.screenshot(path=path)
            tab.close()
            print(path)


if __name__ == "__main__":
    main()
