"""The pages of a version: which there are, and how they are written, all of them or, after an erasure, anew."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import duckdb

from clv_pipeline.config.settings import Settings
from clv_pipeline.display import Display
from clv_pipeline.errors import PublicationError
from clv_pipeline.publication.explore import write_explore
from clv_pipeline.publication.report import write_report
from clv_pipeline.publication.write import CURRENT, EXPLORE, REPORT

Warn = Callable[[str], None]

_log = logging.getLogger(__name__)


def write_pages(version: Path, display: Display, *, warn: Warn = _log.warning) -> None:
    """Make the pages of a published version from its database, in the same folder.

    A picture that cannot be drawn is missing in the report, and `warn` is told which and why.
    """
    write_report(version, display, warn=warn)
    write_explore(version, display)


def served_page(settings: Settings, name: str) -> Path:
    """The page of the version that is served now: `report` or `explore`.

    The path is that of the version itself: a browser that has it open stays with what it shows.

    Raises:
        PublicationError: nothing is published, or what is served has no such page.
    """
    served = settings.published_dir / CURRENT
    page = served / f"{name}.html"
    if not page.exists():
        why = "what is served is of an earlier version" if served.exists() else "nothing is published yet"
        raise PublicationError(f"{page} does not exist: {why}", to_do="`clv run` publishes")
    return page.resolve()


def rewrite_pages(version: Path, display: Display) -> None:
    """Make those pages anew that a version has, from its database.

    A version of an earlier package lacks tables that a page of today needs. It loses that page, because the old one may
    name somebody.
    """
    pages: dict[str, Callable[[], None]] = {
        REPORT: lambda: write_report(version, display),
        EXPLORE: lambda: write_explore(version, display),
    }
    for name, write in pages.items():
        if (version / name).exists():
            try:
                write()
            except (duckdb.CatalogException, duckdb.BinderException):
                (version / name).unlink()
