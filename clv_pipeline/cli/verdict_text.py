"""What a run would say about the source, as text: odd files, failing checks, and the setting that helps with each.

Here belongs only the wording. The run's own steps find out what is odd (`orchestration/rehearsal.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from clv_pipeline.orchestration.rehearsal import OddFile, Rehearsal

CURES = {
    "dates": "source.transactions.columns.ordered_at or format.date_formats",
    "amounts": "source.transactions.columns (amount, quantity, unit_price) or format.decimal",
    "customers": "source.transactions.columns.customer_id",
    "known_customers": "source.transactions.columns.customer_id",
    "whole_orders": "source.transactions.columns (customer_id, order_id)",
    "known_products": "source.transactions.columns.product_id",
    "timed": "source.transactions.columns.ordered_at",
    "whole_amounts": "source.transactions.columns (amount, quantity, unit_price) or format.decimal",
    "most_dates_can_be_read": "source.transactions.columns.ordered_at or format.date_formats",
    "most_amounts_can_be_read": "source.transactions.columns (amount, quantity, unit_price) or format.decimal",
    "most_rows_have_a_customer": "source.transactions.columns.customer_id",
    "few_unreadable_lines": "source.transactions.format (delimiter, encoding, date_formats, decimal)",
    "some_rows_are_kept": "source.transactions (where, columns), and cleaning",
    "most_rows_are_kept": "source.transactions.columns, and cleaning",
    "new_days_are_as_usual": "gates.accepted_days, where the day really was like that",
    "new_days_are_nearly_as_usual": "gates.accepted_days, where the day really was like that",
    "new_files_are_as_usual": "gates.accepted_files, where a file really is like that",
    "new_files_are_nearly_as_usual": "gates.accepted_files, where a file really is like that",
    "every_currency_can_be_converted": "currency.report_in and currency.rates",
    "days_have_a_rate": "currency.rates",
    "money_has_a_currency": "currency.rates, and source.transactions.columns.currency",
    "most_costs_are_known": "source.transactions.columns.cost",
    "nearly_all_costs_are_known": "source.transactions.columns.cost",
    "sales_bring_more_than_they_cost": "source.transactions.columns.cost",
    "customers_are_somebody": "cleaning.anonymous_ids",
}
"""The setting of clv.yaml to look at, by measure of a file and by check."""

SHOWN_FILES, SHOWN_CUSTOMERS = 20, 10


def cure(name: str) -> str:
    """The setting that helps with a check or a measure; empty if there is none."""
    return CURES.get(name, "")


def verdict_text(found: Rehearsal) -> str:
    """What a run would say, in lines: the newest file first, and the worst measure of a file first."""
    lines = [
        *_file_lines(found.odd_files),
        *_check_lines(found),
        *_customer_lines(found),
        "clv run would stop here" if found.stops else "clv run would accept these records",
    ]
    return "\n".join(line for line in lines if line)


def _file_lines(odd: Sequence[OddFile]) -> Iterator[str]:
    by_file = [(name, list(found)) for name, found in groupby(odd, key=lambda each: each.source_file)]
    if by_file:
        yield "files that are not as usual, the newest first"
    for _, found in by_file[:SHOWN_FILES]:
        for each in found:
            mark = "ERROR" if each.severity == "error" else "warning"
            helps = f"; look at {cure(each.measure)}" if cure(each.measure) else ""
            yield f"  {mark:<8} {each.finding}{helps}"
    if len(by_file) > SHOWN_FILES:
        yield f"  … and {len(by_file) - SHOWN_FILES:,} more files"


def _check_lines(found: Rehearsal) -> Iterator[str]:
    for result in found.failed:
        mark = "ERROR" if result.blocks else "warning"
        helps = f" Look at {cure(result.check)}." if cure(result.check) else ""
        # Files have been listed.
        told = result.description if result.table == "file_gates" else result.told
        yield f"{mark}: {result.table}.{result.check} is not met. {told}{helps}"


def _customer_lines(found: Rehearsal) -> Iterator[str]:
    if found.odd_customers:
        yield "customer ids that may stand for nobody"
    for each in found.odd_customers[:SHOWN_CUSTOMERS]:
        yield f"  {each.customer_id!r:<24} {each.share:>8.2%} of all orders"
    if len(found.odd_customers) > SHOWN_CUSTOMERS:
        yield f"  … and {len(found.odd_customers) - SHOWN_CUSTOMERS:,} more"
