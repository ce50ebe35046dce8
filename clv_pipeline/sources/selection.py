"""Which rows of an unknown file count, if its columns tell: statuses, marks as is_cancelled, and days as cancelled_at.

What certainly does not count is left out, and what may be meant in two ways is asked. Known exports say it themselves
(`exports`).
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace

from clv_pipeline.config.questions import question
from clv_pipeline.database.sql_text import quote_identifier, quote_literal
from clv_pipeline.sources import synonyms
from clv_pipeline.sources.column_facts import FEW, ColumnFacts, Sample, named
from clv_pipeline.sources.proposal import Entry
from clv_pipeline.sources.synonyms import plain


@dataclass(frozen=True)
class Selection:
    """The condition of rows that count, and the columns that it is about."""

    where: Entry | None
    columns: Collection[str]


def selection_of(sample: Sample, taken: Collection[str]) -> Selection:
    """What the columns that are not `taken` tell about which rows count."""
    status, columns = _statuses(sample, taken)
    marks = list(_marks(sample, taken))
    columns = [*columns, *(name for name, _, _ in marks)]
    if not marks:
        return Selection(status, columns)
    sql = " and ".join(condition for _, condition, _ in marks)
    why = "; ".join(reason for _, _, reason in marks)
    if status is None:
        return Selection(Entry("where", sql, is_sql=True, why=why), columns)
    if status.is_question:
        return Selection(replace(status, why=f"{status.why}; {why}, for which: and {sql}"), columns)
    return Selection(replace(status, value=f"{status.value} and {sql}", why=f"{status.why}; {why}"), columns)


def _statuses(sample: Sample, taken: Collection[str]) -> tuple[Entry | None, list[str]]:
    """The condition of the first column of statuses that tells of orders, and its name."""

    def allowed(facts: ColumnFacts) -> bool:
        return facts.distinct <= FEW and (facts.distinct > 1 or facts.filled < facts.rows)

    for name in named(sample.facts, synonyms.STATUSES, taken, allowed):
        values = sample.values(name)
        out = [value for value in values if plain(value) in synonyms.DOES_NOT_COUNT]
        unknown = [value for value in values if plain(value) not in (*synonyms.DOES_NOT_COUNT, *synonyms.COUNTS)]
        blank = sample.rows - sample.facts[name].filled
        if not out and len(unknown) == len(values):
            continue  # the words of another matter, such as states of a country
        if not out and not unknown and not blank:
            return None, [name]
        column = quote_identifier(name)
        sql = f"{column} not in ({', '.join(map(quote_literal, out))})" if out else ""
        told = ", ".join(f"{value} {rows:,}" for value, rows in values.items()) + (
            f", blank {blank:,}" if blank else ""
        )
        why = f"rows by {name}: {told}"
        if not unknown and not blank:
            return Entry("where", sql, is_sql=True, why=why), [name]
        doubtful = [*map(repr, unknown), *(["blank"] if blank else [])]
        example = f"{column} is null or {sql}" if blank and sql else sql
        asked = question(f"which rows count? {name} {', '.join(doubtful)} may be revenue or not")
        return Entry("where", asked, is_question=True, why=f"{why}; for example {example}" if example else why), [name]
    return None, []


def _marks(sample: Sample, taken: Collection[str]) -> Iterator[tuple[str, str, str]]:
    """Columns that mark rows which do not count, each with its condition and why."""
    for name in named(sample.facts, synonyms.MARKS, taken, lambda facts: facts.distinct <= 2):
        values = {value.casefold() for value in sample.values(name)}
        if values <= {*synonyms.YES, *synonyms.NO}:
            words = ", ".join(map(quote_literal, synonyms.YES))
            condition = f"lower(coalesce({quote_identifier(name)}, '')) not in ({words})"
            yield name, condition, f"rows marked as {name} are out"
    for name in named(sample.facts, synonyms.DAYS_OF_CANCELLATION, taken, lambda facts: facts.is_date):
        if sample.facts[name].filled <= 0.5 * sample.rows:
            yield name, f"{quote_identifier(name)} is null", f"rows with a day of {name} are out"
