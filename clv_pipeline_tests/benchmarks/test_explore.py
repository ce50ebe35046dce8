"""The benchmark of explore.html measures a page that holds everything it is said to hold."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.explore import generate, seconds_to_filter
from clv_pipeline.display import Display
from clv_pipeline.publication.explore import write_explore
from clv_pipeline_tests.helpers.explore_page import unpacked


def test_generated_customers_fill_every_column_of_the_page(tmp_path: Path) -> None:
    generate(tmp_path, 400)
    write_explore(tmp_path, Display())
    page = (tmp_path / "explore.html").read_text(encoding="utf-8")
    customers, details = unpacked(page, "customers"), unpacked(page, "details")
    assert list(customers.head["attributes"].values()) == ["age", "plan", "region"]
    columns = customers.columns | details.columns
    # The third driver is that of nobody here.
    assert [name for name, held in columns.items() if set(held) == {None} and not name.endswith("_2")] == []
    assert sum(details.columns["months"]) / 400 > 10


@pytest.mark.acceptance
def test_the_first_filter_is_measured(tmp_path: Path) -> None:
    generate(tmp_path, 400)
    write_explore(tmp_path, Display())
    assert 0 < seconds_to_filter(tmp_path / "explore.html") < 60
