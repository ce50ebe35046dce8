"""Count on real shops which broken files the file gates stop, and which good ones they stop for nothing.

Writes the block `files` of docs/explanation/reliability.md. Each shop is cut into a file per day, and into a file per
week. Every file after the first 28 is judged as it is and broken in several ways, each time against the good files
before it. The SQL and the tolerances are the pipeline's, but many files are judged at a time, without a run for each.
CDNOW comes with a package. The other shops are in the folder that CLV_SHOPS names; one that is absent is left out with
the reason.

Run: python -m benchmarks.file_faults; some minutes
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Literal

from benchmarks.accuracy.shops import Absent, shops_of
from benchmarks.generated_blocks import replace_block
from clv_pipeline.config.settings import Gates, Settings
from clv_pipeline.contracts.loader import SqlModel, load_models
from clv_pipeline.database.connections import open_scratch
from clv_pipeline.errors import SourceError
from clv_pipeline.sources import load_records
from clv_pipeline.sources.prepare import ends_a_line
from clv_pipeline.sources.reach import readable_folders
from clv_pipeline.warehouse import Session
from clv_pipeline.warehouse.currency import stage_currency
from clv_pipeline.warehouse.duckdb_engine import staged_name
from clv_pipeline.warehouse.file_gates import file_gate_settings
from clv_pipeline.warehouse.settings_table import settings_frame

DOCUMENT = Path("docs/explanation/reliability.md")
SHOPS: Mapping[str, Literal["design", "held out"]] = {
    "online_retail_ii": "design",
    "cdnow": "design",
    "donations": "design",
    "adventureworks": "held out",
    "grocery": "held out",
    "game": "held out",
}
"""Shops by name, and whether the tolerances were chosen on them."""

CADENCES = {"daily": "day", "weekly": "week"}
FIRST_JUDGED = 28
MODELS = load_models()

FAULTS: Mapping[str, tuple[str, str]] = {
    "all dates unreadable": ("null::timestamp as ordered_at", ""),
    "all amounts unreadable": ("null as amount", ""),
    "all customers unreadable": ("null as customer_id", ""),
    "a third of the dates unreadable": ("if(number % 3 = 1, null, ordered_at) as ordered_at", "rows >= 4"),
    "a third of the amounts unreadable": ("if(number % 3 = 1, null, amount) as amount", "rows >= 4"),
    "a third of the customers unreadable": ("if(number % 3 = 1, null, customer_id) as customer_id", "rows >= 4"),
    "customer and date swapped": (
        "cast(ordered_at as varchar) as customer_id, try_cast(customer_id as timestamp) as ordered_at",
        "",
    ),
    "customer and amount swapped": (
        "cast(amount as varchar) as customer_id, try_cast(customer_id as decimal(18, 4)) as amount",
        "",
    ),
    "customer and product swapped": ("product_id as customer_id, customer_id as product_id", "product_id is not null"),
    "quantity and price swapped": (
        "unit_price as quantity, quantity as unit_price",
        "unit_price * quantity is not null",
    ),
    "its first half, cut at the end of a line": ("", "number <= (rows + 1) // 2"),
}
"""Faults by name: the changed columns of a file's lines, and the condition for the lines that are left. `number` counts
the lines of a file, and `rows` is their total. A third of three lines is one line, and one broken line does not make a
broken file."""

CUT, CUT_EVERY = "its first half, cut at half of its bytes", 10
"""What becomes of every tenth file when a copy of it is interrupted: written, cut and loaded by the pipeline."""

HALF, OTHER_SHOP = "its first half, cut at the end of a line", "a file of another shop"
OPTIONAL = ("order_id", "product_id", "quantity", "unit_price", "country")
"""The columns that not every shop has."""

GOALS: Mapping[str, float | None] = {
    **{fault: None if fault == HALF else 0.95 for fault in [*FAULTS, OTHER_SHOP]},
    CUT: 0.8,
}
"""The share of broken files that should be found; a whole number of lines looks like a quiet day, so it has no goal."""

FALSE_ERRORS = 0.01
"""The share of good files that may be stopped."""


@dataclass(frozen=True)
class Count:
    """How many files of one kind of one shop were tried, and how many were stopped."""

    shop: str
    cadence: str
    fault: str
    tried: int
    stopped: int


class Judge:
    """All files of some shops in one scratch database, with a folder that it reaches, and what is said of them."""

    def __init__(self, session: Session, folder: Path) -> None:
        self.session = session
        self.folder = folder

    def run(self, model: str, **instead: str) -> str:
        """The query of a model, run on other tables.

        Raises:
            TypeError: the model is not a SQL model.
        """
        found = MODELS[model]
        if not isinstance(found, SqlModel):
            raise TypeError(f"{model} is not built by SQL")
        return found.reading(instead)

    def cut(self, cadence: str) -> None:
        """Create table `lines`: the shop's lines in `raw`, with the number of their file and their number in it."""
        unit = CADENCES[cadence]
        self.session.execute(
            f"create or replace temp table lines as select * replace (dense_rank() over (order by"
            f" date_trunc('{unit}', ordered_at)) as source_id), row_number() over (partition by"
            f" date_trunc('{unit}', ordered_at) order by old_id, old_line) as number, count(*) over"
            f" (partition by date_trunc('{unit}', ordered_at)) as rows from (select *, source_id as old_id,"
            " source_line as old_line from raw where ordered_at is not null)"
        )
        self.session.execute("update lines set source_line = number")

    def measure(self, lines: str, files: str, known: str, name: str) -> None:
        """Create table `name`: the measures of the files in `lines`. `files` gives their names and numbers."""
        execute = self.session.execute
        execute(f"create or replace temp view broken as select * from ({lines})")
        execute(f"create or replace temp table files as {files}")
        execute(f"create or replace temp table daily_rates as {self.run('daily_rates', raw_transactions='broken')}")
        execute(f"create or replace temp view money as {self.run('converted_transactions', raw_transactions='broken')}")
        execute(f"create or replace temp table fence as {self.run('outlier_fence', converted_transactions='money')}")
        rejected = self.run(
            "rejected_at_sight", converted_transactions="money", source_files="files", outlier_fence="fence"
        )
        execute(f"create or replace temp table rejects as select source_id, reason from ({rejected})")
        execute(f"create or replace temp view known as select customer_id, product_id from {known}")
        measured = self.run(
            "file_measures",
            raw_transactions="broken",
            arrived_files="files",
            rejected_at_sight="rejects",
            cleaned_transactions="known",
        )
        execute(f"create or replace temp table {name} as {measured}")

    def stopped(self, measured: str) -> tuple[int, int]:
        """The number of files in a table of measures, and the number of files with an error."""
        self.session.execute("create or replace temp view passed as select *, false as was_odd from good")
        verdicts = self.run("file_gates", file_measures=measured, passed_files="passed")
        self.session.execute(f"create or replace temp table verdicts as {verdicts}")
        ((tried, stopped),) = self.session.execute(
            "select count(distinct source_file),"
            " count(distinct source_file) filter (where is_alarm and severity = 'error') from verdicts"
        ).fetchall()
        return tried, stopped


def _named(prefix: str, lines: str) -> str:
    """SQL for the files of lines; a leading ! sorts broken ones before good ones, which so are none before them."""
    return (
        f"select source_id, '{prefix}' || lpad(cast(source_id as varchar), 6, '0') as source_file, null as sha256,"
        f" count(*) * 40 as bytes, true as is_complete from {lines} group by source_id"
    )


def judged(shop: str, judge: Judge, others: Sequence[str]) -> Iterator[Count]:
    """The verdicts on the good and on the broken files of the shop whose lines are in `raw`."""
    execute = judge.session.execute
    for cadence in CADENCES:
        judge.cut(cadence)
        judge.measure("select * from lines", _named("file ", "lines"), "lines where false", "good")
        execute(
            "create or replace temp table again as select * replace ('!' || source_file as source_file) from good"
            f" where cast(right(source_file, 6) as integer) > {FIRST_JUDGED}"
        )
        yield Count(shop, cadence, "good", *judge.stopped("again"))
        for fault, (columns, which) in FAULTS.items():
            replaced = f"* replace ({columns})" if columns else "*"
            lines = f"select {replaced} from lines where source_id > {FIRST_JUDGED} and {which or 'true'}"
            if execute(f"select count(*) from ({lines})").fetchall() == [(0,)]:
                continue
            judge.measure(lines, _named("! ", f"({lines})"), "lines", "broken_files")
            yield Count(shop, cadence, fault, *judge.stopped("broken_files"))
        foreign = _foreign(judge, others, CADENCES[cadence])
        judge.measure(foreign, _named("! ", f"({foreign})"), "lines", "broken_files")
        yield Count(shop, cadence, OTHER_SHOP, *judge.stopped("broken_files"))
        refused = _cut_in_half(judge)
        judge.measure("select * from cut_lines", "select * from cut_files", "lines", "broken_files")
        tried, stopped = judge.stopped("broken_files")
        yield Count(shop, cadence, CUT, refused + tried, refused + stopped)


def _columns(judge: Judge) -> list[str]:
    """The optional columns that the shop of `lines` has."""
    (counts,) = judge.session.execute(
        f"select {', '.join(f'count({name})' for name in OPTIONAL)} from lines"
    ).fetchall()
    return [name for name, count in zip(OPTIONAL, counts, strict=True) if count]


def _cut_in_half(judge: Judge) -> int:
    """Tables `cut_lines` and `cut_files`: what is loaded of files that are cut; and how many are not loaded at all."""
    session, folder, refused = judge.session, judge.folder, 0
    folder.mkdir(exist_ok=True)
    columns = ["customer_id", "ordered_at", *_columns(judge), "amount"]
    mapping = {"path": str(folder / "*.csv"), "columns": {column: column for column in columns}}
    source = Settings.from_mapping({"source": {"transactions": mapping}}).source.transactions
    session.execute(
        "create or replace temp table cut_lines as select * exclude (number, rows, old_id, old_line) from lines limit 0"
    )
    session.execute(
        "create or replace temp table cut_files (source_id integer, source_file varchar, sha256 varchar, bytes bigint,"
        " is_complete boolean)"
    )
    # A load of one file without any row is refused; beside another one it is judged.
    _write(judge, columns, 1, folder / "whole.csv")
    path = folder / "cut.csv"
    for (number,) in session.execute(
        "select distinct source_id from lines where source_id > ? and source_id % ? = 0", [FIRST_JUDGED, CUT_EVERY]
    ).fetchall():
        _write(judge, columns, number, path)
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
        try:
            files = load_records(session.connection, "cut_load", source, folder, folder / "load")
        except SourceError:
            refused += 1
            continue
        (cut,) = (file for file in files if Path(file.path).name == path.name)
        session.execute(
            "insert into cut_lines by name select * replace (? as source_id) from cut_load where source_id = ?",
            [number, cut.source_id],
        )
        session.execute(
            "insert into cut_files values (?, ?, null, ?, ?)",
            [number, f"! {number:06}", cut.bytes, ends_a_line(cut, folder)],
        )
    return refused


def _write(judge: Judge, columns: Sequence[str], number: int, path: Path) -> None:
    """The file of this number as CSV."""
    names = ", ".join(f"cast({column} as varchar) as {column}" for column in columns)
    query = f"select {names} from lines where source_id = {number} order by lines.number"
    judge.session.connection.sql(query).pl().write_csv(path)


def _foreign(judge: Judge, others: Sequence[str], unit: str) -> str:
    """Lines of other shops in turn, in files that begin on the days of this shop's."""
    # A column that this shop does not read is not read from a file of another.
    unread = "".join(f", null as {column}" for column in OPTIONAL if column not in _columns(judge))
    parts = [
        f"select *, {position} as shop, dense_rank() over (order by date_trunc('{unit}', ordered_at)) as their_file"
        f" from {other} where ordered_at is not null"
        for position, other in enumerate(others)
    ]
    judge.session.execute(f"create or replace temp table foreign_lines as {' union all by name '.join(parts)}")
    return (
        "with ours as (select source_id, date_trunc('" + unit + "', min(ordered_at)) as begins from lines"
        f" where source_id > {FIRST_JUDGED} group by source_id),"
        " theirs as (select shop, max(their_file) as files from foreign_lines group by shop)"
        " select l.* exclude (shop, their_file) replace (ours.source_id as source_id,"
        " row_number() over (partition by ours.source_id order by l.source_id, l.source_line) as source_line,"
        f" l.ordered_at + (ours.begins - date_trunc('{unit}', l.ordered_at)) as ordered_at{unread})"
        f" from ours join theirs on theirs.shop = ours.source_id % {len(others)}"
        " join foreign_lines as l on l.shop = theirs.shop and l.their_file = 1 + ours.source_id * 7 % theirs.files"
    )


@contextmanager
def loaded(folder: Path | None) -> Iterator[tuple[Judge, dict[str, Settings], list[Absent]]]:
    """A database with one table per available shop, which has the shop's name and lines."""
    with tempfile.TemporaryDirectory() as work:
        found: dict[str, Settings] = {}
        absent: list[Absent] = []
        for name in SHOPS:
            (shop,) = shops_of(name, folder, Path(work))
            if isinstance(shop, Absent):
                absent.append(shop)
            else:
                found[name] = Settings.from_mapping(shop.configuration)
        reach = [Path(work)]
        for settings in found.values():
            reach += readable_folders(settings.source, settings.base_dir)
        with open_scratch(Path(work) / "files.duckdb", reach) as connection:
            for name, settings in found.items():
                load_records(connection, name, settings.source.transactions, settings.base_dir, Path(work) / "load")
            yield Judge(Session(connection), Path(work) / "cut"), found, absent


def stage_tolerances(judge: Judge) -> None:
    """Table `file_gate_settings`: what a pipeline judges by whose configuration says nothing of it."""
    judge.session.stage_frame(MODELS["file_gate_settings"].contract, file_gate_settings(MODELS, Gates()))
    judge.session.execute(f"create temp table file_gate_settings as from {staged_name('file_gate_settings')}")


def choose(judge: Judge, name: str, shop: Settings) -> None:
    """View `raw`: the lines of the shop; with the tables that say how its lines are cleaned."""
    session, contract = judge.session, MODELS["parameters"].contract
    session.stage_frame(contract, settings_frame(contract, shop.parameters))
    stage_currency(session, MODELS, shop)
    for settings in ("parameters", "currency_settings", "currency_rates"):
        session.execute(f"create or replace temp table {settings} as from {staged_name(settings)}")
    session.execute("create or replace temp table run_day as select ? as today, null::date as as_of", [date.today()])
    session.execute(f"create or replace temp view raw as select * from {name}")


def measure(folder: Path | None) -> tuple[list[Count], list[Absent]]:
    """All counts of all available shops, and the absent shops."""
    counts: list[Count] = []
    with loaded(folder) as (judge, shops, absent):
        stage_tolerances(judge)
        for name, shop in shops.items():
            choose(judge, name, shop)
            counts += judged(name, judge, [other for other in shops if other != name])
    return counts, absent


def table(counts: Sequence[Count], absent: Sequence[Absent]) -> str:
    """The counts as Markdown, with a line per kind of file and a column per shop."""
    shops = list(dict.fromkeys(count.shop for count in counts))
    titles = [f"{shop} ({SHOPS[shop]})" for shop in shops]
    lines = [f"| file | {' | '.join(titles)} | all | goal |", f"|---|{'---:|' * (len(shops) + 2)}"]
    for fault in ["good", *GOALS]:
        shares = [_share(counts, fault, shop) for shop in shops]
        label = "good: stopped for nothing" if fault == "good" else fault
        least = GOALS.get(fault)
        goal = f"at most {FALSE_ERRORS:.0%}" if fault == "good" else "–" if least is None else f"at least {least:.0%}"
        lines.append(f"| {label} | {' | '.join(shares)} | {_share(counts, fault)} | {goal} |")
    lines += [f"\nLeft out: {shop.name}, because {shop.reason}." for shop in absent]
    return "\n".join(lines)


def _share(counts: Sequence[Count], fault: str, shop: str | None = None) -> str:
    found = [count for count in counts if count.fault == fault and shop in (None, count.shop)]
    tried = sum(count.tried for count in found)
    if not tried:
        return "–"
    share = sum(count.stopped for count in found) / tried
    return f"{share:.1%} of {tried:,}"


def main() -> None:
    """Judge good and broken files of the shops in CLV_SHOPS and write the shares that were stopped."""
    folder = os.environ.get("CLV_SHOPS")
    block = table(*measure(Path(folder) if folder else None))
    DOCUMENT.write_text(replace_block(DOCUMENT.read_text(encoding="utf-8"), "files", block), encoding="utf-8")
    print(block)


if __name__ == "__main__":
    main()
