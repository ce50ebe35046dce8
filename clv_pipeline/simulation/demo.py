"""A made-up shop to explore: every input of the pipeline, as files, with the `clv.yaml` that reads them.

The shop is `simulate_shop`'s. This module adds more features of real files, with random draws of their own: the channel
of an order, returns, orders without a known customer, what lines cost, and what was spent on channels.
"""

from __future__ import annotations

import json
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl

from clv_pipeline.errors import RequestError
from clv_pipeline.simulation.buyers import Buyers
from clv_pipeline.simulation.processes import BgNbdProcess
from clv_pipeline.simulation.shop import Shop, Story, simulate_shop
from clv_pipeline.simulation.spend import GammaGammaSpend

START, DAYS = date(2022, 1, 1), 1_096
"""Three years, so that forecasts over a year can be backtested from thirteen past months."""
STORY = Story(
    Buyers(BgNbdProcess(r=0.9, alpha=9.0), GammaGammaSpend(), season=0.35),
    region_rates={"Austria": 0.8, "Belgium": 1.0, "Denmark": 0.9, "France": 1.1, "Germany": 1.3},
    age_effect=0.1,
    visits_before_purchase=1.0,
)
RETURNED = 0.03
"""Share of lines that come back, within `RETURN_DAYS`."""
RETURN_DAYS = 30
COST_SHARES = (0.45, 0.75)
"""What a product costs the shop, as a share of its price, lies between these."""
COST_UNKNOWN = 0.02
"""Share of lines whose cost is blank."""
NOBODY = 0.02
"""Share of orders without a customer."""
SPENT_PER_CUSTOMER = {"advert": 24.0, "search": 11.0, "friend": 4.0}
"""What acquiring a customer cost on average, by channel."""

_README = """\
# A made-up shop

Nothing in this folder is real: {customers:,} customers, their orders, returns, visits and ages are drawn from seed
{seed} by `clv demo`. Numbers that come of them say how the pipeline works, and nothing about any market.

| file | what it holds |
|---|---|
| `clv.yaml` | what is read, and how |
| `orders/*.csv` | lines of orders by year, with product, cost, country and channel; returns have a negative quantity |
| `customers.csv` | age, region and how somebody came to the shop; some of it unknown |
| `events.csv` | visits and opened newsletters |
| `acquisition.csv` | what was spent on each channel, month by month |

`clv run --config clv.yaml`, called in this folder, computes everything; the report is then
`data/published/current/report.html`, and `explore.html` beside it lets you filter the customers.
"""

_CONFIG = """\
# A made-up shop, written by `clv demo`: no customer and no order in it is real.
source:
  transactions:
    path: orders/*.csv
    columns:  # ours: theirs
      customer_id: customer_id
      order_id: order_id
      ordered_at: ordered_at
      product_id: product_id
      quantity: quantity
      unit_price: unit_price
      country: country
      cost: cost  # what the whole line cost the shop; a blank one is taken to have the share of the others
      channel: channel  # an attribute: that of a first purchase says where the customer came from
  customers: {{path: customers.csv, columns: {{customer_id: customer_id}}}}  # all other columns are used
  costs: {{path: acquisition.csv, columns: {{date: date, channel: channel, amount: amount}}}}  # what acquiring cost
  events: {{path: events.csv, columns: {{customer_id: customer_id, occurred_at: occurred_at, event: event}}}}

cleaning:
  returns: net  # a return reduces what its customer spent

campaign: {{budget: 500, cost_per_contact: 0.8, assumed_uplift: 0.1}}

gates:
  silence: ignore  # the last order was on {last_day:%Y-%m-%d}; there will be no further ones

storage:
  home: {home}
"""


def demo_shop(customers: int, seed: int) -> Shop:
    """`simulate_shop` of `STORY`; its transactions have a `channel`, returns, and orders without a customer.

    The channel of a first order is the customer's `referral`, null where that is unknown; later orders come by `direct`
    or `newsletter`. A return repeats its line with a negative quantity on a later day.
    """
    shop = simulate_shop(customers, STORY, seed=seed, start=START, days=DAYS)
    of_channels, of_returns, of_guests, of_costs = np.random.default_rng([seed, 1]).spawn(4)
    lines = shop.transactions
    orders = lines.select("order_id", "customer_id").unique("order_id", maintain_order=True)
    later = pl.Series(of_channels.choice(["direct", "newsletter"], p=[0.7, 0.3], size=orders.height))
    orders = orders.join(shop.customers, on="customer_id", how="left", maintain_order="left").select(
        "order_id",
        channel=pl.when(pl.col("customer_id").is_first_distinct()).then("referral").otherwise(later),
        has_customer=pl.Series(of_guests.uniform(size=orders.height) >= NOBODY),
    )
    lines = lines.join(orders, on="order_id", how="left", maintain_order="left").with_columns(
        customer_id=pl.when("has_customer").then("customer_id"), cost=_costs(of_costs, lines)
    )
    return Shop(
        story=shop.story,
        transactions=pl.concat([lines, _returns(of_returns, lines)]).sort("ordered_at", "order_id", "product_id")[
            [*shop.transactions.columns, "cost", "channel"]
        ],
        customers=shop.customers,
        events=shop.events,
        truth=shop.truth,
    )


def _costs(rng: np.random.Generator, lines: pl.DataFrame) -> pl.Series:
    """What every line cost the shop: a share of its price by product, null where it is not known."""
    products = lines["product_id"].unique().sort()
    shares = pl.DataFrame({"product_id": products, "share": rng.uniform(*COST_SHARES, size=products.len())})
    is_known = pl.Series(rng.uniform(size=lines.height) >= COST_UNKNOWN)
    cost = (pl.col("quantity") * pl.col("unit_price") * pl.col("share")).round(2)
    joined = lines.join(shares, on="product_id", how="left", maintain_order="left")
    return joined.select(pl.when(is_known).then(cost).alias("cost"))["cost"]


def acquisition_costs(shop: Shop, seed: int) -> pl.DataFrame:
    """What was spent on each channel of SPENT_PER_CUSTOMER in each month: more or less, and on nobody too."""
    first = (
        shop.transactions.filter(pl.col("customer_id").is_not_null())
        .sort("ordered_at")
        .unique("customer_id", keep="first", maintain_order=True)
    )
    months = pl.date_range(START, START + timedelta(days=DAYS - 1), "1mo", eager=True).alias("date")
    grid = months.to_frame().join(pl.DataFrame({"channel": list(SPENT_PER_CUSTOMER)}), how="cross")
    came = first.group_by(pl.col("ordered_at").dt.date().dt.truncate("1mo").alias("date"), "channel").len()
    spread = pl.Series(np.random.default_rng([seed, 2]).uniform(0.7, 1.3, size=grid.height))
    each = pl.col("channel").replace_strict(SPENT_PER_CUSTOMER)
    return grid.join(came, on=["date", "channel"], how="left", maintain_order="left").select(
        "date", "channel", amount=((pl.col("len").fill_null(0) * each + 5.0) * spread).round(2)
    )


def _returns(rng: np.random.Generator, lines: pl.DataFrame) -> pl.DataFrame:
    """The lines that are returned while the shop is observed."""
    comes_back = pl.Series(rng.uniform(size=lines.height) < RETURNED)
    after = pl.Series(rng.integers(1, RETURN_DAYS + 1, size=lines.height)) * timedelta(days=1)
    return (
        lines.with_columns(pl.col("ordered_at") + after, quantity=-pl.col("quantity"))
        .filter(comes_back)
        .filter(pl.col("ordered_at") < START + timedelta(days=DAYS))
    )


def write_demo(folder: Path, *, customers: int, seed: int) -> Path:
    """Write the shop, its `clv.yaml` and a README that says that it is made up; return the path of `clv.yaml`.

    Raises:
        RequestError: the folder has files in it already, or cannot be written.
    """
    config = folder / "clv.yaml"
    try:
        if folder.exists() and any(folder.iterdir()):
            raise RequestError(f"{folder} has files in it; name a folder that is empty or not there yet")
        (folder / "orders").mkdir(parents=True)
        shop = demo_shop(customers, seed)
        for (year,), lines in shop.transactions.group_by(pl.col("ordered_at").dt.year(), maintain_order=True):
            _write(lines, folder / "orders" / f"{year}.csv")
        _write(shop.customers, folder / "customers.csv")
        _write(shop.events, folder / "events.csv")
        _write(acquisition_costs(shop, seed), folder / "acquisition.csv")
        (folder / "README.md").write_text(_README.format(customers=customers, seed=seed), encoding="utf-8")
        # A JSON string is a YAML string. The path is absolute, because a relative home depends on the folder in which
        # `clv` is called.
        home = json.dumps(str((folder / "data").resolve()), ensure_ascii=False)
        last_day = shop.transactions["ordered_at"].dt.date().max()
        config.write_text(_CONFIG.format(home=home, last_day=last_day), encoding="utf-8")
    except OSError as error:
        raise RequestError(f"{folder} cannot be written: {error.strerror}; name another folder") from error
    return config


def _write(frame: pl.DataFrame, path: Path) -> None:
    frame.write_csv(path, datetime_format="%Y-%m-%d %H:%M:%S", float_precision=2)
