"""What a text file says about itself: encoding, line ends, delimiter, header.

Here belongs guessing from bytes. A value that the user configured is never second-guessed. Dates and numbers are
judged later, in `conventions`, for all files together.
"""

import codecs
import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import BinaryIO

CHUNK = 1 << 20
_HEAD = 1 << 16
_DELIMITERS = (",", ";", "\t", "|")
_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


@dataclass(frozen=True)
class TextFacts:
    """What one pass over the uncompressed bytes shows."""

    encoding: str
    """`utf-8` (with or without byte-order mark), or the codec to decode with."""
    odd_line_ends: bool
    """Whether \\r\\n and a bare \\n both occur, or a bare \\r, inside or outside quotes.

    DuckDB refuses or misnumbers such lines."""
    lines: int
    """Number of `\\n` bytes, plus one for a last line without one. Right only where one byte is one character."""
    has_nul: bool
    """Whether there is a NUL byte. Right only where one byte is one character."""
    head: str
    """The first 64 KB, decoded, without byte-order mark."""
    header_is_cut: bool
    """Whether the first line that is not blank goes on beyond the head."""


def examine(stream: BinaryIO, configured_encoding: str | None) -> TextFacts:
    """Reads the whole stream once: an odd byte may be in the last line.

    Without a configured encoding, the byte-order mark decides. Without a mark, the encoding is utf-8 if every byte is
    valid utf-8, or if at least half of the characters beyond ASCII are; lines with the others are damaged and will be
    refused. Otherwise it is windows-1252. What the stream raises on truncated or damaged compression is passed on.
    """
    head = b""
    returns = line_feeds = pairs = 0
    has_nul = False
    previous = b""
    decoder: codecs.IncrementalDecoder | None = codecs.getincrementaldecoder("utf-8")()
    while chunk := stream.read(CHUNK):
        if len(head) < _HEAD:
            head += chunk[: _HEAD - len(head)]
        # ASCII needs no decoding, unless the chunk before it ended inside a character.
        if decoder is not None and (decoder.getstate()[0] or not chunk.isascii()):
            try:
                decoder.decode(chunk)
            except UnicodeDecodeError:
                decoder = None
        line_feeds += chunk.count(b"\n")
        has_nul = has_nul or b"\0" in chunk
        if returns or b"\r" in chunk:
            returns += chunk.count(b"\r")
            pairs += chunk.count(b"\r\n") + (previous == b"\r" and chunk.startswith(b"\n"))
        previous = chunk[-1:]
    if decoder is not None:
        try:
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            decoder = None
    encoding = configured_encoding or _mark(head)
    if encoding is None:
        encoding = "utf-8" if decoder is not None or _is_damaged_utf8(stream) else "windows-1252"
    text = codecs.getincrementaldecoder(encoding)(errors="replace").decode(head)
    odd_line_ends = returns > pairs or 0 < pairs < line_feeds
    text = text.removeprefix("\ufeff")
    header_is_cut = len(head) == _HEAD and not re.search(r"[\r\n]", text.lstrip("\r\n"))
    lines = line_feeds + (previous not in (b"", b"\n"))
    return TextFacts(encoding, odd_line_ends, lines, has_nul, text, header_is_cut)


def _is_damaged_utf8(stream: BinaryIO) -> bool:
    """Whether at least half of the characters beyond ASCII are valid utf-8. By chance hardly any is."""
    stream.seek(0)
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    valid = invalid = 0
    while chunk := stream.read(CHUNK):
        text = decoder.decode(chunk)
        bad = text.count("\ufffd")
        invalid += bad
        valid += len(text) - len(text.encode("ascii", "ignore")) - bad
    return valid >= invalid


def _mark(head: bytes) -> str | None:
    return next((encoding for mark, encoding in _BOMS if head.startswith(mark)), None)


def header_of(head: str, delimiter: str) -> tuple[list[str], int]:
    """The stripped names in the first record that is not blank, and the number of blank lines before it."""
    text = head.lstrip("\r\n")
    blank = len(head[: len(head) - len(text)].splitlines())
    if delimiter == "whitespace":
        first = text.splitlines()[0] if text else ""
        return first.split(), blank
    try:
        names = next(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter), [])
    except csv.Error:
        names = []
    return [name.strip() for name in names], blank


def guess_delimiter(head: str, wanted: Sequence[str]) -> str:
    """The separator that finds most of the `wanted` names in the header: `,` `;` tab `|` or `whitespace`.

    Ties go to the separator that splits most lines of the sample into as many fields as the header has, then to the one
    with most fields.
    """
    complete = head[: head.rfind("\n") + 1] or head

    def evidence(delimiter: str) -> tuple[int, float, int]:
        names, _ = header_of(complete, delimiter)
        if len(names) < 2:
            return 0, 0.0, 0
        if delimiter == "whitespace":
            widths = [len(line.split()) for line in complete.splitlines()[:200] if line.strip()]
        else:
            try:
                records = list(csv.reader(io.StringIO(complete, newline=""), delimiter=delimiter))[:200]
            except csv.Error:
                records = []
            widths = [len(record) for record in records if record]
        agreeing = sum(width == len(names) for width in widths) / max(len(widths), 1)
        return len(set(wanted) & set(names)), agreeing, len(names)

    candidates = (*_DELIMITERS, "whitespace")
    # Free text makes many "columns" of words, so runs of spaces count only if nothing else separates.
    best = max(
        candidates,
        key=lambda delimiter: (evidence(delimiter)[:2], delimiter != "whitespace", evidence(delimiter)[2]),
    )
    return best if evidence(best) != (0, 0.0, 0) else ","
