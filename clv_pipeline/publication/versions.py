"""The kept versions of the publication: how they describe themselves, and the way back to one of them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

import duckdb

from clv_pipeline.database.connections import open_read_only
from clv_pipeline.errors import PublicationError
from clv_pipeline.publication.write import CURRENT, DATABASE, number_of, point_at, verify, version_folders

ROLLBACKS = "rollbacks.log"
"""A line per `point_back`: when, from which version, to which."""


@dataclass(frozen=True)
class Version:
    """A kept version, as its own table `publication` describes it."""

    run_id: str
    published_at: datetime
    """UTC, without timezone."""
    as_of: date
    tables: dict[str, tuple[int, str]]
    """Rows and content hash of every table."""


def kept_versions(folder: Path) -> dict[str, Version | None]:
    """The versions below `folder/versions` by name, newest first; None for one that cannot be read."""
    versions = folder / "versions"
    described: dict[str, Version | None] = {}
    for directory in sorted(version_folders(versions), key=number_of, reverse=True) if versions.exists() else []:
        try:
            described[directory.name] = _describe(directory)
        except PublicationError:
            described[directory.name] = None
    return described


def current_version(folder: Path) -> str | None:
    """The name of the version that `folder/current` points to; None before the first publication."""
    link = folder / CURRENT
    return link.readlink().name if link.is_symlink() else None


def point_back(folder: Path, name: str) -> Version:
    """Verify a kept version against its own hashes, flip `folder/current` to it and note that in ROLLBACKS.

    Call it while no run can publish. The next publication is a new version as usual.

    Raises:
        PublicationError: there is no such version, or it does not read back; what is served stays as it was.
    """
    known = kept_versions(folder)
    if name not in known:
        raise PublicationError(f"no version {name}; known are {', '.join(known) or 'none yet'}")
    directory = folder / "versions" / name
    version = _describe(directory)
    try:
        verify(directory, version.tables)
    except duckdb.Error as error:
        raise PublicationError(f"{directory} does not read back: {error}") from error
    before = current_version(folder)
    point_at(folder, name)
    with (folder / ROLLBACKS).open("a", encoding="utf-8") as log:
        log.write(f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC: current was {before}, is now {name}\n")
    return version


def _describe(directory: Path) -> Version:
    """What a version says of itself. Raises PublicationError when it cannot be read."""
    try:
        with open_read_only(directory / DATABASE) as file:
            [(run_id, published_at, as_of, tables)] = file.execute(
                "select run_id, published_at, as_of, tables from publication"
            ).fetchall()
        listed = {table["table"]: (table["rows"], table["content_hash"]) for table in json.loads(tables)}
    except (duckdb.Error, ValueError) as error:
        raise PublicationError(f"{directory / DATABASE} cannot be read: {error}") from error
    return Version(run_id, published_at, as_of, listed)
