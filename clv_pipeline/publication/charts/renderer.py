"""Drawing pictures in a process of its own, so that a crash of the renderer costs a picture and never the run.

One process draws all pictures of a run. It starts with the first picture, and starts again after a crash.
"""

from __future__ import annotations

import atexit
import json
import signal
import struct
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from clv_pipeline.errors import PictureError

WORKER = Path(__file__).with_name("worker.py")

SECONDS = 120
"""Time limit for one picture. The slowest picture of a large shop takes two seconds."""

_LONGEST_WORDS = 300


class Renderer:
    """A process that draws pictures one after the other.

    Args:
        worker: the program. worker.py describes its protocol.
        seconds: time limit for one picture.
    """

    def __init__(self, worker: Path = WORKER, seconds: float = SECONDS) -> None:
        self._worker = worker
        self._seconds = seconds
        self._process: subprocess.Popen[bytes] | None = None
        self._words: IO[bytes] | None = None
        self._lock = threading.Lock()

    def draw(self, spec: dict[str, Any], *, vl_version: str) -> bytes:
        """The picture of a specification, an SVG.

        Raises:
            PictureError: it could not be drawn. The next picture may still be drawn.
        """
        request = json.dumps({"spec": spec, "vl_version": vl_version}).encode()
        with self._lock:
            process = self._running()
            is_late = threading.Event()

            def stop() -> None:
                is_late.set()
                process.kill()

            alarm = threading.Timer(self._seconds, stop)
            alarm.start()
            try:
                is_drawn, content = self._asked(process, request)
            except (OSError, EOFError) as error:
                raise self._died(process, is_late.is_set()) from error
            finally:
                alarm.cancel()
        if not is_drawn:
            raise PictureError("the renderer refused it", quoted=content.decode()[:_LONGEST_WORDS])
        return content

    def close(self) -> None:
        """End the process, if there is one."""
        with self._lock:
            process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.communicate()
        if self._words is not None:
            self._words.close()

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            self._words = tempfile.TemporaryFile()  # noqa: SIM115  (open as long as the process)
            # -P: the folder of worker.py must not be searched for modules.
            self._process = subprocess.Popen(  # noqa: S603  (our own program)
                [sys.executable, "-P", str(self._worker)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._words,
            )
        return self._process

    @staticmethod
    def _asked(process: subprocess.Popen[bytes], request: bytes) -> tuple[bool, bytes]:
        assert process.stdin is not None  # noqa: S101  (both are pipes)
        assert process.stdout is not None  # noqa: S101
        process.stdin.write(struct.pack(">I", len(request)) + request)
        process.stdin.flush()
        header = process.stdout.read(5)
        if len(header) < 5:
            raise EOFError
        is_drawn, length = struct.unpack(">?I", header)
        content = process.stdout.read(length)
        if len(content) < length:
            raise EOFError
        return is_drawn, content

    def _died(self, process: subprocess.Popen[bytes], is_late: bool) -> PictureError:
        """Clean up the process and return the error for the missing picture."""
        self._process = None
        # What the process has not read no longer matters.
        with suppress(BrokenPipeError):
            process.communicate()
        code = process.returncode
        how = f"after {self._seconds:,.0f} s" if is_late else f"by {signal.Signals(-code).name}" if code < 0 else ""
        words = b""
        if self._words is not None:
            self._words.seek(0)
            words = self._words.read()
            self._words.close()
        return PictureError(
            f"the process that draws was ended {how}" if how else f"the process that draws ended with status {code}",
            # Native code first names the fault and then prints a stack trace.
            quoted=" ".join(words.decode(errors="replace").split())[:_LONGEST_WORDS],
        )


RENDERER = Renderer()
"""The renderer of this process."""

atexit.register(RENDERER.close)
