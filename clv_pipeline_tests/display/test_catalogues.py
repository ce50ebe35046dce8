"""Every language says everything, and nothing else."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from clv_pipeline.display import Display, catalogues, languages, locales
from clv_pipeline.display.catalogues import lacking, read, said, update

OTHERS = [language for language in languages() if language != "en"]
PLACES = re.compile(r"\{(\w*)\}")


@pytest.fixture
def words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of catalogues of its own."""
    folder = tmp_path / "words"
    shutil.copytree(locales.WORDS, folder)
    for module in (locales, catalogues):
        monkeypatch.setattr(module, "WORDS", folder)
    _forget()
    yield folder
    _forget()


def _forget() -> None:
    languages.cache_clear()
    locales._catalogue.cache_clear()


@pytest.mark.parametrize("language", OTHERS)
def test_every_text_has_words(language: str) -> None:
    catalogue = read(language)
    assert lacking(catalogue) == []
    assert {message.id for message in catalogue if message.id} == {text for text, _ in said()}


@pytest.mark.parametrize("language", OTHERS)
def test_words_name_the_places_of_the_text(language: str) -> None:
    wrong = []
    for message in read(language):
        if not message.id:
            continue
        texts = [message.id] if isinstance(message.id, str) else list(message.id)
        forms = [message.string] if isinstance(message.string, str) else list(message.string or ())
        # One may be written out where many are a number.
        for place, form in enumerate(forms):
            if set(PLACES.findall(form)) != set(PLACES.findall(texts[min(place, len(texts) - 1)])):
                wrong.append(form)
    assert wrong == []


@pytest.mark.parametrize("language", OTHERS)
def test_no_text_is_fuzzy_or_obsolete(language: str) -> None:
    catalogue = read(language)
    assert [message.id for message in catalogue if message.id and message.fuzzy] == []
    assert not catalogue.obsolete


@pytest.mark.parametrize("language", OTHERS)
def test_a_catalogue_is_as_make_words_writes_it(words: Path, language: str) -> None:
    before = (words / f"{language}.po").read_bytes()
    assert update(language) == 0
    assert (words / f"{language}.po").read_bytes() == before


def test_a_new_text_is_added_without_words_and_one_that_nobody_says_goes(words: Path) -> None:
    path = words / "de.po"
    text = path.read_text(encoding="utf-8")
    entry = 'msgid "nobody new"\nmsgstr "keine Neukunden"'
    assert entry in text
    path.write_text(text.replace(entry, 'msgid "nobody says this"\nmsgstr "ungesagt"'), encoding="utf-8")
    assert update("de") == 1
    assert lacking(read("de")) == ["nobody new"]
    assert "ungesagt" not in path.read_text(encoding="utf-8")


def test_an_added_language_is_one_file(words: Path) -> None:
    (words / "pl.po").write_text(
        'msgid ""\nmsgstr ""\n'
        '"Language: pl\\n"\n"Content-Type: text/plain; charset=utf-8\\n"\n'
        '"Plural-Forms: nplurals=3; plural=(n==1 ? 0 : n%10>=2 && n%10<=4 && (n%100<10 || n%100>=20) ? 1 : 2);\\n"\n\n'
        'msgid "Lost"\nmsgstr "Utraceni"\n\n'
        'msgid "{number} day"\nmsgid_plural "{number} days"\n'
        'msgstr[0] "{number} dzień"\nmsgstr[1] "{number} dni"\nmsgstr[2] "{number} dnia"\n',
        encoding="utf-8",
    )
    _forget()
    polish = Display("pl-PL")
    assert languages() == ("en", "de", "pl")
    assert polish.language == "pl"
    assert polish.term("Lost") == "Utraceni"
    assert polish.term("Loyal") == "Loyal"
    assert [polish.say_many(n, "{number} day", "{number} days") for n in (1, 3, 5)] == ["1 dzień", "3 dni", "5 dnia"]
    assert update("pl") > 200
    assert polish.term("") == ""


def test_texts_are_gathered_from_every_kind_of_file() -> None:
    files = {file for _, file in said()}
    assert {"display/terms.py", "evaluation/why.py", "campaigns/verdict.py", "publication/told.py"} <= files
