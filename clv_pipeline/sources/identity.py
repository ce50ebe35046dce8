"""What identifies a file: its unpacked bytes. Its name and its compression may change.

Here belongs finding the contents that are there, and their names. (`catalog` replaces a link by the file that it leads
to.) A file that the last load knew is not hashed again unless somebody has written to it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from clv_pipeline.errors import SourceError
from clv_pipeline.sources.files import SourceFile
from clv_pipeline.sources.hive import known_by
from clv_pipeline.sources.loaded import KnownName, LoadedFile
from clv_pipeline.sources.prepare import contents_of


@dataclass(frozen=True)
class Name:
    """A file that is there, or an archive member, and the hash of its content."""

    file: SourceFile
    """The file on disk; for a member, the archive."""
    label: str
    """Label of the file or of the member."""
    sha256: str | None
    """Hash of the file as it is on disk."""
    content: str | None
    """sha256 of the unpacked bytes, and of the file's partition; None if they cannot be read. Opening the file then
    raises the error."""

    def known(self) -> KnownName:
        """What the next load will know about it."""
        return KnownName(self.label, self.file.label, self.file.stamp(), self.sha256)


Hashing = Callable[[Sequence[SourceFile]], list[list[Name]]]
"""Hashes files: for each, its names."""


def names_of(
    files: Sequence[SourceFile], known: Sequence[LoadedFile] = (), hashing: Hashing | None = None
) -> list[Name]:
    """The names of everything in `files`, in their order.

    Args:
        files: the files that are there now.
        known: what the last load knew. It holds for a file that nobody has written to since.
        hashing: hashes the other files; None: this process does.
    """
    remembered: dict[str, dict[str, tuple[KnownName, str | None]]] = {}
    for part in known:
        own = [KnownName(part.name, part.path, part.stamp, part.sha256)] if part.present else []
        for name in (*own, *part.other_names()):
            remembered.setdefault(name.path, {})[name.label] = (name, part.content)
    found = {file.label: _believed(file, remembered.get(file.label, {}).values()) for file in files}
    unknown = [file for file in files if not found[file.label]]
    named = (hashing or _in_threads)(unknown)
    found |= {file.label: names for file, names in zip(unknown, named, strict=True)}
    return [name for file in files for name in found[file.label]]


def with_contents(known: Sequence[LoadedFile], names: Sequence[Name]) -> list[LoadedFile]:
    """`known`, each with the hash of its content. Earlier versions recorded only the hash of the file on disk."""
    # Matched by the bytes on disk and the place in the archive, because the file may have another name by now.
    now = {(name.sha256, name.label.removeprefix(name.file.label)): name.content for name in names}
    return [
        replace(part, content=now.get((part.sha256, part.name.removeprefix(part.path))))
        if part.content is None and part.is_packed
        else replace(part, content=part.content or part.sha256)
        for part in known
    ]


def _believed(file: SourceFile, remembered: Iterable[tuple[KnownName, str | None]]) -> list[Name]:
    """The names as the last load knew them; empty if anything may have changed."""
    known = list(remembered)
    stamp = file.stamp() if known else ""
    if not stamp or any(name.stamp != stamp or content is None for name, content in known):
        return []
    return [Name(file, name.label, name.sha256, content) for name, content in known]


def _in_threads(files: Sequence[SourceFile]) -> list[list[Name]]:
    # Hashing and unpacking release the interpreter lock.
    with ThreadPoolExecutor(max_workers=min(4, os.cpu_count() or 1)) as threads:
        return list(threads.map(hashed, files))


def hashed(file: SourceFile) -> list[Name]:
    """The names of what is in a file, whose bytes are all read."""
    with file.at_hand():
        try:
            sha256, contents = contents_of(file)
        except SourceError:  # raised again when the file is opened, together with the errors of other files
            return [Name(file, file.label, None, None)]
    return [Name(file, label, sha256, known_by(content, file.partition)) for label, content in contents.items()]
