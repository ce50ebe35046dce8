"""Bad input at length: the commands on every case of the catalogue, and the fuzz test with a larger budget."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from clv_pipeline_tests.bad_input.catalogue import CATALOGUE, Case
from clv_pipeline_tests.bad_input.commands import assert_init_and_check_survive
from clv_pipeline_tests.bad_input.fuzz import assert_nothing_is_lost

CASES = [pytest.param(case, id=f"{group}: {case.name}") for group, cases in CATALOGUE.items() for case in cases]


@pytest.mark.acceptance
@pytest.mark.parametrize("case", CASES)
def test_init_and_check_survive_every_case(case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert_init_and_check_survive(case, tmp_path, monkeypatch)


@pytest.mark.acceptance
def test_damaged_files_are_loaded_to_the_last_row_or_refused_with_words(tmp_path: Path) -> None:
    with duckdb.connect() as con:
        for seed in range(1_000, 1_800):
            folder = tmp_path / str(seed)
            folder.mkdir()
            assert_nothing_is_lost(con, folder, seed)
