"""The generated blocks of docs/ACCURACY.md."""

import pytest

from benchmarks.accuracy import DOCUMENT
from benchmarks.generated_blocks import replace_block

TEXT = "before\n<!-- one -->\n<!-- end -->\nbetween\n<!-- two -->\nold\nlines\n<!-- end -->\nafter\n"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("one", TEXT.replace("<!-- one -->\n", "<!-- one -->\nnew\n")),
        ("two", TEXT.replace("old\nlines", "new")),
    ],
)
def test_a_block_is_replaced_and_nothing_else(name: str, expected: str) -> None:
    assert replace_block(TEXT, name, "new") == expected


def test_a_block_that_is_not_there_is_an_error() -> None:
    with pytest.raises(ValueError, match="has no block <!-- three -->"):
        replace_block(TEXT, "three", "new")


@pytest.mark.parametrize("name", ["online_retail_ii", "cdnow"])
def test_the_document_has_the_blocks_that_the_command_writes(name: str) -> None:
    assert f"<!-- {name} -->\n" in DOCUMENT.read_text(encoding="utf-8")
