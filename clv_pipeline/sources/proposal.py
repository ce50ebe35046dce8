"""What `clv init` proposes, as data: the settings of each source, why, and what it asks.

`guess` makes proposals, and `cli/config_text` words them.
"""

from dataclasses import dataclass, field

from clv_pipeline.config.questions import question


@dataclass(frozen=True)
class Entry:
    """One key of the settings and its value."""

    key: str
    value: str
    """A column of the file, an expression or a question."""
    is_sql: bool = False
    is_question: bool = False
    why: str = ""


@dataclass
class Proposed:
    """The settings of one source."""

    paths: list[str]
    rows: int = 0
    """The number of rows that were looked at."""
    url: str = ""
    """Of a database in place of paths, with `query`."""
    query: str = ""
    about: str = ""
    """What kind of file it is."""
    columns: list[Entry] = field(default_factory=list)
    where: Entry | None = None
    currencies: dict[str, int] = field(default_factory=dict)
    """The currencies of the column that is mapped as `currency`, with their numbers of rows."""
    format: list[Entry] = field(default_factory=list)
    sheets: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    """Names of the columns of files without a header; empty where there is one."""
    further: list[str] = field(default_factory=list)
    """Columns that mean nothing to us, as candidates for attributes."""

    @property
    def mapping(self) -> dict[str, str]:
        """What is known: our names, and columns or expressions."""
        return {entry.key: entry.value for entry in self.columns if not entry.is_question}

    @property
    def questions(self) -> list[Entry]:
        """Everything that is asked."""
        where = [self.where] if self.where is not None else []
        return [entry for entry in (*self.columns, *where, *self.format) if entry.is_question]


@dataclass
class Proposal:
    """A whole `clv.yaml`."""

    transactions: Proposed
    customers: Proposed | None = None
    events: Proposed | None = None
    deduplicate: bool = True
    deduplicate_why: str = "equal rows are copies"
    returns: str = "net"
    returns_why: str = "a negative amount is taken off the purchase that it belongs to; or drop"
    left_out: list[str] = field(default_factory=list)
    """Files and sheets that are none of the three, by label."""

    @property
    def report_in(self) -> Entry | None:
        """The question for the currency of the reports, where there are several."""
        rows = self.transactions.currencies
        if len(rows) < 2:
            return None
        told = ", ".join(f"{code} ({count:,} rows)" for code, count in rows.items())
        asked = f"which currency to report in: {told}; write rates for the others below"
        if not all(len(code) == 3 and code.isalpha() for code in rows):
            asked += "; the answer is a code such as EUR, and what the file calls it gets the rate 1"
        asked = question(asked)
        return Entry("report_in", asked, is_question=True)

    @property
    def questions(self) -> list[Entry]:
        """Everything that is asked, of all sources."""
        reports = [self.report_in] if self.report_in is not None else []
        return [*(entry for source in self.sources.values() for entry in source.questions), *reports]

    @property
    def sources(self) -> dict[str, Proposed]:
        """The proposed sources by their key."""
        given = {"transactions": self.transactions, "customers": self.customers, "events": self.events}
        return {key: source for key, source in given.items() if source is not None}
