"""Which files a source consists of.

Here belongs the step from the user's path (a file, a folder, a glob, the URL of an object store, `lifetimes:NAME`) to
existing files, each with a label. No file is opened here.
"""

import glob
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from clv_pipeline.config.source import TableSource, is_object_url
from clv_pipeline.errors import SourceError
from clv_pipeline.sources.copies import Copies
from clv_pipeline.sources.expressions import own_columns
from clv_pipeline.sources.files import SourceFile
from clv_pipeline.sources.hive import partition_of
from clv_pipeline.sources.prepare import has_known_kind
from clv_pipeline.sources.reach import (
    PACKAGED,
    around_on_disk,
    packaged_folder,
    refuse_a_lake,
    refuse_odd_names,
    refuse_strays,
)


@dataclass(frozen=True)
class Found:
    """What the paths of a source name."""

    files: list[SourceFile]
    """Sorted by label, each once."""
    left_out: list[str]
    """Labels of the files in named folders that are of no kind that is read."""


def list_files(source: TableSource, base_dir: Path, copies: Path | None = None) -> list[SourceFile]:
    """The files of `find_files`."""
    return find_files(source, base_dir, copies).files


def find_files(source: TableSource, base_dir: Path, copies: Path | None = None) -> Found:
    """The files that `source.path` names; none for a database source.

    A file that is named itself and by links keeps its own name. Relative paths start at `base_dir`. Copies of objects
    go below `copies`.

    Raises:
        SourceError: a path or glob matches nothing, a folder cannot be listed, a link leads out of the named folders,
            or a store does not answer.
    """
    found: dict[Path, list[SourceFile]] = {}
    left_out: set[str] = set()
    space = Copies((copies or base_dir) / "objects")
    for pattern in map(str.strip, source.path):
        try:
            files = _objects(pattern, space) if is_object_url(pattern) else _resolve(pattern, base_dir, source.key)
        except PermissionError as error:
            raise SourceError(
                f"{pattern}: cannot be looked for",
                quoted=str(error),
                to_do="let the user who runs the pipeline read the folder",
            ) from error
        if _is_folder(pattern, base_dir):
            files, others = _readable(pattern, files)
            left_out |= others
        for file in files:
            found.setdefault(file.path.resolve(), []).append(file)
    files = sorted((_own_name(names, target) for target, names in found.items()), key=lambda file: file.label)
    refuse_odd_names(files)
    refuse_strays([file for file in files if not is_object_url(file.label)], source, base_dir)
    mapped = set(own_columns(source))
    files = [replace(file, partition=partition_of(file.label, mapped)) for file in files]
    return Found(files, sorted(left_out - {file.label for file in files}))


def _objects(pattern: str, space: Copies) -> list[SourceFile]:
    from clv_pipeline.sources.objects import find_objects

    files = find_objects(pattern, space)
    if not files:
        raise SourceError(f"{pattern}: no object matches it", to_do="correct the path")
    return list(files)


def _is_folder(pattern: str, base_dir: Path) -> bool:
    if is_object_url(pattern):
        from clv_pipeline.sources.objects import is_folder

        return is_folder(pattern)
    return not pattern.startswith(PACKAGED) and os.path.isdir(base_dir / Path(pattern).expanduser())  # noqa: PTH112


def _readable(pattern: str, files: Sequence[SourceFile]) -> tuple[list[SourceFile], set[str]]:
    """The files of a folder that are of a kind that is read, and the labels of the others.

    Names with a leading dot or underscore are those of other programs: `_SUCCESS`, `._orders.csv`.

    Raises:
        SourceError: no file is of a kind that is read, or the folder is a table of a lakehouse.
    """
    inside = {file.label: PurePosixPath(file.label.removeprefix(pattern.rstrip("/")).lstrip("/")) for file in files}
    refuse_a_lake(pattern, inside.values())
    read = [
        file
        for file in files
        if has_known_kind(file.label) and not any(part.startswith((".", "_")) for part in inside[file.label].parts)
    ]
    others = {file.label for file in files} - {file.label for file in read}
    if not read:
        raise SourceError(
            f"{pattern}: is a folder without any file of a kind that is read",
            quoted=f"it holds {', '.join(sorted(others)[:5]) or 'nothing'}",
            to_do="name another folder",
        )
    return read, others


def _own_name(names: Sequence[SourceFile], target: Path) -> SourceFile:
    """The file's own name among several names of it. A link may lead to another file tomorrow."""

    def is_odd(file: SourceFile) -> tuple[bool, int, str]:
        return Path(os.path.abspath(file.path)) != target, len(file.path.parts), file.label  # noqa: PTH100

    return min(names, key=is_odd)


def exists(path: str, source: TableSource, base_dir: Path) -> bool:
    """Whether there is a file with this label, part of the source or not. Only configured stores are asked."""
    if is_object_url(path):
        from clv_pipeline.sources.objects import object_exists

        return object_exists(path, source.path)
    if path.startswith(PACKAGED):
        return True
    # Path.is_file raises if access to the folder is denied; here that means that the file is out of reach.
    return os.path.isfile(base_dir / Path(path).expanduser())  # noqa: PTH113


def _resolve(pattern: str, base_dir: Path, key: str) -> list[SourceFile]:
    if pattern.startswith(PACKAGED):
        return [SourceFile(pattern, _packaged_file(pattern.removeprefix(PACKAGED)))]
    written = Path(pattern).expanduser()
    exact = base_dir / written
    if exact.is_dir():
        return [SourceFile((Path(pattern) / path.relative_to(exact)).as_posix(), path) for path in _below(exact)]
    if exact.is_file():
        return [SourceFile(Path(pattern).as_posix(), exact)]
    # Path.glob takes no absolute pattern.
    matches = glob.glob(str(written), root_dir=base_dir, recursive=True)  # noqa: PTH207
    files = [SourceFile(Path(match).as_posix(), base_dir / match) for match in matches if (base_dir / match).is_file()]
    refuse_a_lake(pattern, around_on_disk(file.path for file in files))
    if not files:
        what = "no file matches it" if glob.has_magic(pattern) else "there is no such file"
        raise SourceError(f"{pattern}: {what} (relative paths start at {base_dir})", to_do=f"correct {key}.path")
    return files


def _below(folder: Path) -> Iterator[Path]:
    """Every file below a folder.

    Raises:
        OSError: a folder cannot be listed.
    """

    def stop(error: OSError) -> None:
        raise error

    for parent, _, names in os.walk(folder, onerror=stop):
        yield from (path for name in names if (path := Path(parent) / name).is_file())


def _packaged_file(name: str) -> Path:
    folder = packaged_folder()
    if folder is None:
        raise SourceError(f"{PACKAGED}{name}: the package lifetimes is not installed", to_do="`pip install lifetimes`")
    path = folder / name
    if path.parent != folder or not path.is_file():
        raise SourceError(f"{PACKAGED}{name}: the lifetimes package ships no such data set")
    return path
