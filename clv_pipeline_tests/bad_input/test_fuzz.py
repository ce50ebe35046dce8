"""Whatever comes in, it is loaded to the last row or refused with words: a short look, at fixed seeds."""

from __future__ import annotations

from pathlib import Path

import duckdb

from clv_pipeline_tests.bad_input.fuzz import assert_nothing_is_lost

SEEDS = range(30)


def test_damaged_files_are_loaded_to_the_last_row_or_refused_with_words(tmp_path: Path) -> None:
    loaded = 0
    with duckdb.connect() as con:
        for seed in SEEDS:
            folder = tmp_path / str(seed)
            folder.mkdir()
            loaded += assert_nothing_is_lost(con, folder, seed)
    # Neither is the damage too small to be refused nor too great to be loaded.
    assert len(SEEDS) * 0.1 < loaded < len(SEEDS) * 0.95
