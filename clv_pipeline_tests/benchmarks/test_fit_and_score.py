"""The benchmark of fit and score does what it says, tried on a few customers."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from benchmarks import fit_and_score

CUSTOMERS, FITTED = 3_000, 1_300


@pytest.fixture(scope="module")
def customers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("benchmark") / "customers.duckdb"
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(fit_and_score, "BATCH", FITTED)
        fit_and_score.prepare(path, CUSTOMERS)
    return path


def test_every_customer_is_prepared_once_with_a_history_up_to_the_cutoff(customers: Path) -> None:
    with duckdb.connect(str(customers), read_only=True) as connection:
        (row,) = connection.sql(
            "select count(*), count(distinct customer_id), min(tenure_days), max(tenure_days), max(frequency) > 10,"
            " bool_and(recency_days between 0 and tenure_days) from customers"
        ).fetchall()
    assert row[:2] == (CUSTOMERS, CUSTOMERS)
    assert row[2] < 3
    assert row[3] > fit_and_score.DAYS - 4
    assert row[4:] == (True, True)


def test_fit_and_score_report_what_they_took(customers: Path) -> None:
    fits, scores = fit_and_score.fit(customers), fit_and_score.score(customers, CUSTOMERS)
    assert fits["customers"] == FITTED
    assert 0 < fits["distinct_histories"] < FITTED
    assert scores["customers"] == CUSTOMERS
    assert scores["expected_spend"] > 0
    table = fit_and_score.table(fits, scores)
    assert f"| {CUSTOMERS:,} | {scores['seconds']['score']:.1f} |" in table
    assert len({line.count("|") for line in table.splitlines()}) == 1
