"""Notices about `clv.yaml` before a command begins."""

from __future__ import annotations

from clv_pipeline.config.settings import Settings


def notices(settings: Settings) -> list[str]:
    """Notices about `clv.yaml`: keys that are read as something else, and defaults that have changed.

    Changed defaults are mentioned while a version is kept that was published before the change. Users who upgrade learn
    of them in time, and new users are not bothered.
    """
    from clv_pipeline.config.earlier import changed_defaults
    from clv_pipeline.publication.versions import kept_versions

    if settings.config_file is None:
        return settings.notices
    kept = [version for version in kept_versions(settings.published_dir).values() if version is not None]
    changed = [
        notice
        for since, found in changed_defaults(settings).items()
        if any(since not in version.tables for version in kept)
        for notice in found
    ]
    return [*settings.notices, *changed]
