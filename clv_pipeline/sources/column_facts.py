"""What the values of a file's columns are like, whatever their names say.

Here belongs counting over a copy of the first rows as text. `guess` decides from it what a column means.
"""

# Only identifiers and expressions that this package wrote itself enter the SQL; values are parameters.
# ruff: noqa: S608

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import duckdb

from clv_pipeline.sources.conventions import LOOKS_LIKE_NUMBER
from clv_pipeline.sources.samples import ask
from clv_pipeline.sources.synonyms import plain
from clv_pipeline.sources.tables import RawTable

ROWS = 200_000
"""Number of rows that are looked at. The head of a file may be one customer's, one day's or one status."""
FEW = 40
"""Most values of a column that are told one by one."""

_DAY = r"(0[1-9]|[12]\d|3[01])"
_LOOKS_LIKE_DATE = (
    rf"(1[89]|20)\d\d(0[1-9]|1[0-2]){_DAY}([ T]?\d.*)?|(1[89]|20)\d\d[-/.]\d\d?[-/.]\d\d?([ T].*)?"
    r"|\d\d?[-/.]\d\d?[-/.](\d\d){1,2}( .*)?"
    r"|\d\d?[ /-][A-Za-z]{3,9}[ /-](\d\d){1,2}( .*)?|[A-Za-z]{3,9} \d\d?,? \d{4}(,? .*)?"
)
_CURRENCY = r"([A-Z]{0,2}\p{Sc}|[A-Z]{3})?[ \x{a0}\x{202f}]?"
_LOOKS_LIKE_MONEY = rf"[(+−-]?{_CURRENCY}[(]?({LOOKS_LIKE_NUMBER}){_CURRENCY}[)−-]?"
_LOOKS_LIKE_EMAIL = r"[^@\s{}\[\]\"]+@[^@\s]+[.][^@\s{}\[\]\"]+"
_LOOKS_NESTED = r"[{\[].*[}\]]"
_COUNTS_OF_SECONDS = {"to_timestamp": 1, "epoch_ms": 1000}
"""Functions of expressions that read times since 1970, and what they count in a second."""
_FIRST_SECOND, _LAST_SECOND = 946_684_800, 4_102_444_800
"""The years 2000 to 2099."""


@dataclass(frozen=True)
class ColumnFacts:
    """Facts about one column. Shares of dates, numbers and e-mails are of the filled values."""

    name: str
    rows: int
    filled: int
    distinct: int
    dates: float
    numbers: float
    emails: float
    nested: float
    read_by: str
    """The function that reads the values as times since 1970; '' if they are none."""
    is_running: bool
    """Whether the values are the row numbers: ten or more whole numbers without a gap, in order."""

    @property
    def is_date(self) -> bool:
        """Whether most values are dates."""
        return self.dates > 0.5

    @property
    def is_number(self) -> bool:
        """Whether most values are numbers, with or without a currency."""
        return self.numbers > 0.5

    @property
    def is_email(self) -> bool:
        """Whether most values are e-mail addresses."""
        return self.emails > 0.5

    @property
    def is_unique(self) -> bool:
        """Whether every row has a value of its own."""
        return self.rows > 1 and self.distinct == self.filled == self.rows

    @property
    def tells_apart(self) -> bool:
        """Whether the values tell records apart: an empty column, a constant, row numbers and objects do not."""
        return not self.is_constant and not self.is_running and self.nested == 0

    @property
    def is_constant(self) -> bool:
        """Whether the column is empty, or ten or more rows have one value: fewer may be one customer's."""
        return self.distinct == 0 or (self.distinct == 1 and self.rows >= 10)


def named(
    facts: Mapping[str, ColumnFacts],
    words: Sequence[str],
    taken: Collection[str],
    allowed: Callable[[ColumnFacts], bool],
) -> list[str]:
    """The filled columns whose names are among `words` and whose values are allowed, the likeliest first."""
    ranks = {word: rank for rank, word in enumerate(words)}
    found = [
        name
        for name, fact in facts.items()
        if plain(name) in ranks and name not in taken and fact.filled and allowed(fact)
    ]
    return sorted(found, key=lambda name: ranks[plain(name)])


class Sample:
    """The first rows of tables with the same columns, as text, in a temporary table."""

    def __init__(self, con: duckdb.DuckDBPyConnection, tables: Sequence[RawTable]) -> None:
        """Copy the rows."""
        self._con = con
        self.names = list(tables[0].columns)
        self._at = {name: f"c{position}" for position, name in enumerate(self.names)}
        con.execute(f"CREATE OR REPLACE TEMP TABLE looked_at ({', '.join(f'{c} VARCHAR' for c in self._at.values())})")
        left = ROWS
        for table in tables:
            if left <= 0:
                break
            texts = ", ".join(f"nullif(trim(CAST({table.columns[n].expression} AS VARCHAR)), '')" for n in self.names)
            query = f"INSERT INTO looked_at SELECT {texts} FROM {table.scan} LIMIT {left}"
            ((copied,),) = ask(con, table, query, table.parameters)
            left -= copied
        self.rows = ROWS - left
        self.facts = {name: self._facts_of(name) for name in self.names}

    def _facts_of(self, name: str) -> ColumnFacts:
        column = self._at[name]
        seconds = f"TRY_CAST({column} AS BIGINT)"
        whole = f"regexp_full_match({column}, '[0-9]+')"
        since_1970 = ", ".join(
            f"coalesce(bool_and({whole} AND {seconds} BETWEEN {_FIRST_SECOND * unit} AND {_LAST_SECOND * unit}), false)"
            for unit in _COUNTS_OF_SECONDS.values()
        )
        ((filled, distinct, dates, numbers, emails, nested, running, *times),) = self._con.execute(
            f"""
            SELECT count({column}), count(DISTINCT {column}),
                coalesce(avg(CAST(regexp_full_match({column}, $date) AS INTEGER)) FILTER (rowid < 1000), 0),
                coalesce(avg(CAST(regexp_full_match({column}, $money) AS INTEGER)) FILTER (rowid < 1000), 0),
                coalesce(avg(CAST(regexp_full_match({column}, $email) AS INTEGER)) FILTER (rowid < 1000), 0),
                coalesce(avg(CAST(regexp_full_match({column}, $nested, 's') AS INTEGER)) FILTER (rowid < 1000), 0),
                count(*) >= 10 AND coalesce(bool_and({whole} AND {seconds} - rowid = first_value), false),
                {since_1970}
            FROM looked_at, (SELECT TRY_CAST(min_by({column}, rowid) AS BIGINT) AS first_value FROM looked_at)
            """,
            {
                "date": _LOOKS_LIKE_DATE,
                "money": _LOOKS_LIKE_MONEY,
                "email": _LOOKS_LIKE_EMAIL,
                "nested": _LOOKS_NESTED,
            },
        ).fetchall()
        read_by = next((read for read, found in zip(_COUNTS_OF_SECONDS, times, strict=True) if found), "")
        return ColumnFacts(name, self.rows, filled, distinct, dates, numbers, emails, nested, read_by, running)

    def values(self, name: str) -> dict[str, int]:
        """The most frequent values of a column, at most `FEW` and one, with their numbers of rows."""
        column = self._at[name]
        return dict(
            self._con.execute(
                f"SELECT {column}, count(*) FROM looked_at WHERE {column} IS NOT NULL "
                f"GROUP BY ALL ORDER BY count(*) DESC, {column} LIMIT {FEW + 1}"
            ).fetchall()
        )

    def fits(self, name: str, date_format: str) -> bool:
        """Whether every value of a column is a date of this strptime format."""
        column = self._at[name]
        ((others,),) = self._con.execute(
            f"SELECT count(*) FROM looked_at WHERE {column} IS NOT NULL AND try_strptime({column}, $format) IS NULL",
            {"format": date_format},
        ).fetchall()
        return bool(others == 0)

    def belongs(self, child: str, parent: str) -> float:
        """Share of the values of `child` that stand beside one value of `parent` only."""
        ((share,),) = self._con.execute(
            f"SELECT coalesce(avg(CAST(parents <= 1 AS INTEGER)), 0) FROM (SELECT count(DISTINCT {self._at[parent]}) "
            f"AS parents FROM looked_at WHERE {self._at[child]} IS NOT NULL GROUP BY {self._at[child]})"
        ).fetchall()
        return float(share)

    def total(self, name: str) -> float:
        """The sum of a column of numbers."""
        ((total,),) = self._con.execute(f"SELECT coalesce(sum({_number(self._at[name])}), 0) FROM looked_at").fetchall()
        return float(total)

    def differing(self, amount: str, quantity: str, price: str) -> tuple[int, float]:
        """The rows where `amount` is not `quantity` × `price`, and by how much it is above in sum."""
        stated = _number(self._at[amount])
        product = f"{_number(self._at[quantity])} * {_number(self._at[price])}"
        ((rows, difference),) = self._con.execute(
            f"SELECT count(*) FILTER (abs(difference) > 0.011), coalesce(sum(difference), 0) "
            f"FROM (SELECT {stated} - {product} AS difference FROM looked_at)"
        ).fetchall()
        return int(rows), float(difference)

    def equal(self, one: str, other: str) -> bool:
        """Whether two columns of numbers hold the same in every row."""
        ((rows,),) = self._con.execute(
            f"SELECT count(*) FROM looked_at WHERE {_number(self._at[one])} IS DISTINCT FROM {_number(self._at[other])}"
        ).fetchall()
        return bool(rows == 0)

    def repeats_within(self, amount: str, order: str) -> bool:
        """Whether orders have several lines, and each states the same `amount` on all of them."""
        ((several, same),) = self._con.execute(
            f"SELECT count(*) FILTER (rows > 1), count(*) FILTER (rows > 1 AND amounts = 1) "
            f"FROM (SELECT count(*) AS rows, count(DISTINCT {self._at[amount]}) AS amounts FROM looked_at "
            f"WHERE {self._at[order]} IS NOT NULL GROUP BY {self._at[order]})"
        ).fetchall()
        return bool(several and same >= 0.99 * several)


def _number(text: str) -> str:
    """SQL that reads a number with a point or a comma, with or without a currency; good enough to compare."""
    bare = f"regexp_replace({text}, '[^0-9.,-]', '', 'g')"
    comma_last = f"instr(reverse({bare}), ',') BETWEEN 1 AND 3 AND NOT contains({bare}, '.')"
    dots = f"regexp_matches({bare}, '[.].*,')"
    return (
        f"TRY_CAST(CASE WHEN {comma_last} THEN replace({bare}, ',', '.') "
        f"WHEN {dots} THEN replace(replace({bare}, '.', ''), ',', '.') ELSE replace({bare}, ',', '') END AS DOUBLE)"
    )
