"""YAML that hides nothing."""

from __future__ import annotations

import pytest

from clv_pipeline.config.strict_yaml import parse_yaml
from clv_pipeline.errors import ConfigError

BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]\n" for before, name in zip("abcdef", "bcdefg", strict=True)
)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: 1\nb:\n  c: 1\n  c: 2\n", "file, line 4, column 3: not valid YAML: the key 'c' is written twice"),
        ("a: &a [*a]\n", "file, line 1, column 4: not valid YAML: an alias stands for what it is part of"),
        ("a: &a\n  b: {c: *a}\n", "an alias stands for what it is part of"),
        (BOMB, "its aliases stand for more than 100,000 values"),
        ("a: " + "[" * 5_000, "nested too deeply"),
        ("a: " + "[" * 200_000 + "]" * 200_000, "nested too deeply"),
        ("[1, 2]: a\n", "a key must be a word"),
        ("just words\n", "expected `key: value` lines, found str"),
    ],
    ids=["twice", "itself", "around itself", "bomb", "deep", "deep enough to crash", "no word", "no mapping"],
)
def test_what_would_hide_something_is_an_error_with_its_place(text: str, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_yaml(text, "file")
    assert str(caught.value).startswith("file")
    assert told in str(caught.value)


def test_an_alias_that_stands_for_something_else_is_fine() -> None:
    assert parse_yaml("a: &a {x: 1}\nb: {<<: *a, y: 2}\nc: [*a, *a]\n", "file") == {
        "a": {"x": 1},
        "b": {"x": 1, "y": 2},
        "c": [{"x": 1}, {"x": 1}],
    }
    assert parse_yaml("", "file") == {}
