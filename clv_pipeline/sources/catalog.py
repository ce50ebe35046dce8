"""Which files a source consists of.

Here belongs the step from the user's path (a file, a glob, `lifetimes:NAME`) to existing files, each with a
label. Files are opened here only to hash them.
"""

import glob
import hashlib
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from clv_pipeline.config.source import TableSource
from clv_pipeline.errors import SourceError
from clv_pipeline.sources.reach import PACKAGED, packaged_folder, refuse_odd_names, refuse_strays

_SECONDS_TO_SETTLE = 2


@dataclass(frozen=True)
class SourceFile:
    """One existing file of a source."""

    label: str
    """The path as the user wrote it, with its glob resolved. A relative path is the same on every machine."""
    path: Path

    @property
    def bytes(self) -> int:
        """Size on disk."""
        return self.path.stat().st_size

    def state(self) -> tuple[int, int, int]:
        """Size and times, which differ after every write. rsync sets mtime, but nobody can set the last one."""
        found = self.path.stat()
        return found.st_size, found.st_mtime_ns, found.st_ctime_ns

    def stamp(self) -> str:
        """The state as text; '' for a file that was written to in the last seconds.

        The next write to such a file may bear the same times.
        """
        size, modified, changed = self.state()
        return f"{size} {modified} {changed}" if time.time() - changed / 1e9 > _SECONDS_TO_SETTLE else ""

    def sha256(self) -> str:
        """Hex digest of the bytes on disk, which are the compressed bytes of a compressed file."""
        with self.path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()


def list_files(source: TableSource, base_dir: Path) -> list[SourceFile]:
    """The files that `source.path` names, sorted by label, each once; empty for a database source.

    A file that is named itself and by links keeps its own name. Relative paths start at `base_dir`.

    Raises:
        SourceError: a path or glob matches nothing, a folder cannot be listed, or a link leads out of the named
            folders.
    """
    found: dict[Path, list[SourceFile]] = {}
    for pattern in source.path:
        try:
            files = _resolve(pattern.strip(), base_dir, source.key)
        except PermissionError as error:
            raise SourceError(
                f"{pattern}: cannot be looked for",
                quoted=str(error),
                to_do="let the user who runs the pipeline read the folder",
            ) from error
        for file in files:
            found.setdefault(file.path.resolve(), []).append(file)
    files = sorted((_own_name(names, target) for target, names in found.items()), key=lambda file: file.label)
    refuse_odd_names(files)
    refuse_strays(files, source, base_dir)
    return files


def _own_name(names: Sequence[SourceFile], target: Path) -> SourceFile:
    """The file's own name among several names of it. A link may lead to another file tomorrow."""

    def is_odd(file: SourceFile) -> tuple[bool, int, str]:
        return Path(os.path.abspath(file.path)) != target, len(file.path.parts), file.label  # noqa: PTH100

    return min(names, key=is_odd)


def exists(path: str, base_dir: Path) -> bool:
    """Whether there is a file with this label, part of the source or not."""
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
        raise SourceError(f"{pattern}: is a folder", to_do=f"name its files, for example {pattern.rstrip('/')}/*.csv")
    if exact.is_file():
        return [SourceFile(Path(pattern).as_posix(), exact)]
    # Path.glob takes no absolute pattern.
    matches = glob.glob(str(written), root_dir=base_dir, recursive=True)  # noqa: PTH207
    files = [SourceFile(Path(match).as_posix(), base_dir / match) for match in matches if (base_dir / match).is_file()]
    if not files:
        what = "no file matches it" if glob.has_magic(pattern) else "there is no such file"
        raise SourceError(f"{pattern}: {what} (relative paths start at {base_dir})", to_do=f"correct {key}.path")
    return files


def _packaged_file(name: str) -> Path:
    folder = packaged_folder()
    if folder is None:
        raise SourceError(f"{PACKAGED}{name}: the package lifetimes is not installed", to_do="`pip install lifetimes`")
    path = folder / name
    if path.parent != folder or not path.is_file():
        raise SourceError(f"{PACKAGED}{name}: the lifetimes package ships no such data set")
    return path
