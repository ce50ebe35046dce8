"""A guessed mapping of files that nobody has described: the names of columns, held against their values.

A guess is a proposal for the user to correct. What can be meant in two ways is asked, never chosen in silence;
columns that were not recognised are named. Well-known exports are recognised first (`exports`).
"""

import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

import duckdb

from clv_pipeline.config.questions import question
from clv_pipeline.config.secret_text import without_credentials
from clv_pipeline.config.source import FileFormat, TransactionSource, refuse_odd_url
from clv_pipeline.database.connections import open_scratch
from clv_pipeline.database.sql_text import quote_identifier, quote_literal
from clv_pipeline.errors import SourceError
from clv_pipeline.sources import synonyms
from clv_pipeline.sources.catalog import list_files
from clv_pipeline.sources.column_facts import FEW, ColumnFacts, Sample, named
from clv_pipeline.sources.drivers import SERVERS
from clv_pipeline.sources.encodings import UncertainEncodingError
from clv_pipeline.sources.errors import listed, one_error
from clv_pipeline.sources.exports import Export, Statuses, export_of
from clv_pipeline.sources.load import conventions_of
from clv_pipeline.sources.proposal import Entry, Proposal, Proposed
from clv_pipeline.sources.reach import readable_folders
from clv_pipeline.sources.selection import selection_of
from clv_pipeline.sources.synonyms import plain
from clv_pipeline.sources.tables import RawTable, open_tables

_FEW_CANDIDATES = 6
_UNITS = {"to_timestamp": "seconds", "epoch_ms": "milliseconds"}
_NAMELESS = "column_"
"""Beginning of the names of columns of files without a header."""

_Allowed = Callable[[ColumnFacts], bool]


def propose(paths: Sequence[str], base_dir: Path) -> Proposal:
    """Propose a `clv.yaml` for files, globs, folders and workbooks; relative paths start at `base_dir`.

    Raises:
        SourceError: files cannot be read, hold no record, or are two kinds of transactions.
    """
    _refuse_odd_urls(paths)
    source = TransactionSource.model_construct(path=list(paths), columns={}, format=FileFormat())
    with (
        tempfile.TemporaryDirectory() as folder,
        open_scratch(None, [Path(folder), *readable_folders(source, base_dir)]) as con,
    ):
        tables, encodings = _opened(con, source, base_dir, Path(folder))
        alike = sorted(tables, key=lambda table: sorted(table.columns))
        groups = [list(group) for _, group in groupby(alike, key=lambda table: sorted(table.columns))]
        looks = [_look(con, group) for group in sorted(groups, key=lambda group: tables.index(group[0]))]
        proposal = _told_apart(looks)
        for key, proposed in proposal.sources.items():
            group = next(look for look in looks if look.source(key) is proposed).tables
            is_all = len(groups) == 1
            proposed.paths = list(paths) if is_all else list(_paths_of(group, paths, base_dir, Path(folder)))
            proposed.sheets = _sheets_of(group, tables)
            names = list(group[0].columns)
            proposed.names = names if names[0] == f"{_NAMELESS}1" and group[0].first_line == 1 else []
            doubtful = [table.file.label for table in group if table.file is not None and table.file.label in encodings]
            proposed.format += [Entry("encoding", encodings[label], is_question=True) for label in doubtful[:1]]
    if not proposal.transactions.rows:
        header = next(look for look in looks if look.transactions is proposal.transactions).tables[0]
        raise SourceError(
            f"{header.source_file}: holds no record below its header",
            quoted=listed(header.columns),
            to_do="give a file with records; the header should be the first line, so remove what stands above it",
        )
    return proposal


def _refuse_odd_urls(paths: Sequence[str]) -> None:
    for path in paths:
        if "://" in path:
            try:
                refuse_odd_url(path)
            except ValueError as error:
                shown = without_credentials(path)
                raise SourceError(f"{shown}: {error}; of databases, {', '.join(sorted(SERVERS))} are read") from None


def propose_table(con: duckdb.DuckDBPyConnection, table: RawTable) -> Proposal:
    """Propose a `clv.yaml` for one opened table, which need not be a file.

    Raises:
        SourceError: its rows cannot be read.
    """
    return _told_apart([_look(con, [table])])


def _opened(
    con: duckdb.DuckDBPyConnection, source: TransactionSource, base_dir: Path, work_dir: Path
) -> tuple[list[RawTable], dict[str, str]]:
    """The tables of a source, and what to ask about the encodings of its files, by their label.

    Where the first line is a record, columns have names of ours. Where the encoding is not certain, files are read in
    the likeliest.

    Raises:
        SourceError: a file cannot be opened.
    """  # noqa: DOC501  (`one_error` makes it)
    files = list_files(source, base_dir, work_dir)
    tables, problems = open_tables(con, files, (), source, work_dir)
    doubts = [
        problem for problem in problems if isinstance(problem, UncertainEncodingError) and problem.likely is not None
    ]
    if doubts:
        likely = FileFormat(encoding=doubts[0].likely)
        source = source.model_copy(update={"format": likely})
        (decoded := work_dir / "decoded").mkdir()
        tables, problems = open_tables(con, files, (), source, decoded)
    found: list[RawTable] = []
    for number, table in enumerate(tables):
        if not table.starts_with_data or table.file is None:
            found.append(table)
            continue
        names = [f"{_NAMELESS}{position}" for position in range(1, table.csv_width + 1)]
        stated = FileFormat(header=False, names=names, encoding=source.format.encoding)
        named = source.model_copy(update={"format": stated})
        again, more = open_tables(con, [table.file], (), named, work_dir / f"again_{number}")
        found += again
        problems += more
    if problems:
        raise one_error(problems)
    return found, {
        doubt.label: question(f"in which encoding does the file read right: {doubt.quoted}") for doubt in doubts
    }


def _paths_of(group: Sequence[RawTable], patterns: Sequence[str], base_dir: Path, work_dir: Path) -> Iterator[str]:
    """The patterns that name only files of the group; for others, the files themselves."""
    labels = {table.file.label for table in group if table.file is not None}
    for number, pattern in enumerate(patterns):
        one = TransactionSource.model_construct(path=[pattern], columns={}, format=FileFormat())
        named = [file.label for file in list_files(one, base_dir, work_dir / f"named_{number}")]
        if set(named) <= labels:
            yield pattern
        else:
            yield from (label for label in named if label in labels)


def _sheets_of(group: Sequence[RawTable], tables: Sequence[RawTable]) -> list[str]:
    """The sheets of the group, if their workbooks have others too."""
    books = {table.name for table in group}
    others = [table for table in tables if table.name in books and table not in group]
    return list(dict.fromkeys(table.source_file.removeprefix(f"{table.name}#") for table in group)) if others else []


@dataclass
class _Look:
    """Files with the same columns, and what they would be as each kind of source."""

    tables: list[RawTable]
    transactions: Proposed
    customers: Proposed | None
    events: Proposed | None
    has_date: bool
    has_money: bool
    one_row_each: bool
    """Whether each customer has one row."""
    export: Export | None

    @property
    def label(self) -> str:
        return self.tables[0].source_file

    def source(self, key: str) -> Proposed | None:
        """What they would be as this kind of source."""
        return {"transactions": self.transactions, "customers": self.customers, "events": self.events}[key]


def _told_apart(looks: Sequence[_Look]) -> Proposal:
    """The proposal for one or several kinds of files.

    Raises:
        SourceError: none or several could be the transactions.
    """
    sales = [look for look in looks if look.has_date and look.has_money]
    if not sales:
        sales = [look for look in looks if look.has_date and not look.one_row_each] if len(looks) > 1 else list(looks)
    if len(sales) != 1:
        first, other = (sales or looks)[0], (sales or looks)[1]
        different = sorted(set(first.tables[0].columns) ^ set(other.tables[0].columns))
        raise SourceError(
            f"{other.label}: has other columns than {first.label}, and both may be transactions"
            if sales
            else f"{first.label}, {other.label}: none of them looks like transactions",
            quoted=", ".join(different),
            to_do="give one kind of transactions at a time",
        )
    sold = sales[0]
    _refuse_money_elsewhere(sold, looks)
    proposal = Proposal(sold.transactions)
    for look in looks:
        if look is sold:
            continue
        is_of_orders = "order_id" in look.transactions.mapping
        if proposal.customers is None and look.customers is not None and look.one_row_each and not is_of_orders:
            proposal.customers = look.customers
        elif proposal.events is None and look.events is not None and not look.one_row_each:
            proposal.events = look.events
        else:
            proposal.left_out += [table.source_file for table in look.tables]
    export = sold.export
    if "order_id" not in proposal.transactions.mapping:
        proposal.deduplicate = False
        proposal.deduplicate_why = "no order id: equal rows may be two purchases"
    elif export is not None and export.is_by_line and export.line_id not in sold.tables[0].columns:
        proposal.deduplicate = False
        proposal.deduplicate_why = "an order may hold two equal lines; so each order may be in one file only"
    if export is not None:
        proposal.returns, proposal.returns_why = export.returns, export.returns_why
    return proposal


def _refuse_money_elsewhere(sold: _Look, looks: Sequence[_Look]) -> None:
    """Refuse orders and their items in two files: which one the money of an order is in cannot be written.

    Raises:
        SourceError: the transactions have no money, and other files have both money and a column of theirs.
    """
    for look in looks:
        both = [name for name in look.tables[0].columns if name in sold.tables[0].columns]
        if not sold.has_money and look.has_money and not look.one_row_each and both:
            raise SourceError(
                f"{look.label}: has money, and {sold.label} has customers and days",
                quoted=f"in both: {listed(both)}",
                to_do="join them into one file, or in a database that a query reads (docs/how-to/database-files.md)",
            )


def _look(con: duckdb.DuckDBPyConnection, tables: Sequence[RawTable]) -> _Look:
    """Look at files with the same columns.

    Raises:
        SourceError: they cannot be read.
    """
    sample = Sample(con, tables)
    export = export_of(sample.names)
    guesser = _Guesser(sample)
    proposed = _of_export(export, sample) if export is not None else guesser.transactions()
    proposed.rows = sample.rows
    _add_conventions(con, tables, proposed, sample)
    if "currency" in proposed.mapping:
        codes = sample.values(proposed.mapping["currency"])
        proposed.currencies = {
            code: sum(rows for written, rows in codes.items() if written.upper() == code)
            for code in dict.fromkeys(written.upper() for written in codes)
        }
    person = guesser.person
    known = None if person is None or person.is_question else guesser.facts[guesser.column_of(person)]
    return _Look(
        tables=list(tables),
        transactions=proposed,
        customers=guesser.customers() if known is not None else None,
        events=guesser.events() if known is not None and guesser.day is not None else None,
        has_date="ordered_at" in proposed.mapping,
        has_money=bool({"amount", "unit_price"} & set(proposed.mapping)),
        one_row_each=known is not None and known.distinct >= 0.98 * max(known.filled, 1),
        export=export,
    )


_FURTHER_FORMATS = (
    *("%b %d, %Y, %I:%M:%S %p", "%b %d, %Y, %H:%M:%S", "%b %d, %Y, %I:%M %p", "%b %d, %Y, %H:%M"),
    *("%d.%m.%Y, %H:%M:%S", "%d.%m.%Y, %H:%M", "%d/%m/%Y, %H:%M:%S", "%d/%m/%Y, %H:%M", "%a, %d %b %Y %H:%M:%S"),
)
"""Formats that are stated where they fit every value, because the loader does not find them by itself."""


def _add_conventions(
    con: duckdb.DuckDBPyConnection, tables: Sequence[RawTable], proposed: Proposed, sample: Sample
) -> None:
    """State or ask how dates and numbers are written where the loader would not know."""
    plain_columns = {entry.key: entry.value for entry in proposed.columns if not entry.is_sql and not entry.is_question}
    day = plain_columns.get("ordered_at")
    if day is not None and (problem := _problem(con, tables, {"ordered_at": day}, FileFormat(decimal="."))):
        fitting = [text for text in _FURTHER_FORMATS if sample.fits(day, text)]
        proposed.format.append(
            Entry("date_formats", fitting[0]) if fitting else Entry("date_formats", _asked(problem), is_question=True)
        )
    numbers = {name: plain_columns[name] for name in TransactionSource.numbers if name in plain_columns}
    # A time is always mapped; how it is written does not matter here.
    columns = {"ordered_at": next(iter(tables[0].columns)), **numbers}
    problem = _problem(con, tables, columns, FileFormat(date_formats=["%Y"])) if numbers else None
    # Any other problem, such as several currencies, is not a matter of format: `clv check` tells it.
    if problem is not None and ".decimal" in problem.to_do:
        proposed.format.append(Entry("decimal", _asked(problem), is_question=True))


def _problem(
    con: duckdb.DuckDBPyConnection, tables: Sequence[RawTable], columns: dict[str, str], stated: FileFormat
) -> SourceError | None:
    """Why the loader would not know how these columns are written."""
    source = TransactionSource.model_construct(columns=columns, format=stated)
    try:
        conventions_of(con, tables, source)
    except SourceError as error:
        return error
    return None


def _asked(problem: SourceError) -> str:
    # Here the answer stands where the setting is, so the setting needs no name.
    written = re.sub(r"^state \S+\.format\.\w+[:,]", "write", problem.to_do)
    return question(f"{problem.what.partition(': ')[2]}: {written}")


# --- known exports ---


def _of_export(export: Export, sample: Sample) -> Proposed:
    columns = sample.names
    entries: dict[str, Entry] = {}
    for choice in export.choices:
        if choice.ours not in entries and choice.fits(columns):
            entries[choice.ours] = Entry(choice.ours, choice.sql or choice.theirs, bool(choice.sql), why=choice.why)
    if "customer_id" not in entries:
        entries["customer_id"] = Entry("customer_id", question(export.without_customer), is_question=True)
    money = next(money for money in export.money if money.fits(columns))
    sql = money.sql(columns)
    entries["amount"] = Entry("amount", sql, is_sql=sql != money.total, why=money.why)
    if export.line_id in columns:
        entries[export.line_id] = Entry(
            export.line_id.replace("-", "_"), export.line_id, why="an attribute: it tells two equal lines apart"
        )
    proposed = Proposed(
        paths=[],
        about=f"{export.name}; docs/how-to/{export.how_to} has the formula and its sources",
        columns=_in_order(entries.values()),
    )
    conditions, reasons, unknown = [], [], []
    for statuses in export.statuses:
        if statuses.column in columns:
            conditions.append(_one_of(statuses.column, statuses.counts))
            reasons.append(f"{statuses.column}: {', '.join(statuses.counts)} count")
            unknown += [f"{statuses.column} {value!r}" for value in _unknown(sample, statuses)]
    for condition in export.conditions:
        if condition.fits(columns):
            conditions.append(condition.sql)
            reasons.append(condition.why)
    if conditions:
        sql, why = " and ".join(conditions), "; ".join(reasons)
        if unknown:
            asked = question(f"which of these is revenue: {', '.join(unknown)}")
            proposed.where = Entry("where", asked, is_question=True, why=f"{why}. Without the unknown ones: {sql}")
        else:
            proposed.where = Entry("where", sql, is_sql=True, why=why)
    return proposed


def _unknown(sample: Sample, statuses: Statuses) -> list[str]:
    return [
        value for value in sample.values(statuses.column) if value.casefold() not in (*statuses.counts, *statuses.out)
    ]


def _one_of(column: str, values: Iterable[str]) -> str:
    return f"lower({quote_identifier(column)}) in ({', '.join(map(quote_literal, values))})"


def _in_order(entries: Iterable[Entry]) -> list[Entry]:
    """The entries in the order of our columns, attributes last."""
    order = {name: position for position, name in enumerate(TransactionSource.known)}
    return sorted(entries, key=lambda entry: order.get(entry.key, len(order)))


# --- any other file ---


class _Guesser:
    """What the columns of files with the same columns mean, one after the other; no column means two things."""

    def __init__(self, sample: Sample) -> None:
        self._sample = sample
        self.facts = sample.facts
        self._taken: set[str] = set()
        self.day: Entry | None = self._day()
        self.customer: Entry | None = self._customer()
        self.person: Entry | None = self.customer or self._numbered()
        """The customer where each has one row: there, row numbers may be ids."""

    def transactions(self) -> Proposed:
        """The files as transactions."""
        entries = [
            self.customer or self._ask_for("customer_id", "which column tells the customers apart"),
            self.day or self._ask_for_day(),
        ]
        money = self._less_refunds(self._money(order := self._order()))
        product = self._first(synonyms.PRODUCTS, lambda facts: not facts.is_date and not facts.is_running)
        country = self._first(synonyms.COUNTRIES, lambda facts: not facts.is_date and not facts.is_number)
        currency = self._first(synonyms.CURRENCIES, self._holds_currencies)
        selected = selection_of(self._sample, self._taken)
        self._taken.update(selected.columns)
        named = {"order_id": order, "product_id": product, "country": country, "currency": currency}
        entries += [Entry(ours, theirs) for ours, theirs in named.items() if theirs is not None]
        return Proposed(
            paths=[],
            columns=_in_order([*entries, *money]),
            where=selected.where,
            further=[name for name in self._sample.names if name not in self._taken],
        )

    def customers(self) -> Proposed | None:
        """The files as demographics: every further column is used."""
        return None if self.person is None else Proposed(paths=[], columns=[self.person])

    def events(self) -> Proposed | None:
        """The files as events."""
        if self.customer is None or self.day is None:
            return None
        kinds = self._matching(synonyms.EVENT_TYPES, lambda facts: 1 < facts.distinct <= FEW and not facts.is_number)
        times = self._matching(synonyms.EVENT_TIMES, lambda facts: facts.is_date or bool(facts.read_by))
        return Proposed(
            paths=[],
            columns=[
                self.customer,
                self._as_time("occurred_at", times[0]) if times else replace(self.day, key="occurred_at"),
                *(Entry("event", name) for name in kinds[:1]),
            ],
        )

    def column_of(self, entry: Entry) -> str:
        """The column that an entry reads."""
        return next(name for name in self.facts if entry.value == (self._lowered(name) if entry.is_sql else name))

    def _matching(self, words: Sequence[str], allowed: _Allowed) -> list[str]:
        """The columns whose names are among `words` and whose values are allowed, the likeliest first."""
        return named(self.facts, words, self._taken, allowed)

    def _first(self, words: Sequence[str], allowed: _Allowed) -> str | None:
        found = self._matching(words, allowed)
        self._taken.update(found[:1])
        return found[0] if found else None

    def _holds_currencies(self, facts: ColumnFacts) -> bool:
        """Whether the values are codes of three letters, or a few signs or words."""
        values = self._sample.values(facts.name)
        is_coded = all(len(value) == 3 and value.isalpha() for value in values)
        return is_coded or (len(values) <= FEW and not facts.is_number and not facts.is_date)

    @staticmethod
    def _lowered(name: str) -> str:
        return f"lower(trim({quote_identifier(name)}))"

    def _day(self) -> Entry | None:
        theirs = self._first(synonyms.DATES, lambda facts: facts.is_date)
        dates = [name for name, facts in self.facts.items() if facts.is_date]
        if theirs is None and len(dates) == 1:
            theirs = dates[0]
        if theirs is None and not dates:
            theirs = self._first(synonyms.DATES, lambda facts: bool(facts.read_by))
        if theirs is None:
            return None
        self._taken.add(theirs)
        return self._as_time("ordered_at", theirs)

    def _as_time(self, ours: str, theirs: str) -> Entry:
        if not (read := self.facts[theirs].read_by):
            return Entry(ours, theirs)
        sql = f"{read}({quote_identifier(theirs)})"
        return Entry(ours, sql, is_sql=True, why=f"{_UNITS[read]} since 1970; days are those of UTC")

    def _ask_for_day(self) -> Entry:
        dates = [name for name, facts in self.facts.items() if facts.is_date]
        if not dates:
            hint = "" if self.customer else "; the header should be the first line"
            asked = f"which column holds the day of the purchase (none looks like dates{hint})"
            return self._ask_for("ordered_at", asked)
        asked = question(f"which is the day of the purchase: {_listed(dates)}")
        return Entry("ordered_at", asked, is_question=True)

    def _customer(self) -> Entry | None:
        def allowed(facts: ColumnFacts) -> bool:
            return facts.tells_apart and not facts.is_date and facts.filled >= 0.05 * facts.rows

        ids = self._matching(synonyms.CUSTOMER_IDS, allowed)
        others = [name for name in ids[1:] if not _akin(ids[0], name) and not self._says_the_same(ids[0], name)]
        if others:
            told = ", ".join(f"{name} ({self.facts[name].distinct:,} values)" for name in [ids[0], *others])
            return Entry("customer_id", question(f"which is the customer: {told}"), is_question=True)
        for words in (synonyms.CUSTOMER_IDS, synonyms.EMAILS, synonyms.CUSTOMER_NAMES):
            if found := self._matching(words, allowed):
                return self._as_customer(found[0])
        weak = self._matching(("id",), lambda facts: allowed(facts) and facts.distinct < 0.9 * facts.filled)
        return self._as_customer(weak[0]) if weak else None

    def _numbered(self) -> Entry | None:
        numbered = self._matching(synonyms.CUSTOMER_IDS, lambda facts: facts.is_running)
        return Entry("customer_id", numbered[0]) if numbered else None

    def _says_the_same(self, one: str, other: str) -> bool:
        return self._sample.belongs(one, other) > 0.99 and self._sample.belongs(other, one) > 0.99

    def _as_customer(self, name: str) -> Entry:
        self._taken.add(name)
        if self.facts[name].is_email:
            return Entry("customer_id", self._lowered(name), is_sql=True, why="e-mails are compared in lower case")
        return Entry("customer_id", name)

    def _ask_for(self, ours: str, asked: str) -> Entry:
        free = [
            f"{name} ({facts.distinct:,} values)"
            for name, facts in self.facts.items()
            if name not in self._taken and facts.filled and facts.tells_apart and not facts.is_date
        ]
        told = f": {_listed(free)}" if free else ""
        return Entry(ours, question(asked + told), is_question=True)

    def _order(self) -> str | None:
        def allowed(facts: ColumnFacts) -> bool:
            # Orders may be numbered like the rows: the name says so, and one row may be one order.
            return not facts.is_constant and not facts.is_date and facts.filled >= 0.5 * facts.rows

        customer = (
            self.column_of(self.customer) if self.customer is not None and not self.customer.is_question else None
        )
        for name in self._matching(synonyms.ORDERS, allowed):
            if customer is None or self._sample.belongs(name, customer) >= 0.95:
                self._taken.add(name)
                return name
        return None

    def _money(self, order: str | None) -> list[Entry]:
        def allowed(facts: ColumnFacts) -> bool:
            return facts.is_number and not facts.is_date

        cents = [
            name
            for name, facts in self.facts.items()
            if synonyms.sounds_like_cents(name) and name not in self._taken and allowed(facts)
        ]
        quantity = self._first(synonyms.QUANTITIES, allowed)
        pieces = [Entry("quantity", quantity)] if quantity is not None else []
        price = self._first(synonyms.PRICES, allowed)
        if cents and price is None:
            self._taken.update(cents)
            asked = f"is {cents[0]} in hundredths? then {{sql: '{quote_identifier(cents[0])} / 100'}}, else its name"
            return [*pieces, Entry("amount", question(asked), is_question=True)]
        amounts = self._different(self._matching(synonyms.AMOUNTS, allowed))
        if quantity is not None and price is not None:
            return self._by_line(quantity, price, amounts, order)
        if not amounts and price is not None:
            return [*pieces, Entry("amount", price, why="there is no quantity and no other money")]
        if len(amounts) > 1 and plain(amounts[0]) not in synonyms.NET:
            told = ", ".join(f"{name} (sum {self._sample.total(name):,.2f})" for name in amounts)
            return [*pieces, Entry("amount", question(f"which is the money of a row: {told}"), is_question=True)]
        if amounts:
            self._taken.add(amounts[0])
            why = "without tax, or after discounts" if len(amounts) > 1 else ""
            return [*pieces, Entry("amount", amounts[0], why=why)]
        return [*pieces, *self._without_money()]

    def _less_refunds(self, money: list[Entry]) -> list[Entry]:
        """The money, unless a column says what was paid back of it."""
        refunds = self._matching(synonyms.REFUNDS, lambda facts: facts.is_number)
        back = next((name for name in refunds if self._sample.total(name)), None)
        last = money[-1] if money else None
        if back is None or last is None or last.key != "amount" or last.is_question:
            return money
        self._taken.add(back)
        net = f"{quote_identifier(last.value)} - coalesce({quote_identifier(back)}, 0)"
        asked = (
            f"{back} (sum {self._sample.total(back):,.2f}) was paid back: write {{sql: '{net}'}}, or {last.value} if"
            " that is left already"
        )
        return [*money[:-1], Entry("amount", question(asked), is_question=True)]

    def _different(self, amounts: list[str]) -> list[str]:
        """The columns that do not repeat an earlier one."""
        kept: list[str] = []
        for name in amounts:
            if not any(self._sample.equal(name, other) for other in kept):
                kept.append(name)
        return kept

    def _by_line(self, quantity: str, price: str, amounts: Sequence[str], order: str | None) -> list[Entry]:
        """Quantity × price, unless a stated amount of the line says something else."""
        lines = [Entry("quantity", quantity), Entry("unit_price", price)]
        stated = [name for name in amounts if order is None or not self._sample.repeats_within(name, order)]
        found = {name: self._sample.differing(name, quantity, price) for name in stated}
        if not found or any(rows == 0 for rows, _ in found.values()):
            return lines
        name, (rows, difference) = next(iter(found.items()))
        asked = (
            f"{name} is not {quantity} × {price} in {rows:,} of {self._sample.rows:,} rows, in sum {difference:+,.2f}:"
            f" write {name}; or write unit_price: {price} in place of this line"
        )
        self._taken.add(name)
        return [lines[0], Entry("amount", question(asked), is_question=True)]

    def _without_money(self) -> list[Entry]:
        numbers = [
            name
            for name, facts in self.facts.items()
            if facts.is_number and not facts.is_date and name not in self._taken and facts.tells_apart
        ]
        if not numbers:
            return []
        asked = f"which is the money of a row: {_listed(numbers)}; delete this line if there is none"
        return [Entry("amount", question(asked), is_question=True)]


def _akin(one: str, other: str) -> bool:
    """Whether two names begin alike, as CustomerID and CustomerNumber do."""
    return plain(one)[:4] == plain(other)[:4]


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _FEW_CANDIDATES} more" if len(names) > _FEW_CANDIDATES else ""
    return ", ".join(names[:_FEW_CANDIDATES]) + more
