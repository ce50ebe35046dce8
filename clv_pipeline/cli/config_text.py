"""A proposal as a commented `clv.yaml`.

This module only words what `guess` proposes. A choice carries its reason as a comment, a question its candidates.
"""

import json
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path

from clv_pipeline.config.reference import SCHEMA
from clv_pipeline.sources.proposal import Entry, Proposal, Proposed

_WIDTH = 110
_SHORT = 80
"""Length of an expression that stands on the line of its key."""


def schema_line(folder: Path) -> str:
    """The line that points an editor from a `clv.yaml` in this folder to the schema in the installed package."""
    near = SCHEMA.relative_to(folder).as_posix() if SCHEMA.is_relative_to(folder) else ""
    # A path ends at a space; a URI has none.
    return f"# yaml-language-server: $schema={near if near and ' ' not in near else SCHEMA.as_uri()}"


def config_text(proposal: Proposal, folder: Path) -> str:
    """The text of a `clv.yaml` in `folder` that `Settings.load` accepts once its questions are answered."""
    lines = [
        schema_line(folder),
        "# What clv_pipeline reads and how. Written by `clv init`: correct it where it is wrong, then run `clv check`.",
    ]
    if proposal.questions:
        lines.append("# A value that begins with ? is a question: write the answer in its place.")
    lines.append("source:")
    for key, source in proposal.sources.items():
        lines += [f"  {key}:", *(f"    {line}" for line in _source_lines(source))]
    lines += list(_comments(f"Not used: {', '.join(proposal.left_out)}" if proposal.left_out else "", "  "))
    absent = {
        "customers": "# customers: {path: customers.csv, columns: {customer_id: id}}  # demographics: all other columns"
        " are used",
        "events": "# events: {path: events/*.csv, columns: {customer_id: user, occurred_at: time, event: type}}",
    }
    if missing := [text for key, text in absent.items() if key not in proposal.sources]:
        lines.append("  # Optional, read like the transactions; see docs/how-to/your-own-data.md:")
        lines += [f"  {text}" for text in missing]
    if (asked := proposal.report_in) is not None:
        others = "what one unit of each other currency is worth in it, such as {USD: 0.92}"
        lines += ["", "currency:", f"  {asked.key}: {_quoted(asked.value)}", f"  rates: {{}}  # {others}"]
    lines += [
        "",
        "cleaning:",
        f"  deduplicate: {str(proposal.deduplicate).lower()}  # {proposal.deduplicate_why}",
        f"  returns: {proposal.returns}  # {proposal.returns_why}",
        "  exclude_products: []  # for example postage, vouchers, manual corrections",
        "",
        "forecast:",
        "  as_of: latest  # or today, or a day such as 2011-09-01: days up to and including it are history",
        "  horizons_days: [30, 90, 180, 365]",
        "",
        "storage:",
        "  home: data  # also CLV_HOME",
        "",
    ]
    return "\n".join(lines)


def _source_lines(source: Proposed) -> Iterator[str]:
    yield from _comments(source.about)
    if source.url:
        yield f"url: {_quoted(source.url)}"
        yield f"query: {_quoted(source.query)}"
        yield "# lookback_days: 7  # then a run reads only the rows since seven days before the newest record"
    else:
        yield f"path: {_listed(source.paths)}"
    if source.where is not None:
        yield from _comments(source.where.why)
        yield from _lines_of("where", source.where)
    yield "columns:  # ours: theirs"
    for entry in source.columns:
        yield from (f"  {line}" for line in _comments(entry.why))
        if not entry.is_sql:
            yield f"  {entry.key}: {_quoted(entry.value)}"
        elif len(entry.value) <= _SHORT:
            yield f"  {entry.key}: {{sql: {_expression(entry.value)}}}"
        else:
            yield f"  {entry.key}:"
            yield from (f"    {line}" for line in _lines_of("sql", entry))
    if source.further:
        yield "  # Further columns; one that is mapped here becomes an attribute of the transaction:"
        yield from (f"  # {_attribute_name(name)}: {_quoted(name)}" for name in source.further)
    if source.format or source.sheets or source.names:
        yield "format:"
    if source.names:
        told = (
            "The first line looks like a record, so it is read as one, and the columns have names of ours, which"
            " you may change. If it is the header after all, write `header: true` in place of these two lines."
        )
        yield from _comments(told, "  ")
        yield "  header: false"
        yield f"  names: {_listed(source.names, always=True)}"
    if source.sheets:
        yield f"  sheets: {_listed(source.sheets, always=True)}"
    for entry in source.format:
        yield from (f"  {line}" for line in _comments(entry.why))
        is_list = entry.key == "date_formats" and not entry.is_question
        yield f"  {entry.key}: {_listed([entry.value], always=is_list)}"


def _comments(text: str, indent: str = "") -> Iterator[str]:
    """A text as comment lines."""
    shown = "".join(letter if letter.isprintable() else " " for letter in text)
    yield from (f"{indent}# {line}" for line in textwrap.wrap(shown, _WIDTH - len(indent), break_long_words=False))


def _lines_of(key: str, entry: Entry) -> Iterator[str]:
    """A key and its value; a long expression over several lines, which YAML folds into one."""
    if not entry.is_sql:
        yield f"{key}: {_quoted(entry.value)}"
    elif len(entry.value) <= _SHORT or "  " in entry.value or not entry.value.isprintable():
        yield f"{key}: {_expression(entry.value)}"
    else:
        yield f"{key}: >-"
        for part in entry.value.replace(" and ", "\nand ").splitlines():
            folded = textwrap.wrap(part, _WIDTH - 12, break_long_words=False, break_on_hyphens=False)
            yield from (f"  {line}" for line in folded)


def _expression(sql: str) -> str:
    return "'" + sql.replace("'", "''") + "'" if sql.isprintable() else _quoted(sql)


def _listed(texts: Sequence[str], *, always: bool = False) -> str:
    quoted = [_quoted(text) for text in texts]
    return quoted[0] if len(quoted) == 1 and not always else f"[{', '.join(quoted)}]"


def _quoted(text: str) -> str:
    # JSON strings are YAML strings; but YAML allows no control characters, and writes JSON's with eight digits.
    return "".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in json.dumps(text, ensure_ascii=False))


def _attribute_name(name: str) -> str:
    plain = "".join(letter if letter.isalnum() else "_" for letter in name.lower()).strip("_")
    return plain or "attribute"
