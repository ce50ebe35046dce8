"""The data dictionary: the content of every table, written once in the contracts and shown in several places.

`dictionary_entries` gathers the content. `as_markdown` turns it into docs/reference/data-dictionary.md; other pages
render the same entries in their own way. Words about a single table belong in its contract.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from clv_pipeline.contracts import Contract
from clv_pipeline.contracts.contract import UNITS
from clv_pipeline.contracts.lineage import ColumnLineage, column_lineage
from clv_pipeline.contracts.loader import SqlModel, TableModel

IF_A_CHECK_FAILS = {
    "error": "the last good table stays, nothing is built from it or published",
    "warning": "it is shown, and nothing is held back",
}
"""The meaning of a severity for readers of the tables."""

_INTRODUCTION = """\
# Data dictionary

Generated from the contracts in `dbt_like_sql/` by `make dictionary`; change the contract, not this file.

The [published tables](#published-tables) are in `published/current/clv.duckdb`, and as Parquet beside it. BI tools
see the same descriptions as comments. The [internal tables](#internal-tables) are in the warehouse, which is the
pipeline's own: they explain where the published numbers come from.

- **Type** is DuckDB's. Money that was counted is DECIMAL and exact; most estimates are DOUBLE.
- **NULL** says *may be* where values may be missing; the meaning says when. All other columns are always filled.
- **From** names the columns that SQL computes a column from. It is empty where rows are counted or a join alone
  decides; tables that Python builds do not have it.
- **Checks** are run on every new version of a table before it replaces the old one. If an *error* fails,
  {error}; if a *warning* fails, {warning}.
  Besides those listed, every table is held against the names, order and types of its columns.

| unit | what it is |
|---|---|
{units}
"""


@dataclass(frozen=True)
class DictionaryEntry:
    """One table: its contract, the tables it is built from, and where its columns come from if SQL builds it."""

    contract: Contract
    built_from: Sequence[str]
    comes_from: ColumnLineage


def dictionary_entries(models: Mapping[str, TableModel], reads: Mapping[str, Sequence[str]]) -> list[DictionaryEntry]:
    """Every table's entry, the published ones first, by name.

    Args:
        models: the tables.
        reads: the tables that each is built from.

    Raises:
        KeyError: `reads` lacks a table.
    """
    return [
        DictionaryEntry(
            contract=model.contract,
            built_from=sorted(set(reads[model.name]) - set(model.contract.waits_for)),
            comes_from=column_lineage(model, models) if isinstance(model, SqlModel) else {},
        )
        for model in sorted(models.values(), key=lambda model: (not model.contract.published, model.name))
    ]


def as_markdown(entries: Sequence[DictionaryEntry]) -> str:
    """The whole dictionary as GitHub's Markdown."""
    units = _rows(UNITS.items())
    parts = [_INTRODUCTION.format(units="\n".join(units), **IF_A_CHECK_FAILS)]
    for published, group in groupby(entries, key=lambda entry: entry.contract.published):
        part = list(group)
        parts.append(f"## {'Published' if published else 'Internal'} tables\n")
        contents = (f"[{entry.contract.table}](#{entry.contract.table})" for entry in part)
        grains = (_escaped(entry.contract.grain) for entry in part)
        parts.append("\n".join(["| table | grain |", "|---|---|", *_rows(zip(contents, grains, strict=True))]) + "\n")
        parts.extend("\n".join(_table_lines(entry)) + "\n" for entry in part)
    return "\n".join(parts)


def _table_lines(entry: DictionaryEntry) -> Iterator[str]:
    contract = entry.contract
    yield f"### {contract.table}"
    yield ""
    yield _escaped(contract.description)
    yield ""
    yield f"- Grain: {_escaped(contract.grain)}"
    yield f"- Key: {', '.join(contract.key)}"
    yield f"- Built from: {', '.join(entry.built_from) or 'no table of the same run'}"
    if contract.waits_for:
        yield f"- Waits for the checks of: {', '.join(contract.waits_for)}"
    yield ""
    head, rule = "| column | type | unit | NULL | meaning |", "|---|---|---|---|---|"
    yield f"{head} from |" if entry.comes_from else head
    yield f"{rule}---|" if entry.comes_from else rule
    for column in contract.columns:
        cells = [
            column.name,
            column.type,
            column.unit or "",
            "may be" if column.nullable else "",
            _escaped(column.description),
        ]
        yield from _rows([[*cells, _sources(entry.comes_from[column.name])] if entry.comes_from else cells])
    yield ""
    yield "| check | severity | promise |"
    yield "|---|---|---|"
    yield from _rows((check.name, check.severity, _escaped(check.description)) for check in contract.expectations)


def _sources(columns: Iterable[tuple[str, str]]) -> str:
    """Columns named table by table, as `rfm: revenue, as_of; segments: segment`."""
    tables = groupby(columns, key=lambda source: source[0])
    return "; ".join(f"{table}: {', '.join(column for _, column in sources)}" for table, sources in tables)


def _rows(rows: Iterable[Iterable[str]]) -> Iterator[str]:
    return (f"| {' | '.join(cells)} |" for cells in rows)


def _escaped(text: str) -> str:
    """Text escaped for Markdown."""
    return re.sub(r"([\\`*~|<])", r"\\\1", text)
