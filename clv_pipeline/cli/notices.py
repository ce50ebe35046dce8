"""Notices about `clv.yaml` before a command begins."""

from __future__ import annotations

from clv_pipeline.config.settings import Settings


def notices(settings: Settings) -> list[str]:
    """Notices about `clv.yaml`: keys read as something else, no words of a language, no money, and changed defaults.

    Changed defaults are mentioned while a version is kept that was published before the change. Users who upgrade learn
    of them in time, and new users are not bothered.
    """
    from clv_pipeline.config.earlier import changed_defaults
    from clv_pipeline.publication.versions import kept_versions

    told = [*settings.notices, *_without_words(settings), *_without_money(settings)]
    if settings.config_file is None:
        return told
    kept = [version for version in kept_versions(settings.published_dir).values() if version is not None]
    changed = [
        notice
        for since, found in changed_defaults(settings).items()
        if any(since not in version.tables for version in kept)
        for notice in found
    ]
    return [*told, *changed]


def _without_words(settings: Settings) -> list[str]:
    """That pages are in English, because nobody has written words of the language."""
    from clv_pipeline.display import languages

    locale = settings.display.locale
    language = locale.split("-")[0]
    if language in languages():
        return []
    return [
        f"display.locale: there are no words for {language} yet, so pages are in English, with the numbers, money and"
        f" days of {locale}; there are words for {', '.join(languages())}"
    ]


def _without_money(settings: Settings) -> list[str]:
    """That no money is mapped, and which settings therefore have no effect."""
    if settings.source.transactions.has_money:
        return []
    cleaning = settings.cleaning
    idle = {
        "cleaning.outliers": cleaning.outliers != "keep",
        "cleaning.returns": "returns" in cleaning.model_fields_set and cleaning.returns == "net",
        "contact_costs": "contact_costs" in settings.model_fields_set,
        "campaign": settings.campaign is not None,
    }
    without = [key for key, is_set in idle.items() if is_set]
    return [
        "source.transactions.columns: no money is mapped, so purchases are forecast and every amount is NULL"
        + (f"; without money {', '.join(without)} cannot do anything" if without else "")
    ]
