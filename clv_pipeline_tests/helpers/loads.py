"""One night's load in a process of its own: what the step `raw_transactions` does, without Dagster around it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

NIGHT = """
import pathlib, pickle, re, duckdb
from clv_pipeline.config.settings import Settings
from clv_pipeline.sources import load_changes

here, state = pathlib.Path.cwd(), pathlib.Path("state")
source = Settings.load(here / "clv.yaml").source.transactions
con = duckdb.connect("warehouse.duckdb", config={"memory_limit": "MEMORY", "threads": 2})
known = pickle.loads(state.read_bytes()) if state.exists() else []
load = load_changes(con, "new", source, here, here / "work", live="live", known=known)
state.write_bytes(pickle.dumps(load.files))
if load.is_whole:
    con.execute("create table live as from new")
else:
    [replaced] = load.replaced
    con.execute("delete from live where ordered_at >= $since", {"since": replaced.since})
    con.execute("insert into live from new")
print("read", con.execute("select count(*) from new").fetchall()[0][0])
print("peak", int(re.search(r"VmHWM:\\s+(\\d+)", pathlib.Path("/proc/self/status").read_text())[1]) // 1000)
"""


def load_night(folder: Path, memory: str = "300MB", **environment: str) -> dict[str, int]:
    """Load by the clv.yaml of a folder into its `warehouse.duckdb`, where DuckDB may take so much memory.

    Returns the number of rows that were read (`read`), and the peak of the process's memory in MB (`peak`).
    """
    found = subprocess.run(
        [sys.executable, "-c", NIGHT.replace("MEMORY", memory)],
        cwd=folder,
        env={**os.environ, "TZ": "Asia/Tokyo", **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stderr
    return {name: int(number) for name, number in re.findall(r"(\w+) (\d+)", found.stdout)}


FEW, MANY = 300_000, 1_200_000
GROWTH = 1.35
"""How much more memory the load of MANY rows may take than that of FEW. The rows themselves are four times as many, and
of MANY they are half a gigabyte, which is more than all else that the process holds."""

LONG_ROWS = """
select
    'c' || (hash(i) % 20000) as who,
    cast(timestamp '2023-01-01' + to_seconds(i * 40) as varchar) as at,
    cast(1 + hash(i * 3) % 9000 as double) / 100 as paid,
    'note ' || i || repeat(' long', 80) as note
from range({first}, {last}) as orders(i)
"""
"""Rows of 450 bytes, from one number to the one before another."""

LONG_COLUMNS = {"customer_id": "who", "ordered_at": "at", "amount": "paid", "note": "note"}


def assert_memory_is_bounded(few: dict[str, int], many: dict[str, int]) -> None:
    """Hold two loads against each other."""
    assert (few["read"], many["read"]) == (FEW, MANY)
    assert many["peak"] < GROWTH * few["peak"]
