"""The Java libraries that Spark needs beside its own: fetched once by their coordinates, and held against a checksum.

`jars.txt` pins them. The resolver that comes with Spark (Ivy) fetches them, so nothing but Java and PySpark is needed.
Images fetch them when they are built: `python -m clv_pipeline.spark.jars FOLDER`.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from clv_pipeline.errors import ClusterError

FOLDER = "CLV_JARS"
"""The environment variable that names the folder of the libraries; by default it is in the user's cache."""

_ATTEMPT_SECONDS = 300


@dataclass(frozen=True)
class Jar:
    """One library."""

    group: str
    artifact: str
    version: str
    sha256: str

    @property
    def file(self) -> str:
        """Name of its file."""
        return f"{self.artifact}-{self.version}.jar"

    def is_in(self, folder: Path) -> bool:
        """Whether the folder has the very file."""
        path = folder / self.file
        return path.exists() and hashlib.sha256(path.read_bytes()).hexdigest() == self.sha256


def pinned() -> list[Jar]:
    """The libraries of `jars.txt`."""
    lines = resources.files("clv_pipeline.spark").joinpath("jars.txt").read_text(encoding="utf-8").splitlines()
    entries = (line.replace(":", " ").split() for line in lines if line and not line.startswith("#"))
    return [Jar(group, artifact, version, sha256) for group, artifact, version, sha256 in entries]


def default_folder() -> Path:
    """Where the libraries are kept unless somebody says otherwise."""
    if named := os.environ.get(FOLDER):
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "clv_pipeline" / "jars"


def jars_at_hand(folder: Path | None = None) -> list[Path]:
    """The files of all libraries. What is missing is fetched.

    Raises:
        ClusterError: a library cannot be fetched, or is not the pinned one.
    """
    folder = folder or default_folder()
    for jar in pinned():
        if not jar.is_in(folder):
            _fetch(jar, folder)
    return [folder / jar.file for jar in pinned()]


def _fetch(jar: Jar, folder: Path) -> None:
    """Fetch one library beside the folder, and move it there once it is known to be the right one.

    Raises:
        ClusterError: it cannot be fetched, or is not the pinned one.
    """
    folder.mkdir(parents=True, exist_ok=True)
    by_hand = f"or put {jar.file} (sha256 {jar.sha256}) into {folder}, which {FOLDER} may name"
    with tempfile.TemporaryDirectory(dir=folder) as passing:
        command = [
            *("java", "-jar", str(_ivy()), "-cache", f"{passing}/cache", "-notransitive", "-types", "jar"),
            *("-dependency", jar.group, jar.artifact, jar.version, "-confs", "default"),
            *("-retrieve", f"{passing}/[artifact]-[revision].[ext]"),
        ]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=_ATTEMPT_SECONDS, check=False)  # noqa: S603
            said = "" if done.returncode == 0 else (done.stdout + done.stderr)[-1_000:]
        except (OSError, subprocess.TimeoutExpired) as error:
            said = str(error)
        fetched = Path(passing)
        if not (fetched / jar.file).exists():
            raise ClusterError(
                f"{jar.group}:{jar.artifact}:{jar.version}, which Spark needs for its tables, cannot be fetched",
                quoted=said,
                to_do=f"Java 17 and the network are needed once; run again with them, {by_hand}",
            )
        if not jar.is_in(fetched):
            raise ClusterError(
                f"{jar.group}:{jar.artifact}:{jar.version} was fetched, and is not the library with the sha256"
                f" {jar.sha256}",
                to_do=f"find out who serves another one, {by_hand}",
            )
        (fetched / jar.file).replace(folder / jar.file)


def _ivy() -> Path:
    """The resolver that comes with Spark.

    Raises:
        ClusterError: PySpark is not installed.
    """
    spec = importlib.util.find_spec("pyspark")
    if spec is None or spec.origin is None:
        raise ClusterError("storage.engine is spark, and PySpark is not installed: pip install 'clv_pipeline[spark]'")
    return next((Path(spec.origin).parent / "jars").glob("ivy-*.jar"))


def main(arguments: list[str]) -> None:
    """Fetch all libraries into the folder that is named, or into the user's cache."""
    for path in jars_at_hand(Path(arguments[0]) if arguments else None):
        print(path)


if __name__ == "__main__":
    main(sys.argv[1:])
