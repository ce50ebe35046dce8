"""Demographics and engagement as columns of a customers frame, as the optional sources provide them.

The set of columns depends only on the data of one day, so that training windows and forecasts of one fit have the same
columns, and no later event can add or rename one.
"""

# Only names that this module wrote itself, and texts that it quotes, enter the SQL; other values are parameters.
# ruff: noqa: S608

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from clv_pipeline.database.sql_text import quote_literal
from clv_pipeline.warehouse.duckdb_engine import Session

if TYPE_CHECKING:
    import polars as pl

EVENT_TYPES = 20
"""Types of events with their own columns, the most frequent ones; all others are counted together."""

OTHER = "other"
"""Name of the other events."""

_VALUES = {
    "count_30_days": "sum(events_30_days)",
    "count_90_days": "sum(events_90_days)",
    "days_since": "min(days_since_event)",
}


@dataclass(frozen=True)
class OptionalColumns:
    """The columns that are known as of the cutoff of a fit.

    SQL uses numbered columns, because names of attributes and events may differ only in upper and lower case, which SQL
    does not distinguish. `names` are their names in a frame: `attribute:<name>` (Float64, or String for a category;
    null where unknown), and per type of event `event:<type>:count_30_days`, `:count_90_days`, `:days_since` (Float64).
    A count is 0 for a customer without such an event, and null at cutoffs before anybody's first one: it was not
    recorded yet. There are no columns where the sources are not configured.
    """

    attributes: Mapping[str, str]
    """The aggregate of a customer's rows of `customer_attributes`, by numbered column."""
    events: Mapping[str, str]
    """The aggregate of a customer's rows of `customer_events` as of one cutoff, by numbered column."""
    recorded: Mapping[str, str]
    """The cutoffs by which somebody had such an event, as SQL, by numbered count column."""
    names: Mapping[str, str]

    @classmethod
    def known(cls, session: Session, as_of: date) -> OptionalColumns:
        """The columns as of `as_of`, the cutoff of a fit; no cutoff of a frame may be later."""
        from clv_pipeline.forecasting.protocol import ATTRIBUTE_PREFIX, EVENT_PREFIX

        attributes: dict[str, str] = {}
        events: dict[str, str] = {}
        recorded: dict[str, str] = {}
        names: dict[str, str] = {}
        kinds = session.read(
            "select a.attribute_name, a.kind from customer_attributes as a"
            " semi join (select customer_id from customer_features where cutoff = ?) as f using (customer_id)"
            " group by a.attribute_name, a.kind order by a.kind, a.attribute_name",
            [as_of],
        )
        for number, (name, kind) in enumerate(kinds.iter_rows()):
            attributes[f"a{number}"] = f"max({kind}) filter (where attribute_name = {quote_literal(name)})"
            names[f"a{number}"] = f"{ATTRIBUTE_PREFIX}{name}"
        types = session.read(
            "select event_type from customer_events where cutoff = ? group by event_type"
            " order by sum(events) desc, event_type limit ?",
            [as_of, EVENT_TYPES],
        )["event_type"].to_list()
        cutoffs = session.read(
            "select distinct if(list_contains(?, event_type), event_type, ?) as named, cutoff from customer_events"
            " where cutoff <= ? order by all",
            [types, OTHER, as_of],
        ).group_by("named", maintain_order=True)
        own = ", ".join(quote_literal(name) for name in types if name != OTHER)
        for (name,), days in cutoffs:
            counted = f"event_type = {quote_literal(name)}"
            if name == OTHER:
                counted = f"event_type not in ({own})" if own else "true"
            for value, aggregate in _VALUES.items():
                column = f"e{len(events)}"
                events[column] = f"cast({aggregate} filter (where {counted}) as double)"
                names[column] = f"{EVENT_PREFIX}{name}:{value}"
                if value != "days_since":
                    recorded[column] = ", ".join(f"date '{day}'" for day in days["cutoff"])
        return cls(attributes, events, recorded, names)

    def added_to(self, query: str) -> str:
        """SQL for the rows of `query` (customer_id, cutoff and more) with the numbered columns."""
        if not self.names:
            return query
        # Missing counts are 0; `days_since` stays NULL when the customer had no such event.
        counts = {
            column: f"case when described.cutoff in ({cutoffs}) then coalesce(events.{column}, 0.0) end as {column}"
            for column, cutoffs in self.recorded.items()
        }
        return (
            f"with described as ({query}),"
            f" attributes as (select {', '.join(['customer_id', *_named(self.attributes)])} from customer_attributes"
            " semi join described using (customer_id) group by customer_id),"
            f" events as (select {', '.join(['customer_id', 'cutoff', *_named(self.events)])} from customer_events"
            " semi join described using (customer_id, cutoff) group by customer_id, cutoff)"
            " select "
            + ", ".join(["described.*", *self.attributes, *(counts.get(column, column) for column in self.events)])
            + " from described left join attributes using (customer_id) left join events using (customer_id, cutoff)"
        )

    def named(self, frame: pl.DataFrame) -> pl.DataFrame:
        """A frame with the numbered columns renamed to their names."""
        return frame.rename(self.names)


def _named(expressions: Mapping[str, str]) -> list[str]:
    return [f"{expression} as {column}" for column, expression in expressions.items()]
