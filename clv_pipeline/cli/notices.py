"""What is worth telling of `clv.yaml` before a command begins."""

from __future__ import annotations

from clv_pipeline.config.settings import Settings


def notices(settings: Settings) -> list[str]:
    """What to tell of `clv.yaml`: what is read as something else, and which defaults are not what they were.

    Of defaults it is told for as long as a version is kept that was published before they changed, so that whoever
    comes from there is told in time, and whoever starts now is not.
    """
    from clv_pipeline.config.earlier import NEW_SINCE, changed_defaults
    from clv_pipeline.publication.versions import kept_versions

    changed = changed_defaults(settings) if settings.config_file is not None else []
    if changed:
        kept = kept_versions(settings.published_dir).values()
        if all(version is None or NEW_SINCE in version.tables for version in kept):
            changed = []
    return [*settings.notices, *changed]
