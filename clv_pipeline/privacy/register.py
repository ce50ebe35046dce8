"""The register of forgotten customers, and how it keeps them forgotten in freshly loaded rows.

The register is beside the warehouse and not in it, so that a warehouse that is deleted, rebuilt or restored brings
nobody back. It holds salted hashes and never an id. The erasure itself is in `erasure.py`.
"""

# Only quoted names and expressions that this package wrote itself enter the SQL; values are parameters.
# ruff: noqa: S608

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clv_pipeline.database.columns import columns_of
from clv_pipeline.database.file_modes import private_files
from clv_pipeline.database.sql_text import quote_identifier
from clv_pipeline.errors import RegisterError
from clv_pipeline.privacy.keyed_hash import KeyedHash
from clv_pipeline.sources.typed import UNREADABLE

if TYPE_CHECKING:
    import duckdb

FORGOTTEN = "forgotten customer"
"""The source_text of a raw row whose customer is forgotten, and the reason of its rejection."""

TEXT_NOT_KEPT = f"{UNREADABLE}its text is not kept, because customers have been forgotten"

_PERSONAL = ("customer_id", "order_id", "product_id", "country", "event", "attributes")
"""Columns that a raw row of a forgotten customer loses. It loses the time of day, too; day and money stay."""


class Register:
    """`forgotten.json` (one entry per erasure) and `salt`, the key of its hashes, in one private folder."""

    def __init__(self, folder: Path) -> None:
        self._entries = folder / "forgotten.json"
        self._salt = folder / "salt"

    def entries(self) -> list[dict[str, Any]]:
        """Every erasure: run_id, requested_at, erased_at (None until it is complete), customers (hashes), rows.

        An incomplete erasure also has pseudonyms (their hashes), by the fingerprint of the key that made them.
        """
        if not self._entries.exists():
            return []
        entries: list[dict[str, Any]] = json.loads(self._entries.read_text(encoding="utf-8"))
        return entries

    def hashes(self) -> list[str]:
        """The salted hashes of all customers who are to be forgotten, sorted."""
        return sorted({customer for entry in self.entries() for customer in entry["customers"]})

    def hash(self) -> KeyedHash:
        """The hash that turns an id into an entry of the register.

        Raises:
            RegisterError: the salt is missing, so that no listed customer can be recognised.
        """
        if not self._salt.exists():
            if self.entries():
                raise RegisterError(
                    f"{self._salt} is missing, so the customers in {self._entries} cannot be recognised and would come"
                    " back",
                    to_do="restore it from a backup",
                )
            self._write(self._salt, secrets.token_hex(32))
        return KeyedHash(self._salt.read_bytes(), digits=64)

    def suppression(self) -> Callable[[duckdb.DuckDBPyConnection, str], int]:
        """`suppress` with what the register holds now; it can be pickled, for whoever reads files elsewhere.

        Raises:
            RegisterError: there are forgotten customers and the salt is missing.
        """
        hashes = self.hashes()
        return partial(suppress, register=Forgotten(hashes, self.hash() if hashes else None))

    def request(self, run_id: str, customers: Sequence[str], pseudonyms: KeyedHash | None = None) -> None:
        """Put the customers on the list. From now on no load lets them in, and the erasure can be finished without ids.

        Args:
            run_id: id of the erasure.
            customers: their ids.
            pseudonyms: the hash that makes the pseudonyms in publications; None without a key.
        """
        hashed = self.hash()
        entry: dict[str, Any] = {
            "run_id": run_id,
            "requested_at": _now(),
            "erased_at": None,
            "customers": sorted(map(hashed.of, customers)),
            "rows": {},
            "pseudonyms": {},
        }
        if pseudonyms is not None:
            entry["pseudonyms"][pseudonyms.fingerprint] = sorted(hashed.of(pseudonyms.of(name)) for name in customers)
        self._write(self._entries, json.dumps([*self.entries(), entry], indent=1))

    def finish(self, rows: Mapping[str, int]) -> None:
        """Record that every erasure is complete. `rows` are those of the newest one."""
        entries = self.entries()
        open_ones = [entry for entry in entries if entry["erased_at"] is None]
        open_ones[-1]["rows"] = dict(rows)
        for entry in open_ones:
            entry["erased_at"] = _now()
            entry.pop("pseudonyms", None)
        self._write(self._entries, json.dumps(entries, indent=1))

    def unfinished(self) -> list[dict[str, Any]]:
        """Erasures that were requested and never completed, oldest first."""
        return [entry for entry in self.entries() if entry["erased_at"] is None]

    def pseudonyms(self, key: str) -> list[str] | None:
        """Hashes of the pseudonyms that are still to be erased, for the key with this fingerprint.

        None if some are not known, because an erasure was requested without the key or by an earlier version.
        """
        unfinished = self.unfinished()
        with_key = [entry for entry in unfinished if key in entry.get("pseudonyms", {})]
        known = {customer for entry in with_key for customer in entry["customers"]}
        if not {customer for entry in unfinished for customer in entry["customers"]} <= known:
            return None
        return sorted({name for entry in with_key for name in entry["pseudonyms"][key]})

    def _write(self, path: Path, text: str) -> None:
        private_files()
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_suffix(".new")
        with fresh.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)


@dataclass(frozen=True)
class Forgotten:
    """The customers in a register, apart from its files."""

    listed: list[str]
    """Their hashes."""
    key: KeyedHash | None
    """The hash; None if nobody is listed."""

    def hashes(self) -> list[str]:
        """As `Register.hashes`."""
        return self.listed

    def hash(self) -> KeyedHash:
        """As `Register.hash`."""
        assert self.key is not None  # noqa: S101  (nobody asks about an empty list)
        return self.key


def suppress(connection: duckdb.DuckDBPyConnection, table: str, register: Register | Forgotten) -> int:
    """Empty the freshly loaded rows of forgotten customers in a raw table. Returns the number of these rows.

    The rows stay, so that kept + rejected = raw still holds. Their source_text says why they are empty. A line that
    could not be split may be anybody's: once anyone is forgotten, no such line keeps its text.

    Raises:
        RegisterError: there are forgotten customers and the salt is missing.
    """
    if not register.hashes():
        return 0
    name = quote_identifier(table)
    find_forgotten(connection, [name], register)
    changed = ", ".join(f"{column} = {value}" for column, value in suppressed(columns_of(connection, table)).items())
    [(rows,)] = connection.execute(f"update {name} set {changed} where customer_id in (from {FOUND})").fetchall()
    connection.execute(
        f"update {name} set source_text = ? where starts_with(source_text, ?)", [TEXT_NOT_KEPT, UNREADABLE]
    )
    return int(rows)


def suppressed(columns: Collection[str]) -> dict[str, str]:
    """What becomes of the fields of a forgotten customer's row in a raw table with these columns, as SQL."""
    days = {name: f"date_trunc('day', {name})" for name in ("ordered_at", "occurred_at") if name in columns}
    return {
        **{name: "null" for name in _PERSONAL if name in columns},
        **days,
        "source_text": f"'{FORGOTTEN}'",
    }


FOUND = "found_forgotten_customers"
"""Temporary table of the ids that `find_forgotten` recognised."""


def find_forgotten(
    connection: duckdb.DuckDBPyConnection,
    relations: Sequence[str],
    register: Register | Forgotten,
    hashes: Sequence[str] | None = None,
) -> int:
    """Fill FOUND with the listed ids in the relations (quoted already). Returns their number.

    `hashes` replaces the list if the relations hold something other than ids.
    """
    queries = [f"select distinct customer_id from {relation}" for relation in relations]
    # A new warehouse has no tables yet.
    every = " union ".join(queries) or "select null::varchar as customer_id where false"
    # In two steps: a single query would hash every row of a customer before it removes duplicate ids.
    known = "temp.main.known_customers"
    connection.execute(f"create or replace temp table known_customers as {every}")
    hashed = register.hash()
    connection.execute(
        "create or replace temp table found_forgotten_customers as"
        f" select customer_id from {known} where list_contains($hashes, {hashed.expression('customer_id')})",
        {"hashes": register.hashes() if hashes is None else list(hashes), **hashed.parameters},
    )
    connection.execute(f"drop table {known}")
    [(found,)] = connection.execute(f"select count(*) from {FOUND}").fetchall()
    return int(found)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
