"""Sixty nights: what each finds, and what is said of how the home has grown."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.soak import DOCUMENT, NIGHTS, PARTS, check, deliveries, growth, sizes, table


def test_every_night_finds_one_more_day(tmp_path: Path) -> None:
    found = [len(list((tmp_path / "orders").iterdir())) for _ in deliveries(tmp_path / "orders", 5)]
    assert found == [1, 2, 3, 4, 5]


def test_the_size_of_a_home_is_that_of_its_files(tmp_path: Path) -> None:
    (tmp_path / "published" / "versions").mkdir(parents=True)
    (tmp_path / "published" / "versions" / "a").write_bytes(b"x" * 10)
    (tmp_path / "published" / "current").symlink_to("versions")
    (tmp_path / "privacy").write_bytes(b"x")
    found = sizes(tmp_path)
    assert found["all"] == 11
    assert (found["warehouse"], found["dagster"]) == (0, 0)


def home(megabytes: float) -> dict[str, int]:
    return dict.fromkeys((*PARTS, "all"), round(megabytes * 1e6))


def test_growth_is_told_and_too_much_of_it_is_an_error() -> None:
    steady = {night: home(100) for night in range(1, NIGHTS + 1)}
    assert "Night 60 against night 20: 1.00 times." in table(steady)
    check(steady)
    growing = {night: home(night) for night in range(1, NIGHTS + 1)}
    assert growth(growing) == 3
    assert "| all | 1.0 | 7.0 | 20.0 | 40.0 | 60.0 |" in table(growing)
    with pytest.raises(SystemExit, match=r"has grown by more than 1\.2 times since night 20"):
        check(growing)


def test_the_document_has_the_block() -> None:
    assert "<!-- soak -->\n" in DOCUMENT.read_text(encoding="utf-8")
