"""Text from outside is safe to display, and nothing of it is lost."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clv_pipeline.text import displayed, displayed_in

XML = re.compile("[\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]*")
"""What the XML of a picture may hold."""

anything = st.text(st.characters(categories=None), max_size=20)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("P\x0b1", r"P\u000b1"),
        ("\x1b[31mred\x1b[0m", r"\u001b[31mred\u001b[0m"),
        ("\x00\x7f\x9b", r"\u0000\u007f\u009b"),
        ("\ufffe\uffff", r"\ufffe\uffff"),
        ("orders-\udce9.csv", r"orders-\udce9.csv"),
        ("a\u202egpj.exe", r"a\u202egpj.exe"),
        ("one\rtwo\u2028three", r"one\u000dtwo\u2028three"),
    ],
)
def test_what_is_not_safe_is_spelled_out(text: str, shown: str) -> None:
    assert displayed(text) == shown


@pytest.mark.parametrize("text", ["Zoë 👩‍👧 顧客", "a\tb\nc", "שלום", "c:\\u", ""])
def test_what_people_write_stays_as_it_is(text: str) -> None:
    assert displayed(text) == text


@given(anything)
def test_no_control_character_is_left_and_displaying_twice_changes_nothing(text: str) -> None:
    shown = displayed(text)
    assert XML.fullmatch(shown)
    assert all(character.isprintable() or character in "\t\n" or ord(character) > 0x9F for character in shown)
    assert displayed(shown) == shown
    shown.encode()


@given(st.text(max_size=20))
def test_a_json_document_stays_the_same_document(text: str) -> None:
    assert json.loads(displayed(json.dumps({"name": text}, ensure_ascii=False))) == {"name": text}


@given(st.lists(anything.filter(lambda text: "\\" not in text), max_size=10, unique=True))
def test_two_names_stay_two_names(texts: list[str]) -> None:
    assert len({displayed(text) for text in texts}) == len(texts)


def test_every_text_of_a_document_is_displayed() -> None:
    document = {"title": "a\x00", "data": [{"name": "\x0b", "n": 1.5, "none": None}], "flag": True}
    assert displayed_in(document) == {
        "title": r"a\u0000",
        "data": [{"name": r"\u000b", "n": 1.5, "none": None}],
        "flag": True,
    }
