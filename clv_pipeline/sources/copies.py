"""Copies of objects in the work folder. Together they never take more than a limit, unless one alone does."""

import shutil
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from clv_pipeline.errors import SourceError

MOST_BYTES = 4_000_000_000
"""How much the copies may take. What does not fit is fetched again for each of the steps of a load."""


class Copies:
    """The copies in one folder. The one that was least recently used goes first; what is in use stays."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._sizes: dict[Path, int] = {}
        """Of the copies that are there or on their way, the least recently used first."""
        self._users: Counter[Path] = Counter()
        self._changed = threading.Condition()

    @contextmanager
    def holding(self, path: Path, size: int, fetch: Callable[[Path], None]) -> Iterator[None]:
        """Keep a copy of `size` bytes at `path` meanwhile; `fetch` writes it if it is not there.

        Raises:
            SourceError: the disk is too small for it.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._has_room(path, size))
            is_there = path in self._sizes
            self._sizes[path] = self._sizes.pop(path, size)
            self._users[path] += 1
        try:
            if not is_there:
                self.folder.mkdir(parents=True, exist_ok=True)
                free = shutil.disk_usage(self.folder).free
                if free < size:
                    raise SourceError(
                        f"{self.folder}: {size / 1e6:,.0f} MB are needed for a copy, and {free / 1e6:,.0f} MB are free",
                        to_do="make room, or move storage.home to a larger disk",
                    )
                fetch(path)
            yield
        except BaseException:
            self._forget(path)
            raise
        finally:
            with self._changed:
                self._users[path] -= 1
                self._changed.notify_all()

    def _has_room(self, path: Path, size: int) -> bool:
        """Delete what must go for another copy, and tell whether that was enough."""
        idle = [kept for kept in self._sizes if not self._users[kept]]
        while path not in self._sizes and sum(self._sizes.values()) + size > MOST_BYTES and idle:
            self._forget(idle.pop(0))
        return path in self._sizes or not self._sizes or sum(self._sizes.values()) + size <= MOST_BYTES

    def _forget(self, path: Path) -> None:
        with self._changed:
            self._sizes.pop(path, None)
            path.unlink(missing_ok=True)
