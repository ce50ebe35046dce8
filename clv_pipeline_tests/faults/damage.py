"""Damage to files."""

from pathlib import Path


def flip_bytes(path: Path, offset: int, length: int = 64) -> None:
    """Turn every bit of some bytes of the file, as a bad disk does."""
    with path.open("r+b") as file:
        file.seek(offset)
        damaged = bytes(byte ^ 0xFF for byte in file.read(length))
        file.seek(offset)
        file.write(damaged)
