"""Write → audit → promote: the only way a table becomes live.

Tables of one step are admitted together or not at all. The schema `gate` of the warehouse records every audit. For
every live table it records the audit that admitted it, its inputs, and its recipe (code and settings). Publication
reads these records, and so does the next run: a step whose inputs and recipe are the same keeps its tables, and a
table that does not change needs no audit.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Collection, Container, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, date, datetime
from typing import Any
from weakref import WeakKeyDictionary

from clv_pipeline.contracts import Contract
from clv_pipeline.errors import GateError
from clv_pipeline.quality import CheckResult
from clv_pipeline.warehouse.changed_days import ensure_log, log_changes
from clv_pipeline.warehouse.duckdb_engine import Session, staged_name

SMALL_ROWS = 1_000
"""Tables up to this many rows are compared with their predecessors. If nothing differs, dependents are not rebuilt."""

# Later columns are added to existing tables, so that a warehouse of an earlier version can be read. Earlier promotions
# and audits have version or number 0.
_RECORDS = """
create schema if not exists gate;
create sequence if not exists gate.numbers;
create table if not exists gate.audits (
    audited_at timestamp not null, run_id varchar not null, table_name varchar not null,
    passed boolean not null, failed_checks varchar not null
);
alter table gate.audits add column if not exists number bigint default 0;
alter table gate.audits add column if not exists checks json default '[]';
create table if not exists gate.promotions (
    table_name varchar primary key, run_id varchar not null, promoted_at timestamp not null,
    contract_hash varchar not null, rows bigint not null, built_from json not null
);
alter table gate.promotions add column if not exists version bigint default 0;
alter table gate.promotions add column if not exists recipe varchar default '';
alter table gate.promotions add column if not exists content_id varchar default '';
"""


@dataclass(frozen=True)
class Admission:
    """The outcome of one step: whether its tables are live now, and all results of its checks."""

    admitted: bool
    results: dict[str, list[CheckResult]]
    rows: dict[str, int]
    build_seconds: float
    audit_seconds: float
    built_at: datetime
    """When the tables were built, with its timezone."""
    changed: bool = True
    """Whether the step's tables changed. If not, tables built from them need not be rebuilt."""
    kept_since: str | None = None
    """The run that built the tables, if inputs and recipe are unchanged and nothing was built now; else None."""

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
    recipe: str = "",
) -> Admission:
    """Let `build` stage the contracts' tables, audit them, and promote them if no ERROR check fails.

    A staged table that equals the live one is neither audited nor promoted again. Its last audit remains valid.

    Args:
        session: the open warehouse.
        contracts: contracts of the tables that `build` stages.
        build: stages all of these tables, whole or as changes. If it raises, the live tables stay as they are.
        reads: names of the tables it reads. They are recorded with their versions.
        run_id: id of the run, which is recorded.
        recipe: identifies code and settings, and is recorded.

    Raises:
        GateError: a table that it reads or waits for was never built, or failed its last audit.
    """
    ensure_records(session)
    refuse_unfit_inputs(session, [*reads, *_waits_for(contracts)])
    session.drop_staged(contracts)
    built_from = _versions(session, reads)
    started = time.perf_counter()
    build(session)
    built = time.perf_counter()
    known = {c.table: _last_results(session, c) for c in contracts if _stages_nothing_new(session, c)}
    results = {c.table: known.get(c.table) or session.auditor.audit(c, staged_name(c.table)) for c in contracts}
    audited = time.perf_counter()
    rows = {contract.table: session.count(staged_name(contract.table)) for contract in contracts}
    # None: any day may differ.
    days = None if session.changed_days is None else session.days_of(session.changed_days)
    admission = Admission(
        admitted=not any(result.blocks for checks in results.values() for result in checks),
        results=results,
        rows=rows,
        build_seconds=built - started,
        audit_seconds=audited - built,
        built_at=datetime.now(UTC),
        changed=_changes_anything(session, contracts, known, days),
    )
    records = _records(session)
    session.execute("begin transaction")
    try:
        records = _record_audits(
            session, records, admission, run_id, [table for table, found in known.items() if found]
        )
        if admission.admitted:
            records, version = _record_promotions(session, records, admission, contracts, run_id, recipe, built_from)
            for contract in contracts:
                if admission.changed:
                    log_changes(session, contract.table, version, days)
            for contract in contracts:
                if not known.get(contract.table):
                    session.replace_live(contract)
    except BaseException:
        session.execute("rollback")
        raise
    # A failed commit has rolled back already.
    session.execute("commit")
    _READ[session] = records
    session.drop_staged(contracts)
    return admission


def unchanged(session: Session, contracts: Sequence[Contract], reads: Sequence[str], recipe: str) -> Admission | None:
    """The last admission of a step whose inputs, recipe and contracts have not changed since its promotion.

    None if the step must be built: something differs, or its last audit failed. A step that reads no table is
    always built, because its inputs are outside the warehouse.

    Raises:
        GateError: a table that it reads or waits for was never built, or failed its last audit.
    """
    ensure_records(session)
    refuse_unfit_inputs(session, [*reads, *_waits_for(contracts)])
    tables = [contract.table for contract in contracts]
    promoted = _promotions(session)
    if not reads or any(table not in promoted for table in tables) or not _records(session).there.issuperset(tables):
        return None
    inputs = _versions(session, reads)
    for contract in contracts:
        record = promoted[contract.table]
        if (record.recipe, record.contract_hash, record.built_from) != (recipe, contract.hash, inputs):
            return None
    results = {contract.table: _last_results(session, contract) for contract in contracts}
    if not all(results.values()):
        return None
    return Admission(
        admitted=True,
        results={table: found for table, found in results.items() if found},
        rows={table: promoted[table].rows for table in tables},
        build_seconds=0.0,
        audit_seconds=0.0,
        built_at=promoted[tables[0]].promoted_at.replace(tzinfo=UTC),
        changed=False,
        kept_since=promoted[tables[0]].run_id,
    )


def built_by(session: Session, table: str, recipe: str) -> bool:
    """Whether `table` is live and was built by this recipe. Only then may changes be applied to it."""
    ensure_records(session)
    record = _promotions(session).get(table)
    return record is not None and record.recipe == recipe and table in _records(session).there


def inputs_of(session: Session, table: str) -> Mapping[str, int]:
    """The versions of the tables that the live `table` was built from; empty if it is not live."""
    record = _promotions(session).get(table)
    return record.built_from if record is not None else {}


def versions_of(session: Session, tables: Sequence[str]) -> Mapping[str, int]:
    """The versions of the live tables among `tables`. A version changes with the content of a table."""
    ensure_records(session)
    return _versions(session, tables)


def content_ids(session: Session, tables: Sequence[str]) -> dict[str, str]:
    """Ids of the content of live tables, by table.

    Unlike a version, an id is never used twice, not even by a warehouse that was restored from a backup or rebuilt.
    """
    promoted = _promotions(session)
    return {table: promoted[table].content_id for table in tables if table in promoted}


def last_checks(session: Session, known: Collection[str] | None = None) -> list[dict[str, Any]]:
    """The last audit of every table, or of those in `known`.

    Each has: table, how many checks of it passed, the names of those that warned, and what these say.
    """
    rows = session.execute(f"select table_name, checks from ({_LAST_AUDITS}) order by table_name").fetchall()  # noqa: S608
    return [
        {
            "table": table,
            "passed": sum(check["passed"] for check in checks),
            "warnings": [check["check"] for check in checks if not check["passed"]],
            "told": [f"{check['description']} Seen: {check['observed']}." for check in checks if not check["passed"]],
        }
        for table, checks in ((table, json.loads(written)) for table, written in rows)
        if known is None or table in known
    ]


def ensure_records(session: Session) -> None:
    """Create the schema `gate` if it is missing. A session checks this once."""
    if not session.has_gate:
        session.execute(_RECORDS)
        ensure_log(session)
        session.has_gate = True


def refuse_unfit_inputs(session: Session, reads: Sequence[str]) -> None:
    """Refuse inputs whose last audit failed, also in a later run that covers only tables downstream of them.

    Raises:
        GateError: it names the inputs that failed, with the run and the checks, or that were never built.
    """
    unfit = _failed_audits(session)
    there = _records(session).there
    for table in reads:
        if table not in there:
            unfit.setdefault(table, f"{table} was never built; materialize it, or run everything")
    if reasons := [unfit[table] for table in reads if table in unfit]:
        raise GateError("not built, because " + "; ".join(reasons))


def _waits_for(contracts: Sequence[Contract]) -> list[str]:
    return [table for contract in contracts for table in contract.waits_for]


# Ordered by number, because clocks may go backwards.
_LAST_AUDITS = "select distinct on (table_name) * from gate.audits order by number desc, audited_at desc"


def _failed_audits(session: Session) -> dict[str, str]:
    """By table whose last audit failed: what happened and what to do."""
    failed = {table: audit for table, audit in _records(session).audits.items() if not audit.passed}
    return {
        table: f"the last audit of {table} failed in run {a.run_id} ({a.failed_checks}); mend its input and run again"
        for table, a in failed.items()
    }


def _last_results(session: Session, contract: Contract) -> list[CheckResult]:
    """The results of the live table's last audit; empty unless that audit passed under today's contract."""
    promoted, audit = _promotions(session).get(contract.table), _records(session).audits.get(contract.table)
    if promoted is None or promoted.contract_hash != contract.hash or audit is None or not audit.passed:
        return []
    return [CheckResult(**result) for result in json.loads(audit.checks)]


def reasons_against_publishing(
    session: Session,
    contracts: Sequence[Contract],
    *,
    known: Collection[str] | None = None,
    may_lag: Sequence[str] = (),
) -> list[str]:
    """Reasons why the contracts' tables must not be published now; empty if they may be.

    A table is fit if a passed audit under today's contract admitted it, no later audit of it failed, and its
    inputs are still the live ones. Tables in `may_lag` (the weekly review) may be older than their inputs. If `known`
    is given, only tables in it count; others are no longer part of the pipeline.
    """
    ensure_records(session)
    reasons = []
    promoted = _promotions(session)
    there = _records(session).there
    for contract in contracts:
        if contract.table not in promoted or contract.table not in there:
            reasons.append(f"{contract.table} was never promoted by a passed audit; materialize it")
        elif promoted[contract.table].contract_hash != contract.hash:
            reasons.append(f"{contract.table} was audited under another version of its contract; materialize it again")
    reasons.extend(told for table, told in _failed_audits(session).items() if known is None or table in known)
    for table in sorted(promoted):
        if table in may_lag or (known is not None and table not in known):
            continue
        if newer := _newer_inputs(promoted, table, may_lag):
            reasons.append(f"{table} is older than {', '.join(newer)}, which it is built from; materialize it again")
    return reasons


def outdated_inputs(session: Session, reads: Sequence[str], *, may_lag: Sequence[str] = ()) -> list[str]:
    """What is outdated among live tables that `reads` come from, directly or not: a sentence part for each table.

    A run of everything would build them first. A part of the graph that reads them mixes two states of the shop.
    """
    promoted = _promotions(session)
    upstream: set[str] = set()
    waiting = {*reads}
    while waiting:
        upstream |= waiting
        waiting = {name for table in waiting if table in promoted for name in promoted[table].built_from} - upstream
    return [
        f"{table} is older than {', '.join(newer)}"
        for table in sorted(upstream & promoted.keys() - {*may_lag})
        if (newer := _newer_inputs(promoted, table, may_lag))
    ]


def _newer_inputs(promoted: Mapping[str, _Promotion], table: str, may_lag: Sequence[str]) -> list[str]:
    """The inputs of a live table that are gone, or of which another version is live than it was built from."""
    return [
        name
        for name, version in promoted[table].built_from.items()
        if name not in may_lag and (name not in promoted or promoted[name].version != version)
    ]


@dataclass(frozen=True)
class _Promotion:
    run_id: str
    promoted_at: datetime
    contract_hash: str
    rows: int
    built_from: dict[str, int]
    version: int
    recipe: str
    content_id: str


@dataclass(frozen=True)
class _Audit:
    run_id: str
    passed: bool
    failed_checks: str
    checks: str
    """JSON of the results."""


@dataclass(frozen=True)
class _Records:
    """What the gate knows: by table its promotion and its last audit, and the names of everything that is there."""

    promotions: dict[str, _Promotion]
    audits: dict[str, _Audit]
    there: frozenset[str]


_READ: WeakKeyDictionary[Session, _Records] = WeakKeyDictionary()
"""The records as a session read or wrote them: every step asks for them often, and a session is the only writer."""


def _records(session: Session) -> _Records:
    """The records."""
    if session not in _READ:
        audits = session.execute(
            f"select table_name, run_id, passed, failed_checks, checks from ({_LAST_AUDITS}) order by table_name"  # noqa: S608
        ).fetchall()
        _READ[session] = _Records(
            _read_promotions(session), {table: _Audit(*audit) for table, *audit in audits}, frozenset(session.kinds())
        )
    return _READ[session]


def _promotions(session: Session) -> dict[str, _Promotion]:
    return _records(session).promotions


def _read_promotions(session: Session) -> dict[str, _Promotion]:
    rows = session.execute(
        "select table_name, run_id, promoted_at, contract_hash, rows, built_from, version, recipe, content_id"
        " from gate.promotions"
    ).fetchall()
    return {
        table: _Promotion(run_id, at, contract_hash, count, json.loads(built_from), version, recipe, content_id)
        for table, run_id, at, contract_hash, count, built_from, version, recipe, content_id in rows
    }


def _versions(session: Session, tables: Sequence[str]) -> dict[str, int]:
    promoted = _promotions(session)
    return {table: promoted[table].version for table in sorted(tables) if table in promoted}


def _stages_nothing_new(session: Session, contract: Contract) -> bool:
    """Whether staged and live table are equal: there are no changes, or a small table has the same content."""
    if (changes := session.staged_changes(contract)) is not None:
        return not session.ask(f"select 1 as one from ({changes}) limit 1")  # noqa: S608
    if contract.materialized == "view" or contract.table not in _records(session).there:
        return False
    staged = staged_name(contract.table)
    if max(session.count(staged), session.count(contract.table)) > SMALL_ROWS:
        return False
    return session.fingerprint_of(staged) == session.fingerprint_of(contract.table)


def _changes_anything(
    session: Session, contracts: Sequence[Contract], same: Container[str], days: Sequence[date] | None
) -> bool:
    """Whether tables that read the step's tables must be rebuilt.

    If the changed days are known, they decide for all tables of the step, because the other tables only describe them,
    like the files of a load.
    """
    tables = {contract.table for contract in contracts}
    if days is None or not tables <= _records(session).there:
        return any(contract.table not in same for contract in contracts)
    return bool(days)


def _record_audits(
    session: Session, records: _Records, admission: Admission, run_id: str, not_made: Container[str]
) -> _Records:
    """Record the audits of a step, and return the records with them."""
    now = _utc_now()
    audits = dict(records.audits)
    for table, results in admission.results.items():
        if admission.admitted and table in not_made:
            continue
        failed = [result.check for result in results if result.blocks]
        audits[table] = audit = _Audit(
            run_id,
            # Tables of one step are admitted together: if one fails, all are recorded as failed.
            admission.admitted,
            ", ".join(failed) or "another table of the step",
            json.dumps([asdict(result) for result in results]),
        )
        session.execute(
            "insert into gate.audits (audited_at, table_name, run_id, passed, failed_checks, checks, number)"
            " values (?, ?, ?, ?, ?, ?, nextval('gate.numbers'))",
            [now, table, audit.run_id, audit.passed, audit.failed_checks, audit.checks],
        )
    return replace(records, audits=audits)


def _record_promotions(
    session: Session,
    records: _Records,
    admission: Admission,
    contracts: Sequence[Contract],
    run_id: str,
    recipe: str,
    built_from: dict[str, int],
) -> tuple[_Records, int]:
    """Record that the step's tables are live. Return the records with them, and the version of what changed."""
    promotions = dict(records.promotions)
    ((new,),) = session.execute("select nextval('gate.numbers')").fetchall()
    now = _utc_now()
    for contract in contracts:
        table, rows = contract.table, admission.rows[contract.table]
        before = None if admission.changed else promotions.get(table)
        version, content_id = (new, uuid.uuid4().hex) if before is None else (before.version, before.content_id)
        promotions[table] = _Promotion(run_id, now, contract.hash, rows, built_from, version, recipe, content_id)
        session.execute(
            "insert or replace into gate.promotions"
            " (table_name, run_id, promoted_at, contract_hash, rows, built_from, version, recipe, content_id)"
            " values (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [table, run_id, now, contract.hash, rows, json.dumps(built_from), version, recipe, content_id],
        )
    there = records.there | {contract.table for contract in contracts}
    return replace(records, promotions=promotions, there=there), int(new)


def record_changes(session: Session, tables: Sequence[str], run_id: str) -> None:
    """Record that live tables were changed in place. Tables built from them must be rebuilt whole."""
    ensure_records(session)
    ((version,),) = session.execute("select nextval('gate.numbers')").fetchall()
    # What is read here may be rolled back by the caller.
    for table in _read_promotions(session).keys() & {*tables}:
        session.execute(
            "update gate.promotions set run_id = ?, promoted_at = ?, rows = ?, version = ?, content_id = ?"
            " where table_name = ?",
            [run_id, _utc_now(), session.count(table), version, uuid.uuid4().hex, table],
        )
        log_changes(session, table, version, None)
    _READ.pop(session, None)


def _utc_now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)
