"""Valid files damaged at random: byte flips, cuts, splices, swapped columns, odd characters, always from a seed.

Here belongs making the damage and what must hold whatever it is: the load ends, with a SourceError or with books that
balance; and a text file without quotes loses no line.
"""

from __future__ import annotations

import gzip
import random
from collections.abc import Callable
from pathlib import Path

import duckdb
import polars as pl

from clv_pipeline.errors import SourceError
from clv_pipeline_tests.bad_input.bench import clean, settings_for
from clv_pipeline_tests.helpers.shop_files import ExcelDate, write_xlsx

TOKENS = [
    *('"', '""', ",", ";", "\t", "|", "\n", "\r", "\r\n", "\n\n", "\0", "\ufeff", "\u2028", "\x1a", "\\", "'", " "),
    *(
        "$",
        "€",
        "(",
        ")",
        "-",
        "−",
        "%",
        "e400",
        "NaN",
        "1,5",
        "1.234",
        "=1+1",
        "é",
        "𝄞",
        "\u202e",
        "{",
        "}",
        "[",
        "null",
    ),
    *("2010-02-30", "13/13/2010", "01/02/03", "12:61", "PM", "9999-12-31", "infinity", "customer,date,amount\n"),
]


def good_rows(rng: random.Random) -> list[list[str]]:
    """Header and records of a small shop."""
    day = rng.choice(["2010-05-{:02d}", "{:02d}/05/2010", "2010-05-{:02d} 08:26:00"])
    amount = rng.choice(["{}.50", "${}.25", "{}", "{}.5"])
    body = [[f"c{rng.randrange(5)}", day.format(rng.randint(13, 28)), amount.format(n)] for n in range(1, 12)]
    return [["customer", "date", "amount"], *body]


def good_file(rng: random.Random, folder: Path) -> Path:
    """A valid file of some kind."""
    rows = good_rows(rng)
    kind = rng.choice(["csv", "csv", "csv", "csv", "csv.gz", "jsonl", "parquet", "xlsx"])
    path = folder / f"a.{kind}"
    frame = pl.DataFrame(rows[1:], schema=rows[0], orient="row")
    if kind == "parquet":
        frame.write_parquet(path)
    elif kind == "jsonl":
        frame.write_ndjson(path)
    elif kind == "xlsx":
        body = [[customer, ExcelDate(40299 + n), n / 2] for n, (customer, *_) in enumerate(rows[1:])]
        write_xlsx(path, {"S": [rows[0], *body]})
    else:
        delimiter, end = rng.choice(",;\t|"), rng.choice(["\n", "\n", "\r\n"])
        text = "".join(delimiter.join(row) + end for row in rows)
        data = text.encode(rng.choice(["utf-8", "utf-8", "utf-8-sig", "utf-16"]))
        path.write_bytes(gzip.compress(data) if kind == "csv.gz" else data)
    return path


def damage(rng: random.Random, data: bytes) -> bytes:
    """One damage of the kind that disks, networks, editors and people do."""
    at = rng.randrange(len(data) + 1)
    to = min(len(data), at + rng.randrange(1, 40))
    token = rng.choice(TOKENS).encode(rng.choice(["utf-8", "utf-8", "utf-16-le"]))
    lines = data.split(b"\n")
    swapped = [b",".join(reversed(line.split(b","))) if rng.random() < 0.3 else line for line in lines]
    rng.shuffle(lines)
    damages: list[Callable[[], bytes]] = [
        lambda: data[:at] + bytes([rng.randrange(256)]) + data[at + 1 :],
        lambda: data[:at],
        lambda: data[:at] + data[to:],
        lambda: data[:at] + data[at:to] + data[at:],
        lambda: data[:at] + token + data[at:],
        lambda: data[:at] + token * rng.randrange(1, 50) + data[to:],
        lambda: data[:at] + rng.randbytes(rng.randrange(1, 30)) + data[at:],
        lambda: data + data[at:],
        lambda: b"\n".join(lines),
        lambda: b"\n".join(swapped),
    ]
    return rng.choice(damages)()


def assert_nothing_is_lost(con: duckdb.DuckDBPyConnection, folder: Path, seed: int) -> bool:
    """Makes, damages and loads the file of `seed`; whether it was loaded rather than refused."""
    rng = random.Random(seed)  # noqa: S311
    path = good_file(rng, folder)
    data = path.read_bytes()
    for _ in range(rng.randint(1, 3)):
        data = damage(rng, data)
    path.write_bytes(data)
    cleaning = {"returns": rng.choice(["drop", "net"]), "deduplicate": rng.random() < 0.5}
    try:
        books = clean(con, folder, settings_for({}, {}, cleaning))
    except SourceError as error:
        if path.name not in str(error):
            raise AssertionError(f"seed {seed}: the error does not name the file: {error}") from error
        return False
    books.assert_balanced()
    is_plain = path.suffix == ".csv" and not {b'"'[0], 0, b"\r"[0]} & set(data)
    if is_plain and data.isascii():
        records = [line for line in data.split(b"\n") if line]
        assert books.raw_rows == len(records) - 1
    return True
