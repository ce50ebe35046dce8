"""Nights that read only what is new end in the same tables as one night that reads everything."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clv_pipeline.config.settings import Settings
from clv_pipeline.errors import SourceError
from clv_pipeline.orchestration.bare_steps import STEPS
from clv_pipeline.pipeline import Refresh
from clv_pipeline.warehouse import Admission, Session, Warehouse
from clv_pipeline_tests.helpers.nights import NEWS, night
from clv_pipeline_tests.helpers.order_folder import no_audit

COLUMNS = ("customer_id", "order_id", "ordered_at", "product_id", "quantity", "unit_price")
FIRST = date(2024, 3, 1)
TODAY = date(2024, 6, 30)

# A file's number depends on when it arrived, so files are compared by name.
BY_NAME = "select s.source_file, t.* exclude (source_id) from {} as t join source_files as s using (source_id)"
COMPARED = {
    "raw_transactions": BY_NAME.format("raw_transactions"),
    "rejected_transactions": "select * exclude (source_id) from rejected_transactions",
    "cleaned_transactions": BY_NAME.format("cleaned_transactions"),
    "matched_returns": BY_NAME.format("matched_returns"),
    "customer_days": "from customer_days",
    "row_ledger": "from row_ledger",
    "rfm": "from rfm",
    "source_files": "select source_file, rows, unreadable_rows, bytes, sha256, format, present from source_files",
}


@dataclass
class Nights:
    """A folder of order files and a warehouse that is refreshed from it."""

    folder: Path
    warehouse: Warehouse = field(init=False)

    def __post_init__(self) -> None:
        (self.folder / "orders").mkdir()
        self.warehouse = Warehouse(self.folder / "home" / "clv.duckdb", [self.folder])

    @property
    def session(self) -> Session:
        return self.warehouse.open("test")

    def settings(self, **source: Any) -> Settings:
        transactions = {"path": "orders/*.csv", "columns": {name: name for name in COLUMNS}, **source}
        return Settings.from_mapping({"source": {"transactions": transactions}}, config_file=self.folder / "clv.yaml")

    def write(self, name: str, *lines: str) -> Path:
        path = self.folder / "orders" / f"{name}.csv"
        path.write_text("\n".join([",".join(COLUMNS), *lines]) + "\n")
        return path

    def run(
        self,
        warehouse: Warehouse | None = None,
        today: date = TODAY,
        refresh: Refresh = NEWS,
        steps: Sequence[Sequence[str]] = STEPS,
        **source: Any,
    ) -> dict[str, Admission]:
        warehouse = warehouse or self.warehouse
        warehouse.open("test").auditor.audit = no_audit  # type: ignore[method-assign,assignment]
        source = {"removed_files": "remove", **source}
        return night(warehouse, self.settings(**source), today=today, refresh=refresh, steps=steps)

    def tables(self, warehouse: Warehouse | None = None) -> dict[str, list[tuple[Any, ...]]]:
        session = (warehouse or self.warehouse).open("test")
        return {name: sorted(session.execute(query).fetchall(), key=repr) for name, query in COMPARED.items()}

    def read_afresh(self, today: date = TODAY) -> dict[str, list[tuple[Any, ...]]]:
        """The tables of a new warehouse that reads the files as they are now."""
        with tempfile.TemporaryDirectory() as folder:
            other = Warehouse(Path(folder) / "clv.duckdb", [self.folder])
            self.run(other, today)
            tables = self.tables(other)
            other.close()
        return tables


@contextmanager
def nights() -> Iterator[Nights]:
    with tempfile.TemporaryDirectory() as folder:
        made = Nights(Path(folder))
        try:
            yield made
        finally:
            made.warehouse.close()


@pytest.fixture
def shop() -> Iterator[Nights]:
    """A shop whose first night was long ago enough that its files are known by their times."""
    with nights() as made:
        made.write("2024-02", *(line("ann", day=day) for day in range(-29, 0)))
        for day in range(4):
            made.write(f"2024-03-{day + 1:02}", line("ann", day=day), line("bob", day=day, price="4.25"))
        made.run()
        # The first night in which the volume gates know what has passed.
        made.run()
        yield made


def line(customer: str, day: int = 0, product: str = "mug", quantity: int = 1, price: str = "3.50") -> str:
    return f"{customer},1001,{FIRST + timedelta(days=day)} 10:30:00,{product},{quantity},{price}"


def built(admissions: dict[str, Admission]) -> set[str]:
    return {table for table, admission in admissions.items() if admission.changed}


CUSTOMERS = st.sampled_from(["ann", "bob", "cid", ""])
DAYS = st.integers(0, 80)
LINES = st.builds(
    line,
    CUSTOMERS,
    DAYS,
    st.sampled_from(["mug", "pot"]),
    st.integers(-1, 2),
    st.sampled_from(["3.50", "0", "x"]),
) | st.sampled_from(
    ["ann,1002,never,mug,1,3.50", "bob,1003,,mug,1,3.50", "ann,1,2024-07-05 10:00:00,mug,1,1.00", "a,b"]
)
FILES = st.lists(LINES, min_size=1, max_size=6)
EVENTS = st.lists(
    st.tuples(st.sampled_from(["write", "write", "remove", "copy", "later"]), st.integers(0, 4), FILES),
    min_size=1,
    max_size=5,
)


SEQUENCES = given(first=st.lists(FILES, min_size=4, max_size=4), later=st.lists(EVENTS, min_size=1, max_size=3))
BUDGET = settings(derandomize=True, suppress_health_check=list(HealthCheck))


@settings(BUDGET, max_examples=3)
@SEQUENCES
def test_any_sequence_of_arrivals_changes_and_removals_ends_like_a_full_refresh(
    first: list[list[str]], later: list[list[tuple[str, int, list[str]]]]
) -> None:
    ends_like_a_full_refresh(first, later)


@pytest.mark.acceptance
@pytest.mark.nightly
@settings(BUDGET, max_examples=30)
@SEQUENCES
def test_many_sequences_of_arrivals_changes_and_removals_end_like_a_full_refresh(
    first: list[list[str]], later: list[list[tuple[str, int, list[str]]]]
) -> None:
    ends_like_a_full_refresh(first, later)


def ends_like_a_full_refresh(first: list[list[str]], later: list[list[tuple[str, int, list[str]]]]) -> None:
    """Files arrive (late ones too), change, are duplicated under another name, and go; days pass in between."""
    today = TODAY
    with nights() as shop:
        # Enough ordinary days that a few changed ones are few.
        shop.write("ordinary", *(line("dee", day=day) for day in range(90)))
        for number, lines in enumerate(first):
            shop.write(f"file {number}", *lines)
        shop.run(today=today)
        for events in later:
            for what, number, lines in events:
                path = shop.folder / "orders" / f"file {number}.csv"
                if what == "write":
                    shop.write(f"file {number}", *lines)
                elif what == "remove":
                    path.unlink(missing_ok=True)
                elif what == "copy" and path.exists():
                    (shop.folder / "orders" / f"copy of {number}.csv").write_bytes(path.read_bytes())
                elif what == "later":
                    today += timedelta(days=1)
            shop.run(today=today)
        assert shop.tables() == shop.read_afresh(today)


def test_a_night_without_news_builds_nothing(shop: Nights) -> None:
    admissions = shop.run()
    assert built(admissions) == set()
    assert [table for table, admission in admissions.items() if not admission.kept_since] == [
        "parameters",
        "run_day",
        "currency_settings",
        "file_gate_settings",
        "raw_transactions",
        "gate_settings",
    ]


def test_a_new_day_is_the_only_one_that_is_built(shop: Nights) -> None:
    before = shop.session.execute("select max(rowid) from customer_days").fetchall()
    shop.write("2024-03-05", line("ann", day=4))
    assert "rfm" in built(shop.run())
    rows = shop.session.execute("select customer_id, purchase_day from customer_days where rowid > ?", *before)
    assert rows.fetchall() == [("ann", date(2024, 3, 5))]
    assert shop.tables() == shop.read_afresh()


def test_a_late_return_builds_the_day_of_its_purchase_too(shop: Nights) -> None:
    before = shop.session.execute("select max(rowid) from customer_days").fetchall()
    shop.write("2024-03-05", line("ann", day=4), line("bob", day=4, quantity=-1, price="4.25"))
    shop.run()
    rows = shop.session.execute(
        "select customer_id, purchase_day, known_from, superseded_on, revenue from customer_days where rowid > ?"
        " and customer_id = 'bob' order by known_from",
        *before,
    )
    bought, returned = FIRST + timedelta(days=3), FIRST + timedelta(days=4)
    assert [(*row[:4], float(row[4])) for row in rows.fetchall()] == [("bob", bought, bought, returned, 4.25)]
    assert shop.session.execute("select count(*) from known_days where customer_id = 'bob'").fetchall() == [(3,)]
    assert shop.tables() == shop.read_afresh()


def test_a_file_is_not_opened_when_its_times_are_the_same(shop: Nights, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clv_pipeline.sources.files._SECONDS_TO_SETTLE", -1)
    shop.run()
    monkeypatch.setattr("clv_pipeline.sources.catalog.SourceFile.sha256", lambda file: pytest.fail(f"hashed {file}"))
    assert built(shop.run()) == set()


def test_a_file_that_was_only_touched_is_hashed_and_not_read(shop: Nights) -> None:
    for path in (shop.folder / "orders").iterdir():
        os.utime(path, (0, 0))
    assert built(shop.run()) == set()


def test_a_change_of_the_same_length_and_time_is_seen(shop: Nights) -> None:
    path = shop.folder / "orders" / "2024-03-03.csv"
    times = path.stat()
    path.write_text(path.read_text().replace("3.50", "9.50"))
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert "rfm" in built(shop.run())
    assert shop.tables() == shop.read_afresh()


def test_rows_of_a_removed_file_stay_unless_configured_otherwise(shop: Nights) -> None:
    (shop.folder / "orders" / "2024-03-03.csv").unlink()
    assert built(shop.run(removed_files="keep")) == set()
    assert shop.session.execute("select source_file from source_files where not present").fetchall() == [
        ("orders/2024-03-03.csv",)
    ]
    assert "rfm" in built(shop.run(removed_files="remove"))
    assert shop.tables() == shop.read_afresh()


def test_of_two_equal_rows_in_two_files_the_other_counts_when_one_goes(shop: Nights) -> None:
    shop.write("a copy", line("ann", day=2))
    shop.run()
    assert shop.tables()["row_ledger"] == shop.read_afresh()["row_ledger"]
    (shop.folder / "orders" / "a copy.csv").unlink()
    shop.run()
    assert shop.tables() == shop.read_afresh()


def test_what_was_in_the_future_is_not_any_more_when_its_day_comes(shop: Nights) -> None:
    shop.write("2024-07-01", line("ann", day=122))
    shop.run()
    assert ("ann", date(2024, 7, 1)) not in {row[:2] for row in shop.tables()["customer_days"]}
    shop.run(today=TODAY + timedelta(days=1))
    assert ("ann", date(2024, 7, 1)) in {row[:2] for row in shop.tables()["customer_days"]}
    shop.run(today=TODAY)
    assert ("ann", date(2024, 7, 1)) not in {row[:2] for row in shop.tables()["customer_days"]}


def test_new_files_are_read_as_the_others_were_or_all_are_read_again(shop: Nights) -> None:
    """A file of the first days of a month does not say whether days or months come first; the others do."""
    shop.write("2024-03-26", "eve,1,26/03/2024 10:00,mug,1,3.50")
    shop.run()
    shop.write("2024-04-02", "eve,2,02/04/2024 10:00,mug,1,3.50")
    shop.run()
    assert {row[1] for row in shop.tables()["customer_days"] if row[0] == "eve"} == {
        date(2024, 3, 26),
        date(2024, 4, 2),
    }
    assert shop.tables() == shop.read_afresh()
    shop.write("2024-04-03", "eve,3,04/25/2024 10:00,mug,1,3.50")
    with pytest.raises(SourceError, match="day first in some rows, month first in others"):
        shop.run()


def test_a_period_is_read_and_built_again_when_asked_for(shop: Nights) -> None:
    shop.session.execute("delete from customer_days where purchase_day between '2024-03-03' and '2024-03-04'")
    assert built(shop.run()) == set()
    asked = Refresh.of(full=False, days="2024-03-03..2024-03-04")
    assert "customer_days" in built(shop.run(refresh=asked))
    assert shop.tables() == shop.read_afresh()


def test_a_full_refresh_reads_and_builds_everything(shop: Nights) -> None:
    shop.session.execute("delete from raw_transactions where customer_id = 'ann'")
    shop.session.execute("delete from customer_days")
    admissions = shop.run(refresh=Refresh(full=True))
    assert not [table for table, admission in admissions.items() if admission.kept_since]
    assert shop.tables() == shop.read_afresh()


def test_changes_that_a_failed_night_left_unbuilt_are_built_by_the_next(shop: Nights) -> None:
    """The raw rows were promoted, then the night ended: the days that they touch are not forgotten."""
    shop.write("2024-03-26", line("eve", day=25))
    shop.run(steps=STEPS[: STEPS.index(("outlier_fence",))])
    shop.run()
    assert shop.tables() == shop.read_afresh()
