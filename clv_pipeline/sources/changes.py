"""What is new in a source since the last load. The unit is the content, which is read whole or not at all.

Here belongs comparing what is there with what was loaded. Loaded bytes keep their rows, whatever the file's name or
compression is now. Bytes that are there twice are read once.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

from clv_pipeline.sources.identity import Name
from clv_pipeline.sources.loaded import KnownName, LoadedFile


@dataclass(frozen=True)
class Content:
    """Bytes that are there, under one name or several."""

    names: tuple[Name, ...]
    """The first one is loaded; the others are copies of it."""

    @property
    def name(self) -> Name:
        """The name under which it is loaded."""
        return self.names[0]

    @property
    def copies(self) -> list[KnownName]:
        """The other names."""
        return [name.known() for name in self.names[1:]]


@dataclass(frozen=True)
class Changes:
    """The contents of a source, compared with those of the last load."""

    there: list[Content]
    """All contents, in the order of their names."""
    read: list[Content]
    """Contents to read, because they are new or were asked for."""
    kept: list[LoadedFile]
    """Files whose rows stay."""
    replaced: list[LoadedFile]
    """Files whose rows go: the file has changed or is gone, or its bytes were loaded twice."""
    renamed: list[int]
    """Numbers of the kept files that have a new name."""

    def reading_all(self) -> "Changes":
        """The same changes, but everything that is there is read again."""
        present = [file for file in self.kept if file.present]
        gone = [file for file in self.kept if not file.present]
        return Changes(self.there, self.there, gone, [*present, *self.replaced], [])

    @property
    def gone(self) -> list[str]:
        """The files that are no longer there, whether or not their rows are kept."""
        there = {name.file.label for content in self.there for name in content.names}
        gone = {file.path for file in self.kept if not file.present}
        return sorted(gone | {file.path for file in self.replaced if file.path not in there})


def distinct(names: Sequence[Name], empty: Collection[str | None] = ()) -> dict[tuple[str, ...], Content]:
    """The contents behind `names`, by what identifies them.

    Files without a record are identified by their names: there may be many, and nothing in them counts twice.

    Args:
        names: names of the files that are there, the preferred ones first.
        empty: contents that are known to hold no record.
    """
    grouped: dict[tuple[str, ...], list[Name]] = {}
    for name in names:
        grouped.setdefault(_known_by(name.content, name.label, empty), []).append(name)
    return {key: Content(tuple(same)) for key, same in grouped.items()}


def compare(
    names: Sequence[Name],
    known: Sequence[LoadedFile],
    again: Collection[int],
    *,
    keep_removed: bool,
    exists: Callable[[str], bool],
) -> Changes:
    """Decide what must be read.

    Args:
        names: names of the files that are there now.
        known: what the last load knew.
        again: numbers of sources to read again although they have not changed.
        keep_removed: whether the rows of files that are gone stay.
        exists: tells whether there is a file at a path that is not configured.
    """
    loaded = _by_name(known)
    empty = {parts[0].content for parts in loaded if not any(part.rows for part in parts)}
    there = distinct(names, empty)
    before: dict[tuple[str, ...], list[LoadedFile]] = {}
    replaced: list[LoadedFile] = []
    # An earlier version may have loaded the same bytes twice. Files that are there come first, then lower numbers; the
    # first one keeps its rows.
    for parts in sorted(loaded, key=lambda parts: (not parts[0].present, parts[0].source_id)):
        key = _known_by(parts[0].content, parts[0].name, empty)
        replaced += parts if key in before else []
        before.setdefault(key, parts)
    read: list[Content] = []
    kept: list[LoadedFile] = []
    renamed: list[int] = []
    written: set[str] = set()
    for key, content in there.items():
        # A file that cannot be unpacked is read, which raises the error.
        parts = before.pop(key, []) if content.name.content is not None else []
        if not parts:
            written |= {name.file.label for name in content.names}
        if not parts or any(part.source_id in again for part in parts):
            read.append(content)
            replaced += parts
            continue
        now = [named(part, content) for part in parts]
        kept += now
        renamed += [
            part.source_id for part, then in zip(now, parts, strict=True) if part.source_file != then.source_file
        ]
    listed = {name.file.label for name in names}
    for parts in before.values():
        path = parts[0].path
        # Its file was rewritten; or `path` no longer names it, and can name it again.
        is_replaced = path in written or (path not in listed and exists(path)) or parts[0].is_query
        if is_replaced or not keep_removed:
            replaced += parts
        else:
            kept += [_gone(part, listed) for part in parts]
    return Changes(list(there.values()), read, kept, replaced, renamed)


def _known_by(content: str | None, label: str, empty: Collection[str | None]) -> tuple[str, ...]:
    return (content,) if content is not None and content not in empty else (label, content or "")


def _by_name(known: Sequence[LoadedFile]) -> list[list[LoadedFile]]:
    """The loaded parts; the sheets of one workbook are together."""
    found: dict[tuple[str, str], list[LoadedFile]] = {}
    for part in known:
        found.setdefault((part.path, part.name), []).append(part)
    return list(found.values())


def named(part: LoadedFile, content: Content) -> LoadedFile:
    """The loaded part under its present name."""
    name = content.name
    return replace(
        part,
        source_file=name.label + part.sheet,
        path=name.file.label,
        stamp=name.file.stamp(),
        bytes=name.file.bytes,
        sha256=name.sha256,
        present=True,
    ).with_copies(content.copies)


def _gone(part: LoadedFile, listed: Collection[str]) -> LoadedFile:
    """The loaded part after its file is gone. If another file has taken its name, it gets a name that no file has."""
    gone = replace(part, present=False).with_copies([])
    if part.path not in listed:
        return gone
    label = f"{part.name} [{(part.content or '')[:12]}]"
    return replace(gone, source_file=label + part.sheet, path=label)
