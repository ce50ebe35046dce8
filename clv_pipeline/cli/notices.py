"""Notices about `clv.yaml` before a command begins."""

from __future__ import annotations

from clv_pipeline.config.settings import Settings


def notices(settings: Settings) -> list[str]:
    """Notices about `clv.yaml`: keys that are read as something else, and defaults that have changed.

    Changed defaults are mentioned while a version is kept that was published before the change. Users who upgrade learn
    of them in time, and new users are not bothered.
    """
    from clv_pipeline.config.earlier import NEW_SINCE, changed_defaults
    from clv_pipeline.publication.versions import kept_versions

    changed = changed_defaults(settings) if settings.config_file is not None else []
    if changed:
        kept = kept_versions(settings.published_dir).values()
        if all(version is None or NEW_SINCE in version.tables for version in kept):
            changed = []
    return [*settings.notices, *changed]
