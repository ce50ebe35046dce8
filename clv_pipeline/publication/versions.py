"""The kept versions of the publication: how they describe themselves, and the way back to one of them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

import duckdb

from clv_pipeline.database.connections import open_read_only
from clv_pipeline.errors import PublicationError
from clv_pipeline.publication.write import (
    CURRENT,
    DATABASE,
    number_of,
    point_at,
    refuse_no_link,
    verify,
    version_folders,
)

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
    """The name of the version that `folder/current` points to; None before the first publication.

    Raises:
        PublicationError: `folder/current` is no link.
    """
    refuse_no_link(folder)
    link = folder / CURRENT
    return link.readlink().name if link.is_symlink() else None


@contextmanager
def open_served(folder: Path, directories: Sequence[Path] = ()) -> Iterator[duckdb.DuckDBPyConnection]:
    """The database that is served, for reading, and nothing else but `directories`.

    Raises:
        PublicationError: nothing is published, `folder/current` leads nowhere, or what is served cannot be read or is
            of an earlier version of this package.
    """
    database = folder / CURRENT / DATABASE
    if not database.exists():
        refuse_no_link(folder)
        raise PublicationError(f"{database} does not exist: nothing is published yet", to_do="`clv run` publishes")
    try:
        with open_read_only(database, directories) as served:
            yield served
    except (duckdb.CatalogException, duckdb.BinderException) as error:
        raise PublicationError(
            "what is published is of an earlier version",
            quoted=str(error).splitlines()[0],
            to_do="`clv run` publishes anew",
        ) from error
    except duckdb.Error as error:
        raise PublicationError(
            f"{database} cannot be read",
            quoted=str(error).splitlines()[0],
            to_do="`clv publish --to` serves another version, `clv publish` lists them",
        ) from error


def point_back(folder: Path, name: str) -> Version:
    """Verify a kept version against its own hashes, flip `folder/current` to it and note that in ROLLBACKS.

    Call it while no run can publish. The next publication is a new version as usual.

    Raises:
        PublicationError: there is no such version, or it does not read back; what is served stays as it was.
    """
    refuse_no_link(folder)
    known = kept_versions(folder)
    if name not in known:
        raise PublicationError(f"no version {name}", to_do=f"known are {', '.join(known) or 'none yet'}")
    directory = folder / "versions" / name
    version = _describe(directory)
    try:
        verify(directory, version.tables)
    except duckdb.Error as error:
        raise PublicationError(
            f"{directory} does not read back", quoted=str(error), to_do="serve another version"
        ) from error
    before = current_version(folder)
    point_at(folder, name)
    with (folder / ROLLBACKS).open("a", encoding="utf-8") as log:
        log.write(f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC: current was {before}, is now {name}\n")
    return version


def _describe(directory: Path) -> Version:
    """The description of a version in its own database.

    Raises:
        PublicationError: it cannot be read.
    """
    try:
        with open_read_only(directory / DATABASE) as file:
            [(run_id, published_at, as_of, tables)] = file.execute(
                "select run_id, published_at, as_of, tables from publication"
            ).fetchall()
        listed = {table["table"]: (table["rows"], table["content_hash"]) for table in json.loads(tables)}
    except (duckdb.Error, ValueError) as error:
        raise PublicationError(
            f"{directory / DATABASE} cannot be read", quoted=str(error), to_do="serve another version"
        ) from error
    return Version(run_id, published_at, as_of, listed)
