"""Bad input at length: the commands on every case of the catalogue, and the fuzz test with a larger budget."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import duckdb
import pytest

from clv_pipeline_tests.bad_input.case import Case
from clv_pipeline_tests.bad_input.catalogue import CATALOGUE
from clv_pipeline_tests.bad_input.commands import assert_init_and_check_survive
from clv_pipeline_tests.bad_input.fuzz import assert_nothing_is_lost
from clv_pipeline_tests.bad_input.nights import assert_second_night_is_like_a_full_load

CASES = {f"{group}: {case.name}": case for group, cases in CATALOGUE.items() for case in cases}
WITHOUT_SETTINGS = {name: case for name, case in CASES.items() if not (case.columns or case.format)}


def some_of(cases: Mapping[str, Case]) -> list[Any]:
    """The cases, two of three marked as those of the night: all of them take longer than three minutes."""
    return [
        pytest.param(case, id=name, marks=pytest.mark.nightly if number % 3 else ())
        for number, (name, case) in enumerate(cases.items())
    ]


@pytest.mark.acceptance
@pytest.mark.parametrize("case", some_of(CASES))
def test_init_and_check_survive_every_case(case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert_init_and_check_survive(case, tmp_path, monkeypatch)


@pytest.mark.acceptance
@pytest.mark.parametrize("case", some_of(WITHOUT_SETTINGS))
def test_every_case_in_the_second_night_ends_as_a_full_load_would(case: Case, tmp_path: Path) -> None:
    with duckdb.connect() as con:
        assert_second_night_is_like_a_full_load(con, case, tmp_path)


@pytest.mark.acceptance
def test_damaged_files_are_loaded_to_the_last_row_or_refused_with_words(tmp_path: Path) -> None:
    with duckdb.connect() as con:
        for seed in range(1_000, 1_800):
            folder = tmp_path / str(seed)
            folder.mkdir()
            assert_nothing_is_lost(con, folder, seed)
