"""The Java libraries of Spark: only the very files that are pinned are used, and what is missing is told."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from clv_pipeline.errors import ClusterError
from clv_pipeline.spark import jars
from clv_pipeline.spark.jars import Jar, jars_at_hand, pinned

CONTENT = b"a library"
JAR = Jar("org.example", "library", "1.0", hashlib.sha256(CONTENT).hexdigest())


@pytest.fixture(autouse=True)
def one_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jars, "pinned", lambda: [JAR])
    monkeypatch.setattr(jars, "_ivy", lambda: Path("ivy.jar"))


def fetching(monkeypatch: pytest.MonkeyPatch, content: bytes | None) -> list[list[str]]:
    """Let the resolver find this content, or nothing; the commands that are run."""
    commands: list[list[str]] = []

    def run(command: list[str], **_: Any) -> SimpleNamespace:
        commands.append(command)
        if content is None:
            return SimpleNamespace(returncode=1, stdout="UNRESOLVED DEPENDENCIES", stderr="")
        folder = Path(command[command.index("-retrieve") + 1]).parent
        (folder / JAR.file).write_bytes(content)
        return SimpleNamespace(returncode=0, stdout="", stderr="")

    monkeypatch.setattr(subprocess, "run", run)
    return commands


def test_a_library_is_fetched_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands = fetching(monkeypatch, CONTENT)
    for _ in range(2):
        assert jars_at_hand(tmp_path) == [tmp_path / "library-1.0.jar"]
    assert len(commands) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["library-1.0.jar"]


def test_another_file_is_refused_and_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fetching(monkeypatch, b"something else")
    with pytest.raises(ClusterError, match=r"org\.example:library:1\.0 was fetched, and is not the library"):
        jars_at_hand(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_without_the_network_the_error_says_where_the_file_may_be_put(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetching(monkeypatch, None)
    with pytest.raises(ClusterError, match=r"cannot be fetched \(UNRESOLVED.*put library-1\.0\.jar \(sha256 "):
        jars_at_hand(tmp_path)
    (tmp_path / JAR.file).write_bytes(CONTENT)
    assert jars_at_hand(tmp_path) == [tmp_path / JAR.file]


def test_the_pinned_libraries_have_coordinates_and_a_checksum() -> None:
    found = pinned()
    assert found
    assert all(len(jar.sha256) == 64 and jar.group and jar.version for jar in found)
