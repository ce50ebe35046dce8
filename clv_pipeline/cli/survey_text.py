"""A survey of a source as lines to read.

This module only words the results of `inspect`.
"""

from collections.abc import Iterator, Sequence

from clv_pipeline.config.settings import Settings
from clv_pipeline.config.source import TransactionSource
from clv_pipeline.database.sql_text import quote_identifier
from clv_pipeline.sources.inspect import FurtherSurvey, Survey
from clv_pipeline.sources.loaded import LoadedFile
from clv_pipeline.sources.money_questions import MoneyQuestions


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
    if questions := [*_money_lines(survey.money, source)]:
        lines += ["", "please decide", *questions]
    if survey.demographics is not None:
        lines += ["", "demographics", *_further_lines(survey.demographics, "without a customer")]
        lines += [
            f"  {found.name:<24} {found.filled:>8.2%} filled, {found.numeric:.2%} of it numbers"
            for found in survey.demographics.attributes
        ]
    if survey.events is not None:
        lines += ["", "events", *_further_lines(survey.events, "without a customer or a readable date")]
        lines.append(f"types of event: {survey.events.event_types:,}")
        if survey.events.first_day and survey.events.last_day:
            lines.append(f"{survey.events.first_day:%Y-%m-%d} to {survey.events.last_day:%Y-%m-%d}")
    if survey.costs is not None:
        lines += ["", "acquisition costs", *_file_lines(survey.costs.files)]
        lines.append(f"{survey.costs.amount:,.2f} on {survey.costs.channels:,} channels")
        if survey.costs.first_day and survey.costs.last_day:
            lines.append(f"{survey.costs.first_day:%Y-%m-%d} to {survey.costs.last_day:%Y-%m-%d}")
    return "\n".join(lines)


def _shortened(labels: Sequence[str]) -> str:
    return ", ".join(labels[:10]) + (f" … and {len(labels) - 10:,} more" if len(labels) > 10 else "")


def _money_lines(money: MoneyQuestions, source: TransactionSource) -> Iterator[str]:
    if (total := money.stated_total) is not None and total.problem is not None:
        yield f"  {total.column} may be the money of a line, and cannot be compared with it: {total.problem}"
    elif total is not None:
        yield (
            f"  {total.column} differs from quantity × unit_price on {total.differing:,} of {total.lines:,} lines, by"
            f" {total.difference:+,.2f} in sum"
        )
        yield (
            f"    {total.column} is taken; to take quantity × unit_price, remove columns.amount"
            if total.is_taken
            else f"    quantity × unit_price is taken; to take {total.column}, map it as columns.amount"
        )
    for ours in money.may_be_cents:
        divided = f"{{sql: '{quote_identifier(source.columns[ours])} / 100'}}"
        yield f"  {ours} may be in hundredths (cents): if it is, write {ours}: {divided}, or all sums are too high"


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
