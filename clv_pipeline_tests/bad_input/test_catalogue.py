"""Every case of the catalogue ends as it says: right numbers, named rejections, or an error that says what to do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from clv_pipeline.errors import SourceError
from clv_pipeline_tests.bad_input.bench import clean, settings_for, write_files
from clv_pipeline_tests.bad_input.case import Case
from clv_pipeline_tests.bad_input.catalogue import CATALOGUE
from clv_pipeline_tests.bad_input.commands import assert_init_and_check_survive
from clv_pipeline_tests.bad_input.nights import assert_second_night_is_like_a_full_load

CASES = [pytest.param(case, id=f"{group}: {case.name}") for group, cases in CATALOGUE.items() for case in cases]


@pytest.fixture(scope="module")
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    """One connection for all cases: every load replaces the tables of the one before."""
    with duckdb.connect() as connection:
        yield connection


@pytest.mark.parametrize("case", CASES)
def test_bad_input_ends_as_the_catalogue_says(case: Case, con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    write_files(tmp_path, case.files)
    settings = settings_for(case.columns, case.format, case.cleaning)
    if case.error:
        with pytest.raises(SourceError) as caught:
            clean(con, tmp_path, settings)
        told = str(caught.value)
        assert case.error in told
        assert told.startswith(tuple(case.files))
        assert len(told) < 1_000
    else:
        books = clean(con, tmp_path, settings)
        books.assert_balanced()
        assert (books.told, books.reasons) == (list(case.kept), dict(case.rejected))


@pytest.mark.parametrize(
    "case", [case for case in CATALOGUE["drift"] if "night2.csv" in case.files], ids=lambda c: c.name
)
def test_what_changes_between_two_nights_ends_as_a_full_load_would(
    case: Case, con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    assert_second_night_is_like_a_full_load(con, case, tmp_path)


def test_the_catalogue_is_as_large_as_promised() -> None:
    assert sum(map(len, CATALOGUE.values())) >= 90
    names = [param.id for param in CASES]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("case", CASES[::40])
def test_init_and_check_survive_it(case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sample; the acceptance tests do it with every case."""
    assert_init_and_check_survive(case, tmp_path, monkeypatch)
