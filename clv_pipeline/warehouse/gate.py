"""Write → audit → promote: the only way a table becomes live.

Tables that one step builds are admitted together or not at all. What happened is recorded in the schema
`gate` of the warehouse: every audit, and for every live table the audit that let it in and the versions of
the tables it was built from. Publication reads these records.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from clv_pipeline.contracts import Contract
from clv_pipeline.quality import CheckResult
from clv_pipeline.warehouse.duckdb_engine import Session, staged_name

_RECORDS = """
create schema if not exists gate;
create table if not exists gate.audits (
    audited_at timestamp not null, run_id varchar not null, table_name varchar not null,
    passed boolean not null, failed_checks varchar not null
);
create table if not exists gate.promotions (
    table_name varchar primary key, run_id varchar not null, promoted_at timestamp not null,
    contract_hash varchar not null, rows bigint not null, built_from json not null
);
"""


@dataclass(frozen=True)
class Admission:
    """What came of one step: whether its tables are live now, and every check that was made."""

    admitted: bool
    results: dict[str, list[CheckResult]]
    rows: dict[str, int]
    build_seconds: float
    audit_seconds: float

    @property
    def failures(self) -> list[CheckResult]:
        """The checks that kept the tables out."""
        return [result for results in self.results.values() for result in results if result.blocks]


def admit(
    session: Session,
    contracts: Sequence[Contract],
    build: Callable[[Session], None],
    *,
    reads: Sequence[str],
    run_id: str,
    waits_for: Sequence[str] = (),
) -> Admission:
    """Let `build` stage the contracts' tables, audit them, and promote them if no ERROR check fails.

    Args:
        session: the open warehouse.
        contracts: of the tables that `build` stages.
        build: stages every one of them; what it raises leaves the live tables as they are.
        reads: names of the tables it reads, recorded with their versions.
        run_id: recorded.
        waits_for: names of tables that it does not read, but whose failed audit holds it back.

    Raises:
        GateError: the last audit of a table that it reads or waits for has failed.
    """
    ensure_records(session)
    tables = [contract.table for contract in contracts]
    refuse_failed_inputs(session, [*reads, *waits_for])
    session.drop_staged(contracts)
    built_from = _versions(session, reads)
    started = time.perf_counter()
    build(session)
    built = time.perf_counter()
    results = {contract.table: session.auditor.audit(contract, staged_name(contract.table)) for contract in contracts}
    audited = time.perf_counter()
    rows = {table: session.count(staged_name(table)) for table in tables}
    admission = Admission(
        admitted=not any(result.blocks for checks in results.values() for result in checks),
        results=results,
        rows=rows,
        build_seconds=built - started,
        audit_seconds=audited - built,
    )
    session.execute("begin transaction")
    try:
        _record_audits(session, admission, run_id)
        if admission.admitted:
            for contract in contracts:
                session.replace_live(contract)
                _record_promotion(session, contract, run_id, rows[contract.table], built_from)
        session.execute("commit")
    except BaseException:
        session.execute("rollback")
        raise
    session.drop_staged(contracts)
    return admission


def ensure_records(session: Session) -> None:
    """Create the schema `gate` where it is missing."""
    session.execute(_RECORDS)


class GateError(RuntimeError):
    """A table must not be built now; the text says which input stands against it."""


def refuse_failed_inputs(session: Session, reads: Sequence[str]) -> None:
    """A table whose last audit failed feeds nobody, also in a later run of just what is downstream of it.

    Raises:
        GateError: names the inputs, the run and the checks.
    """
    failed = _failed_audits(session)
    if reasons := [failed[table] for table in reads if table in failed]:
        raise GateError("not built, because " + "; ".join(reasons))


def _failed_audits(session: Session) -> dict[str, str]:
    """Of every table whose last audit failed: what happened and what to do."""
    rows = session.execute(
        "select table_name, run_id, failed_checks from gate.audits"
        " qualify row_number() over (partition by table_name order by audited_at desc) = 1 and not passed"
        " order by table_name"
    ).fetchall()
    return {
        table: f"the last audit of {table} failed in run {run_id} ({checks}); mend its input and run again"
        for table, run_id, checks in rows
    }


def reasons_against_publishing(
    session: Session, contracts: Sequence[Contract], *, may_lag: Sequence[str] = ()
) -> list[str]:
    """Why the contracts' tables must not be published now; empty when they may.

    A table is fit when a passed audit under today's contract let it in, no later audit of it failed, and the
    tables it was built from are still the live ones. Tables in `may_lag` keep a slower rhythm and are spared
    the last condition.
    """
    ensure_records(session)
    reasons = []
    promoted = {
        row[0]: row[1:]
        for row in session.execute(
            "select table_name, contract_hash, run_id, built_from from gate.promotions"
        ).fetchall()
    }
    for contract in contracts:
        if contract.table not in promoted or not session.has_table(contract.table):
            reasons.append(f"{contract.table} was never promoted by a passed audit; materialize it")
        elif promoted[contract.table][0] != contract.hash:
            reasons.append(f"{contract.table} was audited under another version of its contract; materialize it again")
    reasons.extend(_failed_audits(session).values())
    for table, (_, _, built_from) in sorted(promoted.items()):
        if table in may_lag:
            continue
        stale = [
            name
            for name, version in json.loads(built_from).items()
            if name not in may_lag and promoted.get(name, (None, None))[1] != version
        ]
        if stale:
            reasons.append(f"{table} is older than {', '.join(stale)}, which it is built from; materialize it again")
    return reasons


def _versions(session: Session, tables: Sequence[str]) -> Mapping[str, str]:
    """The run that made each of the live tables."""
    return dict(
        session.execute(
            "select table_name, run_id from gate.promotions where list_contains(?, table_name)",
            [list(tables)],
        ).fetchall()
    )


def _record_audits(session: Session, admission: Admission, run_id: str) -> None:
    now = _utc_now()
    for table, results in admission.results.items():
        failed = [result.check for result in results if result.blocks]
        # Tables of one step stand or fall together, so one failure is everybody's.
        session.execute(
            "insert into gate.audits values (?, ?, ?, ?, ?)",
            [now, run_id, table, admission.admitted, ", ".join(failed) or "another table of the step"],
        )


def _record_promotion(
    session: Session, contract: Contract, run_id: str, rows: int, built_from: Mapping[str, str]
) -> None:
    session.execute(
        "insert or replace into gate.promotions values (?, ?, ?, ?, ?, ?)",
        [contract.table, run_id, _utc_now(), contract.hash, rows, json.dumps(built_from)],
    )


def _utc_now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)
