"""The lock on the warehouse: an advisory lock on a file beside it, which names its holder.

The kernel releases it when the holder ends, however that happens, so a lock is never stale. Another process waits, or
is refused with a sentence that names the holder.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO

from clv_pipeline.errors import WarehouseBusyError

_POLL_SECONDS = 0.5


class WriterLock:
    """The right to work on a warehouse, for one process at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: IO[str] | None = None

    def acquire(self, holder: str, *, wait_minutes: float = 0, tell: Callable[[str], object] | None = None) -> None:
        """Take the lock, unless this object has it already, and write `holder` into it for others to read.

        Args:
            holder: what this process is doing, such as `run 1234`.
            wait_minutes: how long to wait for another holder; 0 to be refused at once.
            tell: called once with a message before waiting.

        Raises:
            WarehouseBusyError: another process still has it.
        """
        if self._file is not None:
            return
        deadline = time.monotonic() + 60 * wait_minutes
        told = False
        while (file := _try_lock(self.path)) is None:
            other = self.path.read_text(encoding="utf-8").strip() or "a process that has not said its name"
            if time.monotonic() >= deadline:
                waited = f", and {wait_minutes:g} minutes were not enough" if wait_minutes else ""
                raise WarehouseBusyError(
                    f"the warehouse {self.path.parent} is in use by {other}{waited}",
                    to_do="wait for it to end, or stop it, and start again",
                )
            if tell is not None and not told:
                tell(f"waiting up to {wait_minutes:g} minutes: the warehouse is in use by {other}")
                told = True
            time.sleep(_POLL_SECONDS)
        file.truncate(0)
        file.write(f"process {os.getpid()}, {holder}")
        file.flush()
        self._file = file

    def release(self) -> None:
        """Release the lock."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def is_free(self) -> bool:
        """Whether nobody holds the lock now. The check takes the lock for a moment, so make it rarely."""
        file = _try_lock(self.path)
        if file is None:
            return False
        file.close()
        return True


def _try_lock(path: Path) -> IO[str] | None:
    """The locked file, or None if another process has the lock."""
    file = path.open("a+", encoding="utf-8")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file
