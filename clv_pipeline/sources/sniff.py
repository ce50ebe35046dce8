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
from itertools import islice
from typing import BinaryIO

from clv_pipeline.sources.encodings import is_western, odd_lines

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
    doubtful: bytes = b""
    """The first lines beyond ASCII if the encoding is not certain."""


def examine(stream: BinaryIO, configured_encoding: str | None) -> TextFacts:
    """Reads the whole stream once: an odd byte may be in the last line.

    Without a configured encoding, the byte-order mark decides. Without a mark, the encoding is utf-8 if every byte is
    valid utf-8, or if at least half of the characters beyond ASCII are; lines with the others are damaged and will be
    refused. Otherwise it is windows-1252, or not certain (`encodings`). What the stream raises on truncated or damaged
    compression is passed on.
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
    doubtful = b""
    # NULs are told first: such a file is damaged, or UTF-16.
    if configured_encoding is None and encoding == "windows-1252" and not has_nul:
        lines = odd_lines(stream, CHUNK)
        doubtful = lines if not is_western(lines) else b""
    text = codecs.getincrementaldecoder(encoding)(errors="replace").decode(head)
    odd_line_ends = returns > pairs or 0 < pairs < line_feeds
    text = text.removeprefix("\ufeff")
    header_is_cut = len(head) == _HEAD and not re.search(r"[\r\n]", text.lstrip("\r\n"))
    line_count = line_feeds + (previous not in (b"", b"\n"))
    return TextFacts(encoding, odd_line_ends, line_count, has_nul, text, header_is_cut, doubtful)


_LIKE_A_VALUE = re.compile(
    r"[+-]?[\d.,' ]*\d[\d.,' ]*|\S+@\S+[.]\S+"
    r"|\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}([ T].*)?|\d{1,2}[ -][A-Za-z]{3,9}[ -]\d{2,4}.*"
)
"""Numbers, dates and e-mail addresses, which are no names of columns."""

_CHECKED_RECORDS = 20


def is_like_a_value(name: str) -> bool:
    """Whether a name is a number, a date or an e-mail address."""
    return _LIKE_A_VALUE.fullmatch(name) is not None


def starts_with_a_record(head: str, delimiter: str) -> bool:
    """Whether the first line is a record: it has numbers, dates or addresses where most lines below have them, too.

    At least one of them must be something else than a whole number, or every field must be a value: columns may be
    called 2015 and 2016.
    """
    names, _ = header_of(head, delimiter)
    values = [position for position, name in enumerate(names) if is_like_a_value(name)]
    if not values or (all(names[position].isdigit() for position in values) and len(values) < len(names)):
        return False
    lines = head.lstrip("\r\n").splitlines()[1 : 1 + _CHECKED_RECORDS]
    records = [fields for line in lines if (fields := header_of(line, delimiter)[0])]
    alike = [
        all(position < len(fields) and is_like_a_value(fields[position]) for position in values) for fields in records
    ]
    return sum(alike) > len(alike) / 2


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


def guess_delimiter(head: str, wanted: Sequence[str], width: int | None = None) -> str:
    """The separator that finds most of the `wanted` names in the header: `,` `;` tab `|` or `whitespace`.

    Ties go to the separator that splits most lines of the sample into as many fields as the header has, then to the one
    with most fields. Of a file without a header, `width` is the number of columns.
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
                records = list(islice(csv.reader(io.StringIO(complete, newline=""), delimiter=delimiter), 200))
            except csv.Error:
                records = []
            widths = [len(record) for record in records if record]
        agreeing = sum(found == (width or len(names)) for found in widths) / max(len(widths), 1)
        return len(set(wanted) & set(names)), agreeing, len(names)

    found = {delimiter: evidence(delimiter) for delimiter in (*_DELIMITERS, "whitespace")}
    # Free text makes many "columns" of words, so runs of spaces count only if nothing else separates.
    best = max(found, key=lambda delimiter: (found[delimiter][:2], delimiter != "whitespace", found[delimiter][2]))
    return best if found[best] != (0, 0.0, 0) else ","
