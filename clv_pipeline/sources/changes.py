"""What is new in a source since the last load. The unit is the file: it is read again whole, or not at all.

Here belongs comparing the files that are there with the files that were loaded. A file is the same when its path,
size and content are; its content is not even hashed when its times show that nobody has written to it.
"""

import os
from collections.abc import Container, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from clv_pipeline.sources.catalog import SourceFile
from clv_pipeline.sources.prepare import damage_told


@dataclass(frozen=True)
class LoadedFile:
    """What one file, zip member, sheet or query gave."""

    source_id: int
    """Its number, from 1: what the rows carry instead of the name, which is long and the same. Never used again."""
    source_file: str
    rows: int
    """Rows in the table, the unreadable ones included."""
    unreadable_rows: int
    bytes: int | None
    """Of the whole file, also for one member or sheet of it; None for a query."""
    sha256: str | None
    """Of the same bytes."""
    format: str
    """For people: kind, delimiter, encoding, dates, decimals."""
    path: str
    """The file on disk, as configured: of members and sheets the archive or workbook; of a query its label."""
    stamp: str
    """Size and times of the file when it was loaded; '' where it was written to just then, and for a query."""
    conventions: str
    """How dates and numbers were read, as JSON (`Conventions`)."""
    present: bool = True
    """False: the file is gone, its rows are kept."""


@dataclass(frozen=True)
class Changes:
    """The files of a source, held against those of the last load."""

    read: list[SourceFile]
    """New, changed, or asked for."""
    kept: list[LoadedFile]
    """Their rows stay."""
    replaced: list[LoadedFile]
    """Their rows go: of a changed file, or of one that is gone."""

    def reading_all(self, files: Sequence[SourceFile]) -> "Changes":
        """The same, but every file that is there is read again."""
        present = [file for file in self.kept if file.present]
        return Changes(list(files), [file for file in self.kept if not file.present], [*present, *self.replaced])

    @property
    def gone(self) -> list[str]:
        """The files that are no longer there, whether their rows are kept or not."""
        read = {file.label for file in self.read}
        gone = {file.path for file in self.kept if not file.present}
        return sorted(gone | {file.path for file in self.replaced if file.path not in read})


def compare(
    files: Sequence[SourceFile], known: Sequence[LoadedFile], again: Container[str], keep_removed: bool
) -> Changes:
    """What has to be read.

    Args:
        files: that are there now.
        known: what the last load knew.
        again: labels of files to read although they have not changed.
        keep_removed: whether the rows of files that are gone stay.

    Raises SourceError where a file cannot be read.
    """
    before: dict[str, list[LoadedFile]] = {}
    for loaded in known:
        before.setdefault(loaded.path, []).append(loaded)
    read: list[SourceFile] = []
    kept: list[LoadedFile] = []
    replaced: list[LoadedFile] = []
    for file in files:
        parts = before.pop(file.label, [])
        if parts and file.label not in again and _is_same(file, parts[0]):
            kept += [replace(part, stamp=file.stamp(), present=True) for part in parts]
        else:
            read.append(file)
            replaced += parts
    for parts in before.values():
        if keep_removed:
            kept += [replace(part, present=False) for part in parts]
        else:
            replaced += parts
    return Changes(read, kept, replaced)


def _is_same(file: SourceFile, loaded: LoadedFile) -> bool:
    with damage_told(file.label):
        if loaded.stamp and file.stamp() == loaded.stamp:
            return True
        return file.bytes == loaded.bytes and file.sha256() == loaded.sha256


def ends_a_line(file: LoadedFile, base_dir: Path) -> bool | None:
    """Whether a file of lines ends with a line break, as a copy that was interrupted hardly does.

    None for what is no plain file of lines, or is packed: packing tells by itself that something is missing.
    """
    is_plain = file.format.startswith(("CSV", "JSON lines")) and "gzip" not in file.format
    if file.bytes is None or file.bytes < _TAIL or not is_plain or file.path != file.source_file:
        return None
    with damage_told(file.path), (base_dir / file.path).open("rb") as opened:
        opened.seek(-_TAIL, os.SEEK_END)
        tail = opened.read()
    return b"\n" in tail or b"\r" in tail


_TAIL = 2
"""Bytes of a character of UTF-16."""
