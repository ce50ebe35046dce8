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
    if any(source.questions for source in proposal.sources.values()):
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
        yield f"where: {_value(source.where)}"
    yield "columns:  # ours: theirs"
    for entry in source.columns:
        yield from (f"  {line}" for line in _comments(entry.why))
        value = _value(entry)
        yield f"  {entry.key}: {f'{{sql: {value}}}' if entry.is_sql else value}"
    if source.further:
        yield "  # Further columns; one that is mapped here becomes an attribute of the transaction:"
        yield from (f"  # {_attribute_name(name)}: {_quoted(name)}" for name in source.further)
    if source.format or source.sheets or source.names:
        yield "format:"
    if source.names:
        yield "  header: false  # the first line is a record"
        yield f"  names: {_listed(source.names, always=True)}"
    if source.sheets:
        yield f"  sheets: {_listed(source.sheets, always=True)}"
    for entry in source.format:
        yield from (f"  {line}" for line in _comments(entry.why))
        value = _value(entry)
        yield f"  {entry.key}: {f'[{value}]' if entry.key == 'date_formats' else value}"


def _comments(text: str, indent: str = "") -> Iterator[str]:
    """A text as comment lines."""
    shown = "".join(letter if letter.isprintable() else " " for letter in text)
    yield from (f"{indent}# {line}" for line in textwrap.wrap(shown, _WIDTH - len(indent), break_long_words=False))


def _value(entry: Entry) -> str:
    if entry.is_sql and entry.value.isprintable():
        return "'" + entry.value.replace("'", "''") + "'"
    return _quoted(entry.value)


def _listed(texts: Sequence[str], *, always: bool = False) -> str:
    quoted = [_quoted(text) for text in texts]
    return quoted[0] if len(quoted) == 1 and not always else f"[{', '.join(quoted)}]"


def _quoted(text: str) -> str:
    # JSON strings are YAML strings; but YAML allows no control characters, and writes JSON's with eight digits.
    return "".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in json.dumps(text, ensure_ascii=False))


def _attribute_name(name: str) -> str:
    plain = "".join(letter if letter.isalnum() else "_" for letter in name.lower()).strip("_")
    return plain or "attribute"
