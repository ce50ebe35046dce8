"""Preparing files that DuckDB cannot scan as they are.

Here belongs the step before SQL: unpacking zip members, transcoding to utf-8, one kind of line end, columns
that are aligned by spaces. Everything is streamed. A copy is written into the work folder only if one is
needed; plain utf-8 CSV, gzipped or not, is scanned in place.
"""

import gzip
import hashlib
import io
import os
import re
import shutil
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import IO, BinaryIO, cast

from clv_pipeline.config.source import is_object_url
from clv_pipeline.errors import SourceError
from clv_pipeline.sources.encodings import question
from clv_pipeline.sources.files import SourceFile
from clv_pipeline.sources.loaded import LoadedFile
from clv_pipeline.sources.reach import PACKAGED
from clv_pipeline.sources.sniff import CHUNK, TextFacts, examine

TEXT_KINDS = {".csv": "csv", ".txt": "csv", ".tsv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl"}
KINDS = {**TEXT_KINDS, ".parquet": "parquet", ".xlsx": "xlsx"}
"""Reader of each file ending. Text kinds may be gzipped too."""

_OTHER_KINDS = {b"\x1f\x8b": ".gz", b"PK\x03\x04": ".zip or .xlsx", b"PAR1": ".parquet"}
"""First bytes of files that are not text, and the ending that their names should have."""

_MAX_RATIO = 200
_RATIO_APPLIES_ABOVE = 100 * CHUNK
"""A file that unpacks to more than this, and to more than _MAX_RATIO times its size on disk, is a bomb. Tables of text
are packed to between a fifth and a twentieth."""


_PACKED = (".gz", ".zip")
"""Endings of compressed files."""

_TAIL = 2
"""Number of bytes of a UTF-16 character."""


def kind_of(label: str) -> tuple[str, bool]:
    """The kind of a file (`csv`, `jsonl`, `parquet`, `xlsx` or `zip`), and whether it is gzipped.

    Raises:
        SourceError: the file has another ending.
    """
    suffixes = [suffix.lower() for suffix in PurePosixPath(label).suffixes]
    if suffixes[-1:] == [".zip"]:
        return "zip", False
    if suffixes[-1:] == [".gz"] and suffixes[-2:-1] and suffixes[-2] in TEXT_KINDS:
        return TEXT_KINDS[suffixes[-2]], True
    if suffixes[-1:] and suffixes[-1] in KINDS:
        return KINDS[suffixes[-1]], False
    known = ", ".join([*KINDS, ".gz of the text formats", ".zip"])
    raise SourceError(
        f"{label}: this kind of file is not read; known are {known}",
        to_do="save it as one of them; a file that is one already needs its ending",
    )


def has_known_kind(label: str) -> bool:
    """Whether a file is of a kind that is read."""
    try:
        kind_of(label)
    except SourceError:
        return False
    return True


@contextmanager
def damage_told(label: str) -> Iterator[None]:
    """Turn the errors of damaged, truncated or unreadable files into a SourceError that names the file.

    Raises:
        SourceError: the file is damaged, truncated or unreadable.
    """
    try:
        yield
    except (EOFError, zlib.error, gzip.BadGzipFile, zipfile.BadZipFile) as error:
        raise SourceError(
            f"{label}: is truncated or damaged, or not what its name says",
            quoted=str(error),
            to_do="get the file again",
        ) from error
    except UnicodeDecodeError as error:
        raise SourceError(
            f"{label}: is not valid {error.encoding}",
            quoted=f"byte {error.object[error.start]:#04x}",
            to_do="state the source's format.encoding",
        ) from error
    # zipfile raises RuntimeError for encrypted members and unknown kinds of compression.
    except (OSError, RuntimeError) as error:
        raise SourceError(f"{label}: cannot be read", quoted=str(error)) from error


@contextmanager
def uncompressed(path: Path, gzipped: bool) -> Iterator[BinaryIO]:
    """A stream of the uncompressed bytes of a file."""
    if gzipped:
        with gzip.open(path, "rb") as stream:
            yield cast(BinaryIO, stream)
    else:
        with path.open("rb") as stream:
            yield stream


def refuse_bomb(label: str, packed_bytes: int, unpacked_bytes: int) -> None:
    """Refuse a file that unpacks to an absurd size. Called before or while it is unpacked.

    Raises:
        SourceError: the file may be a bomb.
    """
    if unpacked_bytes > max(_RATIO_APPLIES_ABOVE, _MAX_RATIO * packed_bytes):
        ratio = unpacked_bytes // max(packed_bytes, 1)
        raise SourceError(f"{label}: unpacks {ratio}-fold and may be a bomb", to_do="unpack it yourself to trust it")


def refuse_zip_bomb(label: str, path: Path) -> None:
    """Refuse a zip (a workbook is one) that may be a bomb by the stated sizes of all its members.

    Raises:
        SourceError: the file may be a bomb, or is damaged.
    """
    with damage_told(label), zipfile.ZipFile(path) as archive:
        refuse_bomb(label, path.stat().st_size, sum(info.file_size for info in archive.infolist()))


class _Bounded:
    """A stream that counts its bytes while it is read."""

    def __init__(self, stream: BinaryIO, file: SourceFile) -> None:
        self._stream = stream
        self._file = file
        self._given = 0

    def read(self, size: int) -> bytes:
        """The next bytes.

        Raises:
            SourceError: the file turns out to be a bomb.
        """
        chunk = self._stream.read(size)
        self._given += len(chunk)
        refuse_bomb(self._file.label, self._file.bytes, self._given)
        return chunk

    def seek(self, offset: int) -> None:
        """Go to `offset` and count on from there."""
        self._stream.seek(offset)
        self._given = offset


def text_facts(file: SourceFile, gzipped: bool, configured_encoding: str | None) -> TextFacts:
    """Encoding, line ends and head of a text file.

    Raises:
        SourceError: the file is empty, damaged, not text, of an uncertain encoding, or a bomb.
    """  # noqa: DOC501  (`question` makes one of the errors)
    with damage_told(file.label), uncompressed(file.path, gzipped) as stream:
        beginning = stream.read(4)
        stream.seek(0)
        ending = next((ending for mark, ending in _OTHER_KINDS.items() if beginning.startswith(mark)), None)
        if ending is not None:
            raise SourceError(f"{file.label}: is no text but a {ending} file", to_do="name it so")
        # Every text file is read to its end here, before anything else reads it.
        facts = examine(cast(BinaryIO, _Bounded(stream, file)), configured_encoding)
    if facts.doubtful:
        raise question(file.label, facts.doubtful)
    if not facts.head.strip():
        raise SourceError(f"{file.label}: is empty", to_do="remove it or write at least its header")
    if "\0" in facts.head.lstrip().partition("\n")[0]:
        raise SourceError(
            f"{file.label}: its first line holds NUL characters",
            to_do="get the file again if it is damaged, or state the source's format.encoding, for example utf-16-le",
        )
    return facts


def ends_a_line(file: LoadedFile, base_dir: Path) -> bool | None:
    """Whether a file of lines ends with a line break. An interrupted copy hardly ever does.

    None for other kinds and for packed files: a packed file that was cut cannot be unpacked.

    Raises:
        SourceError: the file can no longer be read.
    """
    # A store shows an object only once it is complete, and its copy is gone.
    is_plain = file.format.startswith(("CSV", "JSON lines")) and not file.is_packed and not is_object_url(file.path)
    if file.bytes is None or file.bytes < _TAIL or not is_plain or file.path.startswith(PACKAGED):
        return None
    with damage_told(file.path), (base_dir / Path(file.path).expanduser()).open("rb") as opened:
        opened.seek(-_TAIL, os.SEEK_END)
        tail = opened.read()
    # Of UTF-16, the other byte of a line break is NUL. A character behind a line break begins a line.
    return tail.strip(b"\0")[-1:] in {b"\n", b"\r"}


def as_plain_utf8(file: SourceFile, gzipped: bool, facts: TextFacts, whitespace: bool, target: Path) -> TextFacts:
    r"""Copy to `target` as utf-8 with `\n` line ends; for `whitespace`, each run of spaces becomes one tab.

    A line break inside quotes becomes `\n` as well. Returns the facts of the copy.

    Raises:
        SourceError: some bytes are not valid in the encoding.
    """
    codec = "utf-8-sig" if facts.encoding == "utf-8" else facts.encoding
    lines, last, has_nul = 0, "", False
    with (
        damage_told(file.label),
        uncompressed(file.path, gzipped) as stream,
        io.TextIOWrapper(stream, encoding=codec, errors="strict", newline=None) as text,
        target.open("w", encoding="utf-8", newline="\n") as out,
    ):
        rest = ""
        while chunk := text.read(CHUNK):
            lines += chunk.count("\n")
            has_nul = has_nul or "\0" in chunk
            last = chunk[-1]
            if whitespace:
                # Runs of spaces are joined within complete lines only, so the last, incomplete line waits.
                chunk, newline, rest = (rest + chunk).rpartition("\n")
                chunk = _tabs_for_spaces(chunk + newline)
            out.write(chunk)
        out.write(_tabs_for_spaces(rest))
    return replace(facts, lines=lines + (last != "\n"), has_nul=has_nul)


def blank_lines_before(path: Path, positions: Sequence[int]) -> list[int]:
    """The number of blank lines before each byte position (ascending) of the uncompressed file at `path`."""
    counts, count, read = [], 0, 0
    with uncompressed(path, path.suffix.lower() == ".gz") as stream:
        for position in positions:
            while read < position:
                lines = stream.readlines(min(CHUNK, position - read))
                if not lines:
                    break
                read += sum(map(len, lines))
                count += lines.count(b"\n") + lines.count(b"\r\n")
            counts.append(count)
    return counts


def _tabs_for_spaces(lines: str) -> str:
    return re.sub(r"[ \t]+", "\t", re.sub(r"^[ \t]+|[ \t]+$", "", lines, flags=re.MULTILINE))


def unpack(file: SourceFile, work_dir: Path) -> list[SourceFile]:
    """The readable members of a zip, extracted into `work_dir`; labels are `archive.zip#member`.

    Raises:
        SourceError: the archive is damaged or encrypted, the name of a member leads out of it, its members unpack to an
            absurd size, or nothing readable is inside.
    """
    members: list[SourceFile] = []
    with _opened_zip(file) as archive:
        for label, info in _members(file, archive):
            # The member's own name is never used as a path.
            target = work_dir / f"member_{len(members):05d}{PurePosixPath(label).suffix.lower()}"
            with archive.open(info) as packed, target.open("wb") as out:
                shutil.copyfileobj(packed, out, CHUNK)
            members.append(SourceFile(label, target))
    return members


def contents_of(file: SourceFile) -> tuple[str, dict[str, str]]:
    """sha256 of the file as it is on disk, and sha256 of each of its unpacked contents by label.

    A file has one content; an archive has one per readable member.

    Raises:
        SourceError: the file is damaged, encrypted, a bomb or of an unknown kind, or access to it is denied.
    """
    kind, gzipped = kind_of(file.label)
    with damage_told(file.label):
        sha256 = file.sha256()
    if kind == "zip":
        with _opened_zip(file) as archive:
            return sha256, {label: _digest_of(file, archive.open(info)) for label, info in _members(file, archive)}
    if not gzipped:
        return sha256, {file.label: sha256}
    with damage_told(file.label), uncompressed(file.path, gzipped) as stream:
        return sha256, {file.label: _digest_of(file, stream)}


def _digest_of(file: SourceFile, stream: IO[bytes]) -> str:
    bounded = _Bounded(cast(BinaryIO, stream), file)
    digest = hashlib.sha256()
    while chunk := bounded.read(CHUNK):
        digest.update(chunk)
    return digest.hexdigest()


@contextmanager
def _opened_zip(file: SourceFile) -> Iterator[zipfile.ZipFile]:
    # All members together, because many of them may share the same packed bytes. A member never unpacks to more than
    # its stated size.
    refuse_zip_bomb(file.label, file.path)
    with damage_told(file.label), zipfile.ZipFile(file.path) as archive:
        yield archive


def _members(file: SourceFile, archive: zipfile.ZipFile) -> list[tuple[str, zipfile.ZipInfo]]:
    """The members that are read, with their labels.

    Raises:
        SourceError: there is none, a name leads out of the archive, or a member is packed itself.
    """
    found = []
    for info in archive.infolist():
        name = PurePosixPath(info.filename.replace("\\", "/"))
        if name.is_absolute() or ".." in name.parts or ":" in name.parts[0]:
            raise SourceError(
                f"{file.label}: a member leads out of the archive", quoted=repr(info.filename), to_do="repack it"
            )
        hidden = name.name.startswith(".") or name.parts[0] == "__MACOSX"
        if info.is_dir() or hidden:
            continue
        if name.suffix.lower() in _PACKED:
            raise SourceError(
                f"{file.label}: a member is compressed itself, which is not read",
                quoted=repr(info.filename),
                to_do="pack the plain file, or name the compressed file without a zip around it",
            )
        if name.suffix.lower() in KINDS:
            found.append((f"{file.label}#{name}", info))
    if not found:
        raise SourceError(f"{file.label}: holds no file that is read ({', '.join(KINDS)})")
    return found
