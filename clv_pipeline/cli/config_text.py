"""A guessed mapping as a commented `clv.yaml`, and a survey as lines to read.

This module only words the results of `inspect`.
"""

import json
from collections.abc import Sequence
from pathlib import Path

from clv_pipeline.config.reference import SCHEMA
from clv_pipeline.config.settings import Settings
from clv_pipeline.sources.inspect import FurtherSurvey, Guess, Survey
from clv_pipeline.sources.loaded import LoadedFile

PLACEHOLDER = "?"
"""Replaces a column that could not be guessed; no check passes until the user fills it in."""


def schema_line(folder: Path) -> str:
    """The line that points an editor from a `clv.yaml` in this folder to the schema in the installed package."""
    near = SCHEMA.relative_to(folder).as_posix() if SCHEMA.is_relative_to(folder) else ""
    # A path ends at a space; a URI has none.
    return f"# yaml-language-server: $schema={near if near and ' ' not in near else SCHEMA.as_uri()}"


def config_text(paths: Sequence[str], guess: Guess, folder: Path) -> str:
    """The text of a `clv.yaml` in `folder` that `Settings.load` accepts.

    Columns that were not recognised are placeholders with a comment.
    """
    quoted = [_quoted(path) for path in paths]
    path = quoted[0] if len(quoted) == 1 else f"[{', '.join(quoted)}]"
    lines = [
        schema_line(folder),
        "# What clv_pipeline reads and how. Written by `clv init`: correct the guesses, then run `clv check`.",
        "source:",
        "  transactions:",
        f"    path: {path}",
        "    columns:  # ours: theirs",
    ]
    columns = dict(guess.columns)
    for name in ("customer_id", "ordered_at"):
        columns.setdefault(name, PLACEHOLDER)
    if "amount" not in columns and not {"quantity", "unit_price"} <= set(columns):
        columns["amount"] = PLACEHOLDER
    for ours, theirs in columns.items():
        note = "  # not recognised: write the name of the column" if theirs == PLACEHOLDER else ""
        lines.append(f"      {ours}: {_quoted(theirs)}{note}")
    if guess.further:
        lines.append("      # Further columns; one that is mapped here becomes an attribute of the transaction:")
        lines += [f"      # {_attribute_name(name)}: {_quoted(name)}" for name in guess.further]
    if guess.first_record is not None:
        names = ", ".join(f"column_{position}" for position in range(1, len(guess.first_record) + 1))
        lines += [
            "    # The first line of the file looks like a record, so it is read as one. If it is the header, write",
            "    # `header: true` in place of the next line. You may give the columns names of your own.",
            f"    format: {{header: false, names: [{names}]}}",
            f"    # The first line: {_quoted(' | '.join(guess.first_record))}",
        ]
    if guess.date_problem:
        lines += [
            "    # The dates do not tell how they are written; state it, for example with one of these.",
            "    # format:",
            '    #   date_formats: ["%d/%m/%Y", "%d/%m/%Y %H:%M", "%d/%m/%Y %H:%M:%S"]  # day first',
            '    #   date_formats: ["%m/%d/%Y", "%m/%d/%Y %H:%M", "%m/%d/%Y %H:%M:%S"]  # month first',
        ]
    lines += [
        "  # Optional, read like the transactions; see docs/how-to/your-own-data.md:",
        "  # customers: {path: customers.csv, columns: {customer_id: id}}  # demographics: all other columns are used",
        "  # events: {path: events/*.csv, columns: {customer_id: user, occurred_at: time, event: type}}",
    ]
    deduplicate = "true" if "order_id" in guess.columns else "false"
    why = "equal rows are copies" if "order_id" in guess.columns else "no order id: equal rows may be two purchases"
    lines += [
        "",
        "cleaning:",
        f"  deduplicate: {deduplicate}  # {why}",
        "  returns: drop  # or net: negative amounts reduce what the customer spent",
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


def _quoted(text: str) -> str:
    # JSON strings are YAML strings; but YAML allows no control characters, and writes JSON's with eight digits.
    return "".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in json.dumps(text, ensure_ascii=False))


def _attribute_name(name: str) -> str:
    plain = "".join(letter if letter.isalnum() else "_" for letter in name.lower()).strip("_")
    return plain or "attribute"


def survey_text(settings: Settings, survey: Survey) -> str:
    """The survey in lines: files, span, readable share of each mapped column, rows that cleaning will likely reject."""
    source, cleaning = settings.source.transactions, settings.cleaning
    left_out = f"left out, of no kind that is read: {_shortened(survey.left_out)}"
    lines = [*_file_lines(survey.files), *([left_out] if survey.left_out else [])]
    lines += ["", f"{survey.rows:,} rows, {survey.customers:,} customers"]
    if survey.first_day and survey.last_day:
        lines.append(f"{survey.first_day:%Y-%m-%d} to {survey.last_day:%Y-%m-%d}")
    lines += ["", "readable values per column"]
    for ours, share in survey.readable.items():
        lines.append(f"  {ours:<12} {share:>8.2%}  {source.columns[ours]}")
    for ours, theirs in source.attributes.items():
        lines.append(f"  {ours:<12} attribute  {theirs}")
    returns = "will be netted" if cleaning.returns == "net" else "will be dropped"
    repeated = "will be dropped" if cleaning.deduplicate else "will be kept"
    counts = {
        "lines that are no records": survey.unreadable_lines,
        "rows without a customer": survey.no_customer,
        "rows without a readable date": survey.no_date,
        "rows with an unreadable number": survey.no_number,
        f"rows with an amount of zero or below (negative ones {returns})": survey.not_positive,
        f"rows that repeat another one ({repeated})": survey.repeated,
    }
    if source.where is not None:
        counts["rows that where does not select (not selected); no other line counts them"] = survey.not_selected
    lines += ["", "likely to be refused or dropped; a row may count more than once"]
    lines += [f"  {count:>12,}  {what}" for what, count in counts.items()]
    if survey.demographics is not None:
        lines += ["", "demographics", *_further_lines(survey.demographics, "without a customer")]
        lines += [
            f"  {found.name:<24} {found.filled:>8.2%} filled, {found.numeric:.2%} of it numbers"
            for found in survey.demographics.attributes
        ]
    if survey.events is not None:
        lines += ["", "events", *_further_lines(survey.events, "without a customer or a readable date")]
        lines.append(f"{survey.events.event_types:,} types of event")
        if survey.events.first_day and survey.events.last_day:
            lines.append(f"{survey.events.first_day:%Y-%m-%d} to {survey.events.last_day:%Y-%m-%d}")
    return "\n".join(lines)


def _shortened(labels: Sequence[str]) -> str:
    return ", ".join(labels[:10]) + (f" … and {len(labels) - 10:,} more" if len(labels) > 10 else "")


def _file_lines(files: Sequence[LoadedFile]) -> list[str]:
    lines = [f"{file.source_file}: {file.rows:,} rows ({file.format}){_also(file)}" for file in files[:10]]
    return lines if len(files) <= len(lines) else [*lines, f"… and {len(files) - len(lines):,} more files"]


def _also(file: LoadedFile) -> str:
    """The other names of the same bytes."""
    return f"; also there as {file.copies}, which counts once" if file.copies else ""


def _further_lines(found: FurtherSurvey, unreadable: str) -> list[str]:
    return [
        *_file_lines(found.files),
        f"{found.rows:,} rows, {found.unreadable:,} of them {unreadable}",
        f"{found.customers:,} customers, {found.buyers:,} of them in the transactions",
    ]
