"""Which folders a source may be read from: those that its paths name.

Here belongs where reading ends. A link that somebody dropped between the files of a source must not make the
pipeline read, and publish, a file that nobody configured.
"""

from __future__ import annotations

import glob
import importlib.util
import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from clv_pipeline.config.source import Source, TableSource
from clv_pipeline.errors import SourceError

if TYPE_CHECKING:
    from clv_pipeline.sources.catalog import SourceFile

PACKAGED = "lifetimes:"
"""What a path begins with that names a data set of the lifetimes package."""


def packaged_folder() -> Path | None:
    """Where the data sets of the lifetimes package are; None where it is not installed."""
    # Found without importing: lifetimes costs seconds and needs pkg_resources.
    spec = importlib.util.find_spec("lifetimes")
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(spec.submodule_search_locations[0]) / "datasets"


def readable_folders(source: Source | TableSource, base_dir: Path) -> list[Path]:
    """The folders, resolved, that files of the source may be in, subfolders included; none for a query.

    Of a glob it is what stands before the first wildcard. Of a file it is the file's own folder and, where the
    configured path is itself a link, the folder that it leads to.
    """
    if isinstance(source, Source):
        kinds = filter(None, (source.transactions, source.customers, source.events))
        return sorted({folder for kind in kinds for folder in readable_folders(kind, base_dir)})
    folders: set[Path] = set()
    for pattern in map(str.strip, source.path):
        if pattern.startswith(PACKAGED):
            folders |= {folder.resolve() for folder in [packaged_folder()] if folder is not None}
            continue
        written = base_dir / Path(pattern).expanduser()
        # Path.is_file raises where the folder may not be looked into; that is for the load to say, of its own files.
        if os.path.isfile(written):  # noqa: PTH113
            folders |= {written.parent.resolve(), written.resolve().parent}
            continue
        plain = written.parent
        while glob.has_magic(str(plain)):
            plain = plain.parent
        folders.add(plain.resolve())
    return sorted(folders)


def refuse_odd_names(files: Iterable[SourceFile]) -> None:
    """Refuse a file whose name is no text: no table could hold it, and no error could show it.

    Raises:
        SourceError: a name is not UTF-8.
    """
    for file in files:
        try:
            file.label.encode()
        except UnicodeEncodeError as error:
            shown = file.label.encode("utf-8", "backslashreplace").decode()
            raise SourceError(f"{shown}: its name is not UTF-8", to_do="rename it") from error


def refuse_strays(files: Iterable[SourceFile], source: TableSource, base_dir: Path) -> None:
    """Refuse a file that a link leads out of the source's folders.

    Raises:
        SourceError: there is one.
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
