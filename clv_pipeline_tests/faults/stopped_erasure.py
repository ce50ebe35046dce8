"""`clv forget` killed after its request was recorded, and what the next `clv run` makes of it.

All of it is real: both commands are processes of their own, with Dagster's storage, two publications (ids in the one,
pseudonyms in the other) and their reports. Run as a module, it is the `clv forget` that is to be killed.
"""

from __future__ import annotations

import os
import random
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
import polars as pl
import yaml

from clv_pipeline.privacy.keyed_hash import KeyedHash
from clv_pipeline.privacy.register import Register
from clv_pipeline.publication.write import EXPLORE
from clv_pipeline.simulation.raw_lines import generate
from clv_pipeline.warehouse.duckdb_engine import fingerprint
from clv_pipeline_tests.faults.strikes import end_this_process, watch
from clv_pipeline_tests.helpers.explore_page import packed_texts

PERSON, KEY = "ann.lee@example.com", "k" * 40
COLUMNS = ("customer_id", "order_id", "ordered_at", "product_id", "quantity", "unit_price")
DELAYS_MS = (0.2, 20.0)
LISTED = ("rfm", "row_ledger", "customer_overview", "sales_by_month")
"""Published tables that are held against those of an undisturbed erasure."""


@dataclass(frozen=True)
class Moment:
    """Before the `number`-th operation after the request, or some milliseconds into it."""

    number: int
    delay_ms: float | None


@dataclass(frozen=True)
class ShopOfPerson:
    """A shop with two publications that hold PERSON, and how many operations it takes to forget them."""

    folder: Path
    operations: int
    after: dict[str, tuple[int, str]]
    """What the run publishes that follows an erasure which nobody disturbed."""

    def moments(self, many: int, seed: int) -> list[Moment]:
        """So many seeded moments, by turns right before an operation and in the middle of one."""
        rng = random.Random(seed)  # noqa: S311
        numbers = rng.sample(range(1, self.operations + 1), many)
        return [Moment(number, rng.uniform(*DELAYS_MS) if turn % 2 else None) for turn, number in enumerate(numbers)]


def open_shop(folder: Path) -> ShopOfPerson:
    """Two nights of it, and an undisturbed erasure of a copy."""
    shop = folder / "shop"
    (shop / "orders").mkdir(parents=True)
    lines = generate(2_000, seed=1)
    best = lines["customer_id"].drop_nulls().value_counts(sort=True)["customer_id"][0]
    name = pl.when(pl.col("customer_id") == best).then(pl.lit(PERSON)).otherwise(pl.format("c-{}", "customer_id"))
    lines = lines.with_columns(customer_id=name)
    for file, part in (("a.csv", lines.head(1_000)), ("b.csv", lines.tail(1_000))):
        part.write_csv(shop / "orders" / file, datetime_format="%Y-%m-%d %H:%M:%S")
        _configure(shop, pseudonyms=file == "b.csv")
        run(shop)
    held = {"warehouse/clv.duckdb", "published/current/clv.duckdb", "published/current/explore.html"}
    assert held <= set(files_with_person(shop / "home"))
    whole = shutil.copytree(shop, folder / "whole", symlinks=True)
    assert forget(whole, None) == 0
    operations = int((whole / "operations.txt").read_text())
    bring_news(whole)
    run(whole)
    return ShopOfPerson(shop, operations, published(whole))


def _configure(shop: Path, *, pseudonyms: bool) -> None:
    configuration = {
        "source": {"transactions": {"path": "orders/*.csv", "columns": {name: name for name in COLUMNS}}},
        "storage": {"home": "home"},
        "models": ["own_rate"],
        "forecast": {"horizons_days": [30]},
        "backtest": {"origins": 1},
        "gates": {"rows": "warn", "hours": "warn", "line_amount": "warn"},
        "privacy": {"pseudonyms": pseudonyms},
    }
    (shop / "clv.yaml").write_text(yaml.safe_dump(configuration), encoding="utf-8")


def survive(shop: ShopOfPerson, moment: Moment, folder: Path) -> list[str]:
    """Kill an erasure of a copy of the shop, bring new orders of the person and run; what is wrong then."""
    shutil.copytree(shop.folder, folder, symlinks=True)
    assert forget(folder, moment) == -9
    register = Register(folder / "home" / "privacy")
    assert register.entries()
    bring_news(folder)
    told = run(folder)
    wrong = [f"{moment}: {path} holds the person" for path in files_with_person(folder / "home")]
    wrong += [f"{moment}: {found} holds the person" for found in tables_with_person(folder / "home")]
    if PERSON in told:
        wrong.append(f"{moment}: the run's output names the person")
    if register.unfinished():
        wrong.append(f"{moment}: the erasure is unfinished")
    if (made := published(folder)) != shop.after:
        wrong.append(f"{moment}: published {made}, expected {shop.after}")
    return wrong


def bring_news(folder: Path) -> None:
    """A new file, with orders of the person and of somebody else."""
    rows = [
        f"{customer},n-{number},2025-01-02 1{number}:00:00,P0001,1,9.5"
        for customer in (PERSON, "c-new")
        for number in range(5)
    ]
    (folder / "orders" / "c.csv").write_text("\n".join([",".join(COLUMNS), *rows]) + "\n", encoding="utf-8")


def run(folder: Path) -> str:
    """`clv run`, which must end well; what it printed."""
    done = _clv(folder, [str(Path(sys.executable).with_name("clv")), "run"])
    assert done.returncode == 0, done.stdout
    return done.stdout


def forget(folder: Path, moment: Moment | None) -> int:
    """`clv forget` of the person, killed at that moment; its exit status."""
    arguments = [] if moment is None else [str(moment.number), str(moment.delay_ms or "")]
    return _clv(folder, [sys.executable, "-m", __name__, *arguments]).returncode


def _clv(folder: Path, command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name not in ("DAGSTER_HOME", "CLV_HOME")}
    environment |= {"CLV_PSEUDONYM_KEY": KEY, "CLV_CONFIG": str(folder / "clv.yaml")}
    with (folder / "output.txt").open("w+", encoding="utf-8") as output:
        done = subprocess.run(command, cwd=folder, env=environment, stdout=output, stderr=subprocess.STDOUT)
        output.seek(0)
        return subprocess.CompletedProcess(command, done.returncode, output.read())


def published(folder: Path) -> dict[str, tuple[int, str]]:
    """Rows and content hashes of what is served."""
    database = folder / "home" / "published" / "current" / "clv.duckdb"
    with duckdb.connect(str(database.resolve()), read_only=True) as served:
        return {table: fingerprint(served, table) for table in LISTED}


def _names() -> tuple[str, str]:
    return PERSON, KeyedHash(KEY.encode(), 32).of(PERSON)


def files_with_person(home: Path) -> list[str]:
    """Files of the home whose bytes hold the id or the pseudonym, packed or not; `current` is read through, too."""
    pattern = re.compile(b"|".join(re.escape(name.encode()) for name in _names()))
    links = [path for path in home.glob("published/current/*") if path.is_file()]
    files = [path for path in home.rglob("*") if path.is_file() and not path.is_symlink()]
    return sorted(str(path.relative_to(home)) for path in [*files, *links] if any(map(pattern.search, _texts(path))))


def _texts(path: Path) -> list[bytes]:
    """The bytes of a file, and what is packed in it."""
    whole = path.read_bytes()
    return [whole, *packed_texts(whole.decode())] if path.name == EXPLORE else [whole]


def tables_with_person(home: Path) -> Iterator[str]:
    """Tables with a row that holds the id or the pseudonym: bytes may be compressed."""
    theirs = " or ".join(f"contains(cast(held as varchar), '{name}')" for name in _names())
    for database in [home / "warehouse" / "clv.duckdb", *home.glob("published/versions/*/clv.duckdb")]:
        with duckdb.connect(str(database), read_only=True) as client:
            tables = "select schema_name, table_name from duckdb_tables() where not temporary"
            for schema, table in client.execute(tables).fetchall():
                query = f'select count(*) from {schema}."{table}" as held where {theirs}'
                if client.execute(query).fetchall() != [(0,)]:
                    yield f"{database.relative_to(home)}: {schema}.{table}"
            for file in database.parent.glob("parquet/*.parquet"):
                query = f"select count(*) from read_parquet('{file}') as held where {theirs}"
                if client.execute(query).fetchall() != [(0,)]:
                    yield str(file.relative_to(home))


def _forget_until(number: int | None, delay_ms: float | None) -> None:
    """`clv forget` of the person in the current folder; counts operations from the request on, and ends at that one."""
    from clv_pipeline.cli import main

    seen = 0
    requested = False

    def tell(_: str, what: str) -> None:
        nonlocal seen, requested
        if requested:
            seen += 1
            if seen == number:
                strike()
        requested = requested or ("os.rename" in what and "forgotten.new" in what)

    def strike() -> None:
        if delay_ms is None:
            end_this_process()
        else:
            threading.Timer(delay_ms / 1000, end_this_process).start()

    watch(tell)
    main(["forget", PERSON], standalone_mode=False)
    Path("operations.txt").write_text(str(seen), encoding="utf-8")


if __name__ == "__main__":
    _, *given = sys.argv
    _forget_until(int(given[0]) if given else None, float(given[1]) if given and given[1] else None)
