"""What a command says of clv.yaml before it begins."""

from __future__ import annotations

from collections.abc import Callable

from clv_pipeline.cli.notices import notices
from clv_pipeline.config.settings import Settings


def test_a_language_without_words_is_told_with_those_that_have_some(shop_settings: Callable[..., Settings]) -> None:
    assert notices(shop_settings(display={"locale": "fr-CH"})) == [
        "display.locale: there are no words for fr yet, so pages are in English, with the numbers, money and days of"
        " fr-CH; there are words for en, de"
    ]
    assert notices(shop_settings(display={"locale": "de-AT"})) == []
    assert notices(shop_settings(display={"locale": "en-GB"})) == []
