"""What is new in a source since the last load. The unit is the content: it is read whole, or not at all.

Here belongs comparing what is there with what was loaded. Bytes that were loaded keep their rows, whatever the file is
called now and however it is packed; bytes that are there twice are read once.
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
        """The one under which it is loaded."""
        return self.names[0]

    @property
    def copies(self) -> list[KnownName]:
        """The other ones."""
        return [name.known() for name in self.names[1:]]


@dataclass(frozen=True)
class Changes:
    """The contents of a source, held against those of the last load."""

    there: list[Content]
    """All of them, in the order of their names."""
    read: list[Content]
    """New, or asked for."""
    kept: list[LoadedFile]
    """Their rows stay."""
    replaced: list[LoadedFile]
    """Their rows go: of a changed file, of one that is gone, or of bytes that were loaded twice."""
    renamed: list[int]
    """Numbers of those kept whose file has another name now."""

    def reading_all(self) -> "Changes":
        """The same, but everything that is there is read again."""
        present = [file for file in self.kept if file.present]
        gone = [file for file in self.kept if not file.present]
        return Changes(self.there, self.there, gone, [*present, *self.replaced], [])

    @property
    def gone(self) -> list[str]:
        """The files that are no longer there, whether their rows are kept or not."""
        there = {name.file.label for content in self.there for name in content.names}
        gone = {file.path for file in self.kept if not file.present}
        return sorted(gone | {file.path for file in self.replaced if file.path not in there})


def distinct(names: Sequence[Name], empty: Collection[str | None] = ()) -> dict[tuple[str, ...], Content]:
    """The contents behind `names`, by what they are known by.

    Files without a record in them are known by their names: there may be many, and nothing in them counts twice.

    Args:
        names: of the files that are there, the preferred ones first.
        empty: contents of which it is known that they hold no record.
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
    """What has to be read.

    Args:
        names: of the files that are there now.
        known: what the last load knew.
        again: numbers of sources to read although they have not changed.
        keep_removed: whether the rows of files that are gone stay.
        exists: whether there is a file of this path, although it is not among those configured.
    """
    loaded = _by_name(known)
    empty = {parts[0].content for parts in loaded if not any(part.rows for part in parts)}
    there = distinct(names, empty)
    before: dict[tuple[str, ...], list[LoadedFile]] = {}
    replaced: list[LoadedFile] = []
    # Of bytes that an earlier version loaded twice, those whose file is there, and came first, keep their rows.
    for parts in sorted(loaded, key=lambda parts: (not parts[0].present, parts[0].source_id)):
        key = _known_by(parts[0].content, parts[0].name, empty)
        replaced += parts if key in before else []
        before.setdefault(key, parts)
    read: list[Content] = []
    kept: list[LoadedFile] = []
    renamed: list[int] = []
    written: set[str] = set()
    for key, content in there.items():
        # What cannot be unpacked is opened by whoever reads it, and told.
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
        # Its file was written anew; or nobody names it any more, and it can be named again.
        is_replaced = path in written or (path not in listed and exists(path)) or parts[0].is_query
        if is_replaced or not keep_removed:
            replaced += parts
        else:
            kept += [_gone(part, listed) for part in parts]
    return Changes(list(there.values()), read, kept, replaced, renamed)


def _known_by(content: str | None, label: str, empty: Collection[str | None]) -> tuple[str, ...]:
    return (content,) if content is not None and content not in empty else (label, content or "")


def _by_name(known: Sequence[LoadedFile]) -> list[list[LoadedFile]]:
    """The loaded parts, those of one workbook together."""
    found: dict[tuple[str, str], list[LoadedFile]] = {}
    for part in known:
        found.setdefault((part.path, part.name), []).append(part)
    return list(found.values())


def named(part: LoadedFile, content: Content) -> LoadedFile:
    """What was loaded, under the name that it has now."""
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
    """What was loaded, its file gone. Where another file has taken its name, it gets one that nobody takes."""
    gone = replace(part, present=False).with_copies([])
    if part.path not in listed:
        return gone
    label = f"{part.name} [{(part.content or '')[:12]}]"
    return replace(gone, source_file=label + part.sheet, path=label)
