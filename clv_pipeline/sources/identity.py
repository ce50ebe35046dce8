"""What a file is known by: its bytes, unpacked. Its name may change, and so may the way it is packed.

Here belongs finding out which contents there are, and under which names. (A link is the file that it leads to, which
`catalog` sees to.) What the last load knew is not hashed again while nobody has written to the file.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from clv_pipeline.errors import SourceError
from clv_pipeline.sources.catalog import SourceFile
from clv_pipeline.sources.loaded import KnownName, LoadedFile
from clv_pipeline.sources.prepare import contents_of


@dataclass(frozen=True)
class Name:
    """A file that is there, or a member of an archive, and what it holds."""

    file: SourceFile
    """The file on disk: of a member, the archive."""
    label: str
    """Of the file, or of the member."""
    sha256: str | None
    """Of the file as it lies on disk."""
    content: str | None
    """sha256 of the bytes, unpacked; None where they cannot be read: whoever opens the file says why."""

    def known(self) -> KnownName:
        """What the next load will know of it."""
        return KnownName(self.label, self.file.label, self.file.stamp(), self.sha256)


def names_of(files: Sequence[SourceFile], known: Sequence[LoadedFile] = ()) -> list[Name]:
    """The names of everything in `files`, in their order.

    Args:
        files: that are there now.
        known: what the last load knew; it is believed of a file that nobody has written to since.
    """
    remembered: dict[str, dict[str, tuple[KnownName, str | None]]] = {}
    for part in known:
        own = [KnownName(part.name, part.path, part.stamp, part.sha256)] if part.present else []
        for name in (*own, *part.other_names()):
            remembered.setdefault(name.path, {})[name.label] = (name, part.content)
    found = {file.label: _believed(file, remembered.get(file.label, {}).values()) for file in files}
    unknown = [file for file in files if not found[file.label]]
    # Hashing and unpacking leave the interpreter to the other thread.
    with ThreadPoolExecutor(max_workers=min(4, os.cpu_count() or 1)) as threads:
        found |= {file.label: names for file, names in zip(unknown, threads.map(_hashed, unknown), strict=True)}
    return [name for file in files for name in found[file.label]]


def with_contents(known: Sequence[LoadedFile], names: Sequence[Name]) -> list[LoadedFile]:
    """`known`, each with its content: earlier versions noted the hash of the file on disk only."""
    # By the bytes on disk and the place in the archive, because the file may have another name by now.
    now = {(name.sha256, name.label.removeprefix(name.file.label)): name.content for name in names}
    return [
        replace(part, content=now.get((part.sha256, part.name.removeprefix(part.path))))
        if part.content is None and part.is_packed
        else replace(part, content=part.content or part.sha256)
        for part in known
    ]


def _believed(file: SourceFile, remembered: Iterable[tuple[KnownName, str | None]]) -> list[Name]:
    """The names as the last load knew them; none where anything may have changed."""
    known = list(remembered)
    stamp = file.stamp() if known else ""
    if not stamp or any(name.stamp != stamp or content is None for name, content in known):
        return []
    return [Name(file, name.label, name.sha256, content) for name, content in known]


def _hashed(file: SourceFile) -> list[Name]:
    try:
        sha256, contents = contents_of(file)
    except SourceError:  # said by whoever opens it, together with what is wrong with other files
        return [Name(file, file.label, None, None)]
    return [Name(file, label, sha256, content) for label, content in contents.items()]
