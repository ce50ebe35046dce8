"""Which folders a source may be read from: the folders that its paths name.

Here belongs the limit of reading. A link that somebody put between the files of a source must not make the
pipeline read and publish a file that nobody configured.
"""

from __future__ import annotations

import glob
import importlib.util
import os
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from clv_pipeline.config.source import Source, TableSource, is_object_url
from clv_pipeline.errors import SourceError

if TYPE_CHECKING:
    from clv_pipeline.sources.files import SourceFile

PACKAGED = "lifetimes:"
"""Beginning of a path that names a data set of the lifetimes package."""


def packaged_folder() -> Path | None:
    """The folder of the data sets of the lifetimes package; None if the package is not installed."""
    # Found without an import, because importing lifetimes takes seconds and needs pkg_resources.
    spec = importlib.util.find_spec("lifetimes")
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(spec.submodule_search_locations[0]) / "datasets"


def readable_folders(source: Source | TableSource, base_dir: Path) -> list[Path]:
    """The resolved folders that may hold files of the source, with their subfolders; none for a query or an object.

    For a folder, it is the folder itself. For a glob, it is the part before the first wildcard. For a file, it is the
    file's own folder and, if the configured path is itself a link, the folder that the link leads to.
    """
    if isinstance(source, Source):
        kinds = filter(None, (source.transactions, source.customers, source.events, source.costs))
        return sorted({folder for kind in kinds for folder in readable_folders(kind, base_dir)})
    folders: set[Path] = set()
    for pattern in map(str.strip, source.path):
        if pattern.startswith(PACKAGED):
            folders |= {folder.resolve() for folder in [packaged_folder()] if folder is not None}
            continue
        if is_object_url(pattern):
            continue
        written = base_dir / Path(pattern).expanduser()
        if os.path.isdir(written):  # noqa: PTH112
            folders.add(written.resolve())
            continue
        # Path.is_file raises if access to the folder is denied. The load raises that error for its own files.
        if os.path.isfile(written):  # noqa: PTH113
            folders |= {written.parent.resolve(), written.resolve().parent}
            continue
        plain = written.parent
        while glob.has_magic(str(plain)):
            plain = plain.parent
        folders.add(plain.resolve())
    return sorted(folders)


def refuse_odd_names(files: Iterable[SourceFile]) -> None:
    """Refuse a file whose name is not text: no table could hold it, and no error could show it.

    Raises:
        SourceError: a name is not UTF-8.
    """
    for file in files:
        try:
            file.label.encode()
        except UnicodeEncodeError as error:
            shown = file.label.encode("utf-8", "backslashreplace").decode()
            raise SourceError(f"{shown}: its name is not UTF-8", to_do="rename it") from error


def refuse_a_lake(pattern: str, paths: Iterable[PurePosixPath]) -> None:
    """Refuse a path or glob to whose files these belong, if they are those of a table of a lakehouse.

    Raises:
        SourceError: they are, and so some of them no longer count.
    """
    for path in paths:
        if "_delta_log" in path.parts or path.name.endswith(".metadata.json"):
            kind = "delta" if "_delta_log" in path.parts else "iceberg"
            raise SourceError(
                f"{pattern}: holds a table of format {kind}, of which not every file counts",
                to_do=f"configure `table: {{format: {kind}, …}}` in place of path, see docs/how-to/lakehouse-tables.md",
            )


def around_on_disk(files: Iterable[Path]) -> Iterator[PurePosixPath]:
    """What would tell that files on disk are those of a table of a lakehouse.

    A table has its log beside its folders of partitions, or its metadata beside its folder of data.
    """
    for folder in {file.parent for file in files}:
        root = folder
        while "=" in root.name or root.name == "data":
            yield from (PurePosixPath(path) for path in (root.parent / "metadata").glob("*.metadata.json"))
            root = root.parent
        if (root / "_delta_log").is_dir():
            yield PurePosixPath(root / "_delta_log")


def refuse_strays(files: Iterable[SourceFile], source: TableSource, base_dir: Path) -> None:
    """Refuse a link that leads out of the source's folders.

    Raises:
        SourceError: there is such a link.
    """
    folders = readable_folders(source, base_dir)
    for file in files:
        target = file.path.resolve()
        if not any(target.is_relative_to(folder) for folder in folders):
            raise SourceError(
                f"{file.label}: is a link that leads out of the folders of {source.key}.path",
                quoted=f"to {target}",
                to_do="remove it, or name that file in the path",
            )
