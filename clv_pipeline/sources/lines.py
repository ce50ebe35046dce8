"""Counting and measuring the lines of text files without a loop over them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from clv_pipeline.sources.prepare import uncompressed
from clv_pipeline.sources.sniff import CHUNK

_RETURN, _FEED = 13, 10


def filled_lines(path: Path) -> int:
    """Number of lines of the file at `path`, gzipped or not, that are not blank."""
    import numpy as np

    count = 0
    # Starts as if a line had just ended. The bytes before a chunk decide whether its first line is blank.
    before = bytes([_FEED, _FEED])
    for chunk in _chunks(path):
        text = np.frombuffer(before + chunk, dtype=np.uint8)
        ends, last, last_but_one = text[2:] == _FEED, text[1:-1], text[:-2]
        blank = (last == _FEED) | ((last == _RETURN) & (last_but_one == _FEED))
        count += int(np.count_nonzero(ends & ~blank))
        before = (before + chunk)[-2:]
    return count + (before[-1] != _FEED)


def longest_line(path: Path) -> tuple[int, int]:
    """Number (from 1) and size in bytes of the longest line of the file at `path`, gzipped or not."""
    import numpy as np

    number, longest, lines, start, offset = 1, 0, 0, 0, 0
    for chunk in _chunks(path):
        ends = offset + np.flatnonzero(np.frombuffer(chunk, dtype=np.uint8) == _FEED)
        if len(ends):
            lengths = np.diff(ends, prepend=start - 1) - 1
            at = int(np.argmax(lengths))
            if lengths[at] > longest:
                number, longest = lines + at + 1, int(lengths[at])
            lines += len(ends)
            start = int(ends[-1]) + 1
        offset += len(chunk)
    return (lines + 1, offset - start) if offset - start > longest else (number, longest)


def _chunks(path: Path) -> Iterator[bytes]:
    with uncompressed(path, path.suffix.lower() == ".gz") as stream:
        while chunk := stream.read(CHUNK):
            yield chunk
