"""What the volume gates are told: how strictly each measure is judged, and what passed before.

The judging itself is SQL (`volume_gates`). The tolerances are chosen so that on two real shops an alarm is rare
(docs/how-to/volume-checks.md has the measured rates); whether an alarm stops the refresh is the user's choice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import dagster as dg

from clv_pipeline.config.settings import Gates
from clv_pipeline.contracts import Contract
from clv_pipeline.orchestration.gated_step import Metadata, gated_step
from clv_pipeline.pipeline import Pipeline, Refresh
from clv_pipeline.warehouse import Session
from clv_pipeline.warehouse.settings_table import settings_frame


@dataclass(frozen=True)
class Measure:
    """How one measure of a day is held against others.

    A day is odd when it is further off than `slack` and than `strays` times the median deviation of recent days. Both
    are in the unit that is compared. Of a `ratio` that is the natural logarithm: 0.5 allows 0.6 to 1.65 times the
    expected, 0.7 half to double.
    """

    measure: str
    setting: str
    label: str
    compares: Literal["ratio", "difference"]
    slack: float
    strays: float
    judges_below: bool = True
    judges_above: bool = True
    digits: int = 0


MEASURES = (
    Measure("rows", "rows", "rows kept", "ratio", 0.5, 4),
    # Days of which nothing is kept are no missing days: something arrived.
    Measure(
        "kept", "kept", "share of the arrived rows that is kept", "difference", 0.4, 8, judges_above=False, digits=2
    ),
    Measure("customers", "customers", "customers", "ratio", 0.5, 6),
    Measure("revenue", "revenue", "revenue", "ratio", 0.5, 5),
    Measure("line_amount", "line_amount", "median money of a row", "ratio", 0.7, 5, digits=2),
    # Shares move in jumps where many sales are anonymous, so much is tolerated; less of them is never wrong.
    Measure("without_customer", "without_customer", "share without customer", "difference", 0.2, 6, False, digits=2),
    Measure("rejected", "rejected", "share rejected", "difference", 0.2, 6, False, digits=2),
    # Hours after midnight. Where the source has no time of day both are 0 on every day, and so never odd.
    Measure("first_hour", "hours", "hour of the first row", "difference", 2.5, 4, False, digits=1),
    Measure("last_hour", "hours", "hour of the last row", "difference", 2.5, 4, judges_above=False, digits=1),
    # These two have rules of their own in volume_gates.
    Measure("missing_days", "missing_days", "rows on a day that usually has some", "difference", 0, 0),
    Measure("silence", "silence", "days without anything new since", "difference", 0, 0),
)

_PASSED = "select ordered_on, measure, observed from volume_gates"
_NOTHING_PASSED = (
    "select cast(null as date) as ordered_on, cast(null as varchar) as measure, cast(null as double) as observed"
    " where false"
)


def tables(pipeline: Pipeline) -> dg.AssetsDefinition:
    """gate_settings with passed_volumes."""
    names = ["gate_settings", "passed_volumes"]

    def build(session: Session, _: Refresh) -> Mapping[str, Metadata]:
        stage_gate_inputs(session, [pipeline.contract(name) for name in names], pipeline.settings.gates)
        return {}

    return gated_step(pipeline, names, reads=[], kinds={"python"}, build=build)


def stage_gate_inputs(session: Session, contracts: Sequence[Contract], gates: Gates) -> None:
    """Stage `gate_settings` and `passed_volumes`, whose contracts are given in this order."""
    gate_settings, passed_volumes = contracts
    session.stage_frame(gate_settings, settings_frame(gate_settings, *gate_rows(gates)))
    # volume_gates is no dependency in the graph: a table cannot wait for what waits for it.
    passed = _PASSED if session.has_table("volume_gates") else _NOTHING_PASSED
    session.stage_query(passed_volumes, passed)


def gate_rows(gates: Gates) -> list[list[Mapping[str, Any]]]:
    """The rows of `gate_settings` for `settings_frame`: each measure, what `gates:` says of it, and of all of them."""
    return [
        [asdict(_configured(measure, gates)), {"severity": getattr(gates, measure.setting)}, dict(gates)]
        for measure in MEASURES
    ]


def _configured(measure: Measure, gates: Gates) -> Measure:
    return replace(measure, slack=gates.silent_days) if measure.measure == "silence" else measure
