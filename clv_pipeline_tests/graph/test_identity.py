"""A file is its bytes, unpacked: whatever it is called and however it is packed, its rows are there once."""

from __future__ import annotations

import gzip
import os
import zipfile
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clv_pipeline.errors import SourceError
from clv_pipeline_tests.helpers.order_folder import FIRST, HEADER, NAMED, Shop, daily, line, shops


@pytest.fixture
def shop() -> Iterator[Shop]:
    """A shop with ten daily files that are loaded."""
    with shops() as made:
        for day in range(10):
            made.write(f"{FIRST + timedelta(days=day)}.csv", *daily(day))
        made.run()
        yield made


def pack(path: Path) -> Path:
    packed = path.with_name(path.name + ".gz")
    packed.write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()
    return packed


def archive(path: Path, *members: Path) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for member in members:
            packed.write(member, member.name)
            member.unlink()
    return path


# --- any sequence ---


class Folder:
    """What may happen to files that are there; none of it loses a content."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        self.arrived: dict[int, list[str]] = {}
        self.renamings = 0

    def plain(self, number: int) -> Path | None:
        """One of the files that are no archive and no link."""
        files = [path for path in sorted(self.shop.orders.iterdir()) if not path.is_symlink() and path.suffix != ".zip"]
        return files[number % len(files)] if files else None

    def do(self, what: str, number: int, other: int) -> None:
        """Do one thing to one file, or to two."""
        self.renamings += 1
        if what == "arrive" and number not in self.arrived:
            self.arrived[number] = [line("ann", number), line("bob", number + 1, f"{number}.25"), line("", number)]
            self.shop.write(f"file {number}.csv", *self.arrived[number])
        path, second = self.plain(number), self.plain(other)
        if path is None or second is None:
            return
        ending = ".csv.gz" if path.name.endswith(".gz") else ".csv"
        new = self.shop.orders / f"{'zm'[number % 2]} {self.renamings}{ending}"
        if what == "rename":
            path.rename(new)
        elif what == "copy":
            new.write_bytes(path.read_bytes())
        elif what == "hard link":
            new.hardlink_to(path)
        elif what == "link":
            link = self.shop.orders / f"latest{ending}"
            link.unlink(missing_ok=True)
            link.symlink_to(path.name)
        elif what == "pack" and ending == ".csv":
            pack(path)
        elif what == "unpack" and ending == ".csv.gz":
            path.with_name(f"{self.renamings}.csv").write_bytes(gzip.decompress(path.read_bytes()))
            path.unlink()
        elif what == "archive" and path.suffix == second.suffix == ".csv":
            archive(self.shop.orders / f"{self.renamings}.zip", *{path, second})
        elif what == "swap" and path.suffixes == second.suffixes:
            between = self.shop.orders / "between"
            path.rename(between)
            second.rename(path) if second != path else None
            between.rename(second)


THINGS = ("arrive", "arrive", "rename", "copy", "hard link", "link", "pack", "unpack", "archive", "swap", "night")
SEQUENCES = st.lists(st.tuples(st.sampled_from(THINGS), st.integers(0, 5), st.integers(0, 5)), min_size=4, max_size=14)
BUDGET = settings(derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))


@settings(BUDGET, max_examples=3)
@given(happened=SEQUENCES)
def test_any_sequence_of_names_ends_like_one_load_of_the_distinct_contents(
    happened: list[tuple[str, int, int]],
) -> None:
    ends_like_one_load_of_the_distinct_contents(happened)


@pytest.mark.acceptance
@pytest.mark.nightly
@settings(BUDGET, max_examples=30)
@given(happened=SEQUENCES)
def test_many_sequences_of_names_end_like_one_load_of_the_distinct_contents(
    happened: list[tuple[str, int, int]],
) -> None:
    ends_like_one_load_of_the_distinct_contents(happened)


def ends_like_one_load_of_the_distinct_contents(happened: Sequence[tuple[str, int, int]]) -> None:
    """With `deduplicate: false` and `removed_files: keep`, where nothing else would hide a row that counts twice."""
    with shops() as shop, shops() as distinct:
        ordinary = [line("dee", day) for day in range(20)]
        shop.write("ordinary.csv", *ordinary)
        folder = Folder(shop)
        for what, number, other in happened:
            if what == "night":
                shop.run()
            else:
                folder.do(what, number, other)
        shop.run()
        distinct.write("ordinary.csv", *ordinary)
        for number, lines in folder.arrived.items():
            distinct.write(f"{number}.csv", *lines)
        distinct.run()
        assert shop.tables() == distinct.tables()
        assert shop.tables(NAMED) == shop.read_afresh(NAMED)


# --- what the sequences are made of ---


def test_packed_files_keep_their_rows(shop: Shop) -> None:
    before = shop.tables()
    for path in sorted(shop.orders.iterdir())[:5]:
        pack(path)
    admissions = shop.run()
    assert admissions["raw_transactions"].rows["raw_transactions"] == 40
    assert shop.tables() == before
    assert shop.files()[:5] == [f"orders/2024-03-0{day}.csv.gz" for day in range(1, 6)]


def test_files_that_move_into_an_archive_keep_their_rows(shop: Shop) -> None:
    before = shop.tables()
    archive(shop.orders / "march.zip", *sorted(shop.orders.iterdir())[:5])
    shop.run()
    assert shop.tables() == before
    assert shop.files()[5:] == [f"orders/march.zip#2024-03-0{day}.csv" for day in range(1, 6)]
    with zipfile.ZipFile(shop.orders / "march.zip", "a") as packed:
        packed.writestr("2024-03-11.csv", "\n".join([HEADER, *daily(10)]) + "\n")
    shop.run()
    assert shop.tables(NAMED) == shop.read_afresh(NAMED)


def test_the_same_bytes_under_two_names_count_once_and_both_are_named(shop: Shop) -> None:
    before = shop.tables()
    first = shop.orders / "2024-03-05.csv"
    (shop.orders / "2024-03-05 (1).csv").write_bytes(first.read_bytes())
    (shop.orders / "2024-03-05.csv.gz").write_bytes(gzip.compress(first.read_bytes()))
    results = shop.run(audited=True)["raw_transactions"].results["source_files"]
    assert shop.tables() == before
    [check] = [result for result in results if result.check == "files_are_there_once"]
    assert (check.passed, check.severity) == (False, "warning")
    assert check.observed.endswith(
        "orders/2024-03-05 (1).csv is also there as orders/2024-03-05.csv, orders/2024-03-05.csv.gz"
    )


def test_a_copy_takes_over_when_the_file_that_was_loaded_goes(shop: Shop) -> None:
    before = shop.tables()
    (shop.orders / "2024-03-05 b.csv").write_bytes((shop.orders / "2024-03-05.csv").read_bytes())
    shop.run()
    (shop.orders / "2024-03-05.csv").unlink()
    shop.run(removed_files="remove")
    assert shop.tables() == before
    assert "orders/2024-03-05 b.csv" in shop.files()


def test_a_copy_is_not_hashed_again(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clv_pipeline.sources.files._SECONDS_TO_SETTLE", -1)
    (shop.orders / "copy.csv").write_bytes((shop.orders / "2024-03-05.csv").read_bytes())
    archive(shop.orders / "march.zip", *sorted(shop.orders.iterdir())[:3])
    pack(shop.orders / "2024-03-07.csv")
    shop.run()
    monkeypatch.setattr("clv_pipeline.sources.identity.contents_of", lambda file: pytest.fail(f"hashed {file}"))
    assert not shop.run()["raw_transactions"].changed


def test_a_link_that_moves_every_night_is_the_file_that_it_leads_to(shop: Shop) -> None:
    link = shop.orders / "a latest.csv"
    for day in range(10, 13):
        path = shop.write(f"{FIRST + timedelta(days=day)}.csv", *daily(day))
        link.unlink(missing_ok=True)
        link.symlink_to(path.name)
        shop.run()
    assert len(shop.tables()["lines"]) == 4 * 13
    assert "orders/a latest.csv" not in shop.files()
    assert shop.files("copies") == [None] * 13


def test_files_that_move_up_keep_their_rows_and_the_last_one_stays_as_gone(shop: Shop) -> None:
    """orders.csv becomes orders.1.csv, and so on, as log files are turned."""
    names = [shop.orders / "turned.csv", shop.orders / "turned.1.csv"]
    expected = len(shop.tables()["lines"])
    for day in range(10, 15):
        if names[0].exists():
            os.replace(names[0], names[1])  # noqa: PTH105
        shop.write("turned.csv", *daily(day))
        shop.run()
        expected += 4
        assert len(shop.tables()["lines"]) == expected
    assert len(shop.files()) == len(set(shop.files())) == 15


def test_a_file_that_is_written_anew_replaces_its_rows(shop: Shop) -> None:
    shop.write("2024-03-05.csv", line("eve", 4))
    shop.run()
    assert len(shop.tables()["lines"]) == 4 * 9 + 1
    assert shop.tables(NAMED) == shop.read_afresh(NAMED)


def test_an_archive_that_is_written_anew_replaces_its_rows(shop: Shop) -> None:
    for name, days in (("to 11", (10,)), ("to 12", (10, 11))):
        member = shop.write(f"{name}.csv", *(entry for day in days for entry in daily(day)))
        archive(shop.orders / "export.zip", member)
        shop.run()
    assert len(shop.tables()["lines"]) == 4 * 12
    assert shop.tables(NAMED) == shop.read_afresh(NAMED)


def test_days_without_an_order_are_files_of_their_own(shop: Shop) -> None:
    for day in range(10, 13):
        shop.write(f"{FIRST + timedelta(days=day)}.csv")
        shop.run()
    shop.write("2024-03-14.csv")
    shop.write("2024-03-15.csv")
    shop.run()
    assert shop.files("source_file, rows, copies")[10:] == [
        (f"orders/2024-03-{day}.csv", 0, None) for day in range(11, 16)
    ]
    assert shop.tables(NAMED) == shop.read_afresh(NAMED)


def test_rejected_rows_bear_the_new_name_of_their_file(shop: Shop) -> None:
    (shop.orders / "2024-03-05.csv").rename(shop.orders / "z.csv")
    shop.run()
    found = shop.session.execute("select source_file, count(*) from rejected_transactions group by 1 order by 1 desc")
    assert found.fetchall()[0] == ("orders/z.csv", 1)


def test_bytes_that_an_earlier_version_loaded_twice_count_once_from_now_on(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = shop.tables()
    content = (shop.orders / "2024-03-05.csv").read_bytes()
    (shop.orders / "a copy.csv").write_bytes(content)
    (shop.orders / "packed.csv.gz").write_bytes(gzip.compress(content))
    with monkeypatch.context() as earlier:
        earlier.setattr("clv_pipeline.sources.changes._known_by", lambda _, label, __: (label,))
        shop.run()
    as_an_earlier_version_left_it(shop)
    assert len(shop.tables()["lines"]) == 4 * 12
    shop.run()
    assert shop.tables() == before
    assert shop.files("copies")[4] == "orders/a copy.csv, orders/packed.csv.gz"


def test_a_packed_file_of_an_earlier_version_is_hashed_and_not_read(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in sorted(shop.orders.iterdir())[:5]:
        pack(path)
    shop.run()
    as_an_earlier_version_left_it(shop)
    (shop.orders / "2024-03-02.csv.gz").rename(shop.orders / "renamed.csv.gz")
    monkeypatch.setattr("clv_pipeline.sources.incremental.load_tables", lambda *_, **__: pytest.fail("read"))
    shop.run()
    assert None not in shop.files("content")
    shop.write("2024-03-01.csv", *daily(0))
    shop.run()
    assert shop.files("copies")[0] == "orders/2024-03-01.csv.gz"


def test_a_packed_file_of_an_earlier_version_that_is_damaged_now_is_told(shop: Shop) -> None:
    packed = pack(shop.orders / "2024-03-01.csv")
    shop.run()
    as_an_earlier_version_left_it(shop)
    packed.write_bytes(packed.read_bytes()[:-20])
    with pytest.raises(SourceError, match=r"2024-03-01\.csv\.gz: is truncated or damaged"):
        shop.run()


def as_an_earlier_version_left_it(shop: Shop) -> None:
    for column in ("content", "copies", "copies_known", "read_with", "lines", "joined_lines"):
        shop.session.execute(f"alter table source_files drop column {column}")
