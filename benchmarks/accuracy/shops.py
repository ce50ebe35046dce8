"""The shops that accuracy is measured on, real ones from a folder and seeded ones, with their settings and cutoffs.

CDNOW comes with the package `lifetimes`. The other real shops are files in the folder that CLV_SHOPS names; none is
part of this project, and one that is absent is left out with the reason. Every cutoff has a role: on `design` ones,
formulas and constants were chosen; nothing was chosen on `held out` ones.
"""

from __future__ import annotations

import gzip
import hashlib
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import polars as pl
import yaml

from clv_pipeline.simulation.seeded import SEEDED_SHOPS, SEEDS, SeededShop

HORIZONS = (30, 90, 180, 365)
ONLINE_RETAIL = Path("examples/online_retail_ii.yaml")
QUARTER_ENDS = (
    *(date(2022, 9, 30), date(2022, 12, 31)),
    *(date(2023, 3, 31), date(2023, 6, 30), date(2023, 9, 30)),
)

Role = Literal["design", "held out"]


@dataclass(frozen=True)
class Origin:
    """A file of a real shop: its name, where others get it, and under which licence."""

    file: str
    source: str
    licence: str


@dataclass(frozen=True)
class Shop:
    """One shop to measure.

    `configuration`: what `Settings.from_mapping` takes, without storage. `cutoffs`: the listed ones, with their roles.
    `checksums`: of the content of its files, unpacked, by name. `has_money`: without it, only purchases are scored.
    `seed`: of a seeded shop.
    """

    name: str
    configuration: Mapping[str, Any]
    cutoffs: Mapping[date, Role]
    checksums: Mapping[str, str] = field(default_factory=dict)
    has_money: bool = True
    seed: int | None = None

    @property
    def key(self) -> str:
        """Its name, and its seed."""
        return self.name if self.seed is None else f"{self.name}_{self.seed}"


@dataclass(frozen=True)
class Absent:
    """A shop that cannot be measured here, and why."""

    name: str
    reason: str


@dataclass(frozen=True)
class RealShop:
    """A shop of the real world before its files are found.

    `source`: from the paths of its files, by name, and a folder for copies, to its `source` and `cleaning` settings.
    """

    origins: tuple[Origin, ...]
    cutoffs: Mapping[date, Role]
    source: Callable[[Mapping[str, Path], Path], Mapping[str, Any]]
    has_money: bool = True


def _cdnow(_: Mapping[str, Path], __: Path) -> Mapping[str, Any]:
    embedded = resources.files("clv_pipeline.config").joinpath("default_clv.yaml").read_text(encoding="utf-8")
    settings: Mapping[str, Any] = yaml.safe_load(embedded)
    return settings


def _online_retail(files: Mapping[str, Path], _: Path) -> Mapping[str, Any]:
    settings = yaml.safe_load(ONLINE_RETAIL.read_text(encoding="utf-8"))
    settings["source"]["transactions"]["path"] = str(files["online_retail_II.csv.gz"])
    return {name: settings[name] for name in ("source", "cleaning")}


def _donations(files: Mapping[str, Path], copies: Path) -> Mapping[str, Any]:
    """The file has no line of names, so a copy gets one."""
    copy = copies / "donations.txt"
    with gzip.open(files["donations.txt.gz"]) as original, copy.open("wb") as named:
        named.write(b"donor\tamount\tdate\n")
        shutil.copyfileobj(original, named)
    columns = {"customer_id": "donor", "ordered_at": "date", "amount": "amount"}
    # Without an order id, two equal gifts on a day cannot be told from a repeated row: keep both.
    return {
        "source": {"transactions": {"path": str(copy), "columns": columns}},
        "cleaning": {"deduplicate": False},
    }


def _adventureworks(files: Mapping[str, Path], _: Path) -> Mapping[str, Any]:
    columns = {
        "customer_id": "CustomerKey",
        "order_id": "SalesOrderNumber",
        "ordered_at": "OrderDateKey",
        "product_id": "ProductKey",
        "amount": "SalesAmount",
    }
    return {"source": {"transactions": {"path": str(files["adventureworks_sales.csv.gz"]), "columns": columns}}}


def _grocery(files: Mapping[str, Path], copies: Path) -> Mapping[str, Any]:
    """The log has no money, so every purchase of a copy costs 1.00."""
    copy = copies / "grocery_elog.csv"
    log = pl.read_csv(files["grocery_elog.csv.gz"], infer_schema=False)
    log.with_columns(amount=pl.lit("1.00")).write_csv(copy)
    columns = {"customer_id": "cust", "ordered_at": "date", "amount": "amount"}
    return {"source": {"transactions": {"path": str(copy), "columns": columns}}}


def _game(files: Mapping[str, Path], _: Path) -> Mapping[str, Any]:
    columns = {
        "customer_id": "player_id",
        "order_id": "session_id",
        "ordered_at": "time",
        "product_id": "item_name",
        "amount": "item_revenue",
        "country": "country",
        "acquisition": "acquisition",
    }
    return {
        "source": {
            "transactions": {"path": str(files["game_revenue.csv.gz"]), "columns": columns},
            "events": {
                "path": str(files["game_sessions.csv.gz"]),
                "columns": {"customer_id": "player_id", "occurred_at": "session_start"},
            },
        }
    }


def _mature_case(files: Mapping[str, Path], _: Path) -> Mapping[str, Any]:
    columns = {"customer_id": "customer_id", "order_id": "order_id", "ordered_at": "order_date", "amount": "amount"}
    return {"source": {"transactions": {"path": str(files["mature_seasonal_shape.csv"]), "columns": columns}}}


REAL_SHOPS: Mapping[str, RealShop] = {
    "online_retail_ii": RealShop(
        (
            Origin(
                "online_retail_II.csv.gz",
                "D. Chen 2019, UCI Machine Learning Repository (archive.ics.uci.edu/dataset/502), both sheets in "
                "one CSV",
                "CC BY 4.0",
            ),
        ),
        {
            date(2010, 9, 9): "design",
            date(2010, 12, 9): "design",
            date(2011, 1, 10): "design",
            date(2011, 3, 9): "held out",
            date(2011, 6, 9): "design",
            date(2011, 9, 9): "held out",
        },
        _online_retail,
    ),
    "cdnow": RealShop(
        (
            Origin(
                "CDNOW_master.txt",
                "P. Fader and B. Hardie (brucehardie.com/datasets), as it comes in the package lifetimes 0.11.3",
                "none stated; the package is MIT",
            ),
        ),
        {date(1997, 10, 3): "held out", date(1998, 1, 1): "design", date(1998, 4, 1): "held out"},
        _cdnow,
    ),
    "donations": RealShop(
        (
            Origin(
                "donations.txt.gz",
                "gifts to a charity, from marketing courses at ESSEC: purchases.txt, as in "
                "github.com/byukan/Marketing-Data-Science",
                "none stated",
            ),
        ),
        {date(2014, 10, 2): "held out", date(2015, 10, 2): "held out"},
        _donations,
    ),
    "adventureworks": RealShop(
        (
            Origin(
                "adventureworks_sales.csv.gz",
                "Microsoft's sample data warehouse AdventureWorks, table FactInternetSales "
                "(github.com/microsoft/sql-server-samples)",
                "MIT",
            ),
        ),
        {date(2022, 1, 28): "design", date(2022, 10, 30): "design"},
        _adventureworks,
    ),
    "grocery": RealShop(
        (
            Origin(
                "grocery_elog.csv.gz",
                "data set groceryElog of the R package BTYDplus 1.0.2, Platzer and Reutterer 2016 "
                "(github.com/mplatzer/BTYDplus)",
                "GPL-3, as the package",
            ),
        ),
        {date(2006, 12, 30): "held out", date(2007, 10, 1): "held out"},
        _grocery,
        has_money=False,
    ),
    "game": RealShop(
        (
            Origin(
                "game_revenue.csv.gz",
                "data set all_revenue, small, of the R package intendo, simulated by its author "
                "(github.com/rich-iannone/intendo)",
                "MIT",
            ),
            Origin("game_sessions.csv.gz", "the same, all_sessions, small", "MIT"),
        ),
        {date(2015, 7, 1): "held out", date(2015, 10, 2): "held out"},
        _game,
    ),
    "mature_case": RealShop(
        (
            Origin(
                "mature_seasonal_shape.csv",
                "made up for this project: 130 loyal customers, a season from October to December, nobody "
                "new after 2020",
                "as this project",
            ),
        ),
        dict.fromkeys(QUARTER_ENDS, "design"),
        _mature_case,
    ),
}
"""By name. What was chosen on which cutoff is said in docs/ACCURACY.md."""

DESIGN_SEEDED = frozenset({"plain_tripled", "seasonal_tripled"})
"""The kinds of seeded shops that formulas and constants were tried on."""


def names() -> list[str]:
    """The names of all shops, real ones first."""
    return [*REAL_SHOPS, *SEEDED_SHOPS]


def shops_of(name: str, folder: Path | None, copies: Path) -> Iterator[Shop | Absent]:
    """The shop of this name, once per seed; `copies` is a folder for files that are made for it."""
    if name in REAL_SHOPS:
        yield _found(name, REAL_SHOPS[name], folder, copies)
        return
    for seed in SEEDS[name]:
        yield _seeded(name, SEEDED_SHOPS[name], seed, copies)


def _found(name: str, shop: RealShop, folder: Path | None, copies: Path) -> Shop | Absent:
    files = {origin.file: _find(origin.file, folder) for origin in shop.origins}
    if missing := [file for file, path in files.items() if path is None]:
        place = f"in {folder}" if folder else "to be found: CLV_SHOPS names no folder"
        return Absent(name, f"{', '.join(missing)} is not {place}")
    found = {file: path for file, path in files.items() if path is not None}
    return Shop(
        name,
        _configured(shop.source(found, copies), list(shop.cutoffs)),
        shop.cutoffs,
        {file: checksum(path) for file, path in found.items()},
        shop.has_money,
    )


def _find(file: str, folder: Path | None) -> Path | None:
    if file == "CDNOW_master.txt":
        return Path(str(resources.files("lifetimes"))) / "datasets" / file
    # Small cases lie beside the folder of real shops.
    places = [] if folder is None else [folder / file, folder.parent / "cases" / file]
    return next((place.resolve() for place in places if place.is_file()), None)


def _seeded(name: str, shop: SeededShop, seed: int, copies: Path) -> Shop:
    path = copies / f"{name}_{seed}.parquet"
    shop.transactions(seed).write_parquet(path)
    columns = {name: name for name in ("customer_id", "order_id", "ordered_at", "amount")}
    settings = {"source": {"transactions": {"path": str(path), "columns": columns}}}
    role: Role = "design" if name in DESIGN_SEEDED else "held out"
    last = shop.start + timedelta(days=shop.days - 1)
    return Shop(name, _configured(settings, [shop.cutoff], as_of=last), {shop.cutoff: role}, seed=seed)


def _configured(settings: Mapping[str, Any], cutoffs: list[date], as_of: date | None = None) -> Mapping[str, Any]:
    forecast = {"horizons_days": list(HORIZONS), **({} if as_of is None else {"as_of": as_of})}
    # The figures of earlier versions dropped returns.
    cleaning = {**settings.get("cleaning", {}), "returns": "drop"}
    return {**settings, "cleaning": cleaning, "forecast": forecast, "backtest": {"cutoffs": cutoffs}}


def checksum(path: Path) -> str:
    """The sha256 of a file's content, unpacked: packing it again changes the packed bytes."""
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
