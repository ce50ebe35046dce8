"""An error of ours has three fields: two may leave the machine, one may not; `str` holds all of them."""

from __future__ import annotations

import pickle

import pytest

from clv_pipeline.errors import ClvError, SourceError, did_you_mean


def test_the_text_holds_what_is_wrong_what_is_quoted_and_what_to_do() -> None:
    error = SourceError("a (1).csv: cannot be read", quoted="line 3: Ann Lee", to_do="get the file again")
    assert str(error) == "a (1).csv: cannot be read (line 3: Ann Lee); get the file again"
    assert str(SourceError("a.csv: is empty")) == "a.csv: is empty"


def test_the_remedy_says_what_to_do_without_the_text() -> None:
    assert ClvError("x is damaged", quoted="17", to_do="restore it").remedy == "restore it; then run again"
    assert ClvError("restore x").remedy == "do what the text says; then run again"
    assert SourceError("a", to_do="mend it").remedy == "mend it; `clv check` shows more; then run again"


def test_several_errors_are_told_line_by_line_and_no_field_takes_from_another() -> None:
    first = SourceError("a.csv: cannot be read", quoted="Ann", to_do="get it again")
    second = SourceError("b (1).csv: is empty", to_do="get it again")
    second.__cause__ = OSError("full")
    both = SourceError.together([first, second])
    assert str(both) == f"{first}\n{second}"
    assert (both.what, both.quoted) == ("a.csv: cannot be read; b (1).csv: is empty", "Ann")
    assert both.to_do == "get it again"
    assert both.__cause__ is second.__cause__
    assert SourceError.together([first]) is first


def test_an_error_survives_being_sent_to_another_process() -> None:
    error = pickle.loads(pickle.dumps(SourceError("a", quoted="b", to_do="c")))  # noqa: S301  (our own bytes)
    assert (error.what, error.quoted, error.to_do) == ("a", "b", "c")


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("Amuont", "; did you mean 'amount'?"),
        ("CUSTOMER", "; did you mean 'Customer'?"),
        ("nothing like it", ""),
    ],
)
def test_the_nearest_known_name_is_offered(name: str, told: str) -> None:
    assert did_you_mean(name, ["amount", "Customer", "date"]) == told
