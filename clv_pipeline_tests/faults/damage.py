"""Damage to files."""

import subprocess
import sys
from pathlib import Path

WRITE_AND_DIE = """
import duckdb, os, signal, sys
connection = duckdb.connect(sys.argv[1])
connection.execute("create table of_another_file as select 1 as id")
os.kill(os.getpid(), signal.SIGKILL)
"""


def flip_bytes(path: Path, offset: int, length: int = 64) -> None:
    """Turn every bit of some bytes of the file, as a bad disk does."""
    with path.open("r+b") as file:
        file.seek(offset)
        damaged = bytes(byte ^ 0xFF for byte in file.read(length))
        file.seek(offset)
        file.write(damaged)


def killed_writer(path: Path) -> Path:
    """The log that a killed writer left beside a database file."""
    subprocess.run([sys.executable, "-c", WRITE_AND_DIE, str(path)], check=False)
    return path.with_name(f"{path.name}.wal")
