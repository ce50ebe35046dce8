"""A file of a source: where it is, and how to see that somebody has written to it."""

import hashlib
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from clv_pipeline.sources.hive import Partition

_SECONDS_TO_SETTLE = 2


@dataclass(frozen=True)
class SourceFile:
    """One existing file of a source."""

    label: str
    """The path as the user wrote it, with its glob resolved. A relative path is the same on every machine."""
    path: Path
    partition: Partition = field(default=(), kw_only=True)
    """What its folders say of its rows, of the columns that are mapped."""

    @property
    def bytes(self) -> int:
        """Size on disk."""
        return self.path.stat().st_size

    def state(self) -> tuple[int, int, int]:
        """Size and times, which differ after every write. rsync sets mtime, but nobody can set the last one."""
        found = self.path.stat()
        return found.st_size, found.st_mtime_ns, found.st_ctime_ns

    def stamp(self) -> str:
        """The state as text; '' for a file that was written to in the last seconds.

        The next write to such a file may bear the same times.
        """
        size, modified, changed = self.state()
        return f"{size} {modified} {changed}" if time.time() - changed / 1e9 > _SECONDS_TO_SETTLE else ""

    @contextmanager
    def at_hand(self) -> Iterator[None]:
        """Keep the bytes at `path` meanwhile; a file on disk is there anyway."""
        yield

    def sha256(self) -> str:
        """Hex digest of the bytes on disk, which are the compressed bytes of a compressed file."""
        with self.path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
