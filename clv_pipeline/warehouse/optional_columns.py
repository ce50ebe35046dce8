"""Demographics and engagement as columns of a customers frame: as many as the optional sources give.

Which columns there are depends on what was known as of one day only, so that training windows and forecasts of
one fit have the same, and no later event can add or rename one.
"""

# Only names that this module wrote itself enter the SQL; values are parameters.
# ruff: noqa: S608

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

from clv_pipeline.warehouse.duckdb_engine import Session

if TYPE_CHECKING:
    import polars as pl

EVENT_TYPES = 20
"""Types of events that get columns of their own, the most frequent ones; the rest are counted together."""

OTHER = "other"
"""What the rest is called."""

_KEYS = "described_customers"


def with_optional_columns(session: Session, frame: pl.DataFrame, as_of: date) -> pl.DataFrame:
    """`frame` (customer_id, cutoff and more) with what demographics and events say, in its order.

    Columns, by name: `attribute:<name>` (Float64, or String for a category; null where unknown), and per type of event
    `event:<type>:count_30_days`, `:count_90_days`, `:days_since` (Float64). A count is 0 for a customer without
    such an event and null at cutoffs by which nobody had one: it was not recorded yet. None of these where the
    sources are not configured. `as_of` is the cutoff of the fit: no cutoff of the frame is later.
    """
    session.connection.register(_KEYS, frame.select("customer_id", "cutoff").unique())
    try:
        return _with_events(session, _with_attributes(session, frame, as_of), as_of)
    finally:
        session.connection.unregister(_KEYS)


def _with_attributes(session: Session, frame: pl.DataFrame, as_of: date) -> pl.DataFrame:
    from clv_pipeline.forecasting.protocol import ATTRIBUTE_PREFIX

    kinds = session.read(
        "select distinct a.attribute_name, a.kind from customer_attributes as a"
        " semi join (select customer_id from customer_features where cutoff = ?) as f using (customer_id)"
        " order by a.attribute_name",
        [as_of],
    )
    rows = session.read(
        "select customer_id, attribute_name, number, category from customer_attributes"
        f" semi join {_KEYS} using (customer_id)"
    )
    for kind in ("category", "number"):
        names = kinds.filter(kind=kind)["attribute_name"].to_list()
        wide = rows.pivot("attribute_name", on_columns=names, index="customer_id", values=kind)
        wide = wide.rename({name: f"{ATTRIBUTE_PREFIX}{name}" for name in names})
        frame = frame.join(wide, on="customer_id", how="left", maintain_order="left")
    return frame


def _with_events(session: Session, frame: pl.DataFrame, as_of: date) -> pl.DataFrame:
    import polars as pl

    from clv_pipeline.forecasting.protocol import EVENT_PREFIX

    named = session.read(
        "select event_type from customer_events where cutoff = ? group by event_type"
        " order by sum(events) desc, event_type limit ?",
        [as_of, EVENT_TYPES],
    )["event_type"].to_list()
    folded = (
        "with folded as (select * replace (if(list_contains(?, event_type), event_type, ?) as event_type)"
        " from customer_events)"
    )
    rows = session.read(
        f"{folded} select customer_id, cutoff, event_type, cast(sum(events_30_days) as double) as count_30_days,"
        " cast(sum(events_90_days) as double) as count_90_days, cast(min(days_since_event) as double) as days_since"
        f" from folded semi join {_KEYS} using (customer_id, cutoff) group by all",
        [named, OTHER],
    )
    recorded = session.read(
        f"{folded} select event_type, list(distinct cutoff) as cutoffs from folded where cutoff <= ?"
        " group by event_type order by event_type",
        [named, OTHER, as_of],
    )
    types = recorded["event_type"].to_list()
    values = ("count_30_days", "count_90_days", "days_since")
    wide = rows.pivot("event_type", on_columns=types, index=["customer_id", "cutoff"], values=values)
    wide = wide.rename({f"{value}_{name}": f"{EVENT_PREFIX}{name}:{value}" for name in types for value in values})
    # A count that is missing is none; how long ago nothing was, nobody can say.
    counts = [
        pl.when(pl.col("cutoff").is_in(cutoffs)).then(pl.col(f"{EVENT_PREFIX}{name}:{value}").fill_null(0.0))
        for name, cutoffs in recorded.iter_rows()
        for value in ("count_30_days", "count_90_days")
    ]
    return frame.join(wide, on=["customer_id", "cutoff"], how="left", maintain_order="left").with_columns(counts)
