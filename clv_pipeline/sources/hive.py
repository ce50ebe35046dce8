"""Partition columns: what the folders of a file say of all its rows, as in `dt=2024-01-03/part-0.parquet`.

They belong to what a file is known by: the same bytes in two partitions are two sets of records.
"""

import hashlib
from collections.abc import Collection
from pathlib import PurePosixPath
from urllib.parse import unquote

Partition = tuple[tuple[str, str | None], ...]
"""Names and values of partition columns."""

_NO_VALUE = "__HIVE_DEFAULT_PARTITION__"
"""How writers name the folder of the rows without a value."""


def partition_of(label: str, names: Collection[str]) -> Partition:
    """The partition columns in the folders of a file that are among `names`, or all if there are no names.

    Of two folders with the same name, the inner one counts.
    """
    found: dict[str, str | None] = {}
    for folder in PurePosixPath(label.partition("://")[2] or label).parts[:-1]:
        name, separator, value = folder.partition("=")
        column = unquote(name)
        if separator and name and (not names or column in names):
            found[column] = None if value == _NO_VALUE else unquote(value)
    return tuple(found.items())


def known_by(content: str, partition: Partition) -> str:
    """What identifies a file: the hash of its bytes, and of its partition if it has one."""
    return hashlib.sha256(repr((content, partition)).encode()).hexdigest() if partition else content
