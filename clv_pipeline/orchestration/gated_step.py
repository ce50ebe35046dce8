"""Tables as gated assets: one step builds, audits and promotes a table, and reports to Dagster.

A step may build several tables, which are admitted together or not at all. The tables and the computation of their rows
are defined elsewhere.
"""

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import dagster as dg

from clv_pipeline.contracts import Contract
from clv_pipeline.contracts.contract import SCHEMA_CHECK
from clv_pipeline.contracts.lineage import column_lineage
from clv_pipeline.contracts.loader import SqlModel, TableModel
from clv_pipeline.orchestration.failures import expected_failures
from clv_pipeline.orchestration.resources import RefreshOptions
from clv_pipeline.pipeline import Pipeline, Refresh
from clv_pipeline.quality import CheckResult
from clv_pipeline.text import displayed
from clv_pipeline.warehouse import Admission, Session, admit, stage_model, unchanged
from clv_pipeline.warehouse.gate import content_ids, outdated_inputs

WRITER_POOL = "duckdb_writer"
"""Pool in which runs queue, because DuckDB has one writer (`dagster.yaml`)."""

EVALUATION = "evaluation"
"""The group of the model review, which runs less often than the nightly refresh."""

REFRESH = "refresh"
"""Key of the resource by which a run requests more than new data."""

KEPT = "kept"
"""Metadata of a table that was kept, because none of its inputs has changed.

Dagster starts no later step without an event of the earlier one, so a kept table has an event, too. `KEPT` and
`BUILT_AT` explain it.
"""

BUILT_AT = "built at"
"""Metadata of a kept table: when it was built."""

Metadata = dict[str, Any]
Build = Callable[[Session, Refresh], Mapping[str, Metadata]]
"""Stages the step's tables; returns further metadata for each."""
Describe = Callable[[Session], Metadata]
"""Reads a promoted table and returns its plots and numbers."""


def sql_table(pipeline: Pipeline, model: SqlModel, describe: Describe | None = None) -> dg.AssetsDefinition:
    """The asset of a table that one SELECT builds."""

    def build(session: Session, refresh: Refresh) -> Mapping[str, Metadata]:
        stage_model(session, model, pipeline.models, recipe=pipeline.recipe_of(model.name), full=refresh.full)
        return {model.name: _lineage_metadata(pipeline, model)}

    return gated_step(pipeline, [model.name], reads=model.dependencies, kinds={"sql"}, build=build, describe=describe)


def gated_step(
    pipeline: Pipeline,
    tables: Sequence[str],
    *,
    reads: Sequence[str],
    kinds: set[str],
    build: Build,
    describe: Describe | None = None,
) -> dg.AssetsDefinition:
    """One step that builds `tables` from the tables it `reads` and lets them in only if their audits pass.

    `describe` gets the first table, once it is live.
    """
    contracts = [pipeline.contract(table) for table in tables]
    recipe = pipeline.recipe_of(tables[0])
    waits_for = sorted({table for contract in contracts for table in contract.waits_for})

    @dg.multi_asset(
        name=tables[0],
        specs=[_asset_spec(pipeline, pipeline.models[table], [*reads, *waits_for], kinds) for table in tables],
        check_specs=[spec for contract in contracts for spec in _check_specs(contract)],
        pool=WRITER_POOL,
    )
    def step(
        context: dg.AssetExecutionContext, refresh: RefreshOptions
    ) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult[Any]]:
        asked = refresh.asked()
        shown: dict[str, Metadata] = {table: {} for table in tables}

        def build_and_keep(session: Session) -> None:
            for table, metadata in build(session, asked).items():
                shown[table].update(metadata)

        with expected_failures(pipeline.warehouse):
            session = open_warehouse(pipeline, context)
            admission = None if asked.full else unchanged(session, contracts, reads, recipe)
            if admission is None:
                run_id = context.run.run_id
                admission = admit(session, contracts, build_and_keep, reads=reads, run_id=run_id, recipe=recipe)
        for results in admission.results.values():
            yield from map(_check_result, results)
        if not admission.admitted:
            raise _refusal(pipeline, admission, _outdated(pipeline, session, [*reads, *waits_for]))
        if admission.kept_since is not None:
            kept = _kept_metadata(admission)
            shown = {table: {**kept, **_last_shown(context.instance, table), **kept} for table in tables}
        elif describe is not None:
            shown[tables[0]].update(describe(session))
        versions = content_ids(session, tables)
        for table in tables:
            yield dg.MaterializeResult(
                asset_key=table,
                # The gate's content id, so that Dagster calls stale exactly what the gate would build anew.
                data_version=dg.DataVersion(versions[table]),
                metadata={
                    **shown[table],
                    "dagster/row_count": admission.rows[table],
                    "build seconds": round(admission.build_seconds, 3),
                    "audit seconds": round(admission.audit_seconds, 3),
                },
            )

    return step


def _kept_metadata(admission: Admission) -> Metadata:
    """The first entries on the page of a kept table: when it was built, and by which run."""
    return {
        KEPT: f"nothing that it is built from changed since run {admission.kept_since}",
        BUILT_AT: dg.MetadataValue.timestamp(admission.built_at),
    }


def _last_shown(instance: dg.DagsterInstance, table: str) -> Metadata:
    """Plots and numbers of the last materialization, without which the page of a kept table would be empty."""
    event = instance.get_latest_materialization_event(dg.AssetKey(table))
    return {} if event is None or event.asset_materialization is None else dict(event.asset_materialization.metadata)


def open_warehouse(pipeline: Pipeline, context: dg.AssetExecutionContext) -> Session:
    """The session of this run, which waits for `clv run` to end.

    An erasure that was stopped is finished first, so no step reads, and nothing publishes, who is to be forgotten.

    Raises:
        WarehouseBusyError: it took longer than `storage.wait_minutes`.
        ForgetError: an erasure cannot be finished; the text says what to do.
    """
    from clv_pipeline.privacy.erasure import finish_erasures

    wait_minutes = pipeline.settings.storage.wait_minutes
    holder = f"run {context.run.run_id}"
    pipeline.warehouse.open(holder, wait_minutes=wait_minutes, tell=context.log.info)
    if (erasure := finish_erasures(pipeline.settings, pipeline.warehouse)) is not None:
        context.log.info(
            f"finished the erasure {erasure.run_id}, which was stopped: {sum(erasure.rows.values()):,} rows,"
            f" {erasure.publications} publication{'' if erasure.publications == 1 else 's'}"
        )
        for line in erasure.told():
            context.log.warning(displayed(line))
    return pipeline.warehouse.open(holder)


def _asset_spec(pipeline: Pipeline, model: TableModel, deps: Sequence[str], kinds: set[str]) -> dg.AssetSpec:
    contract = model.contract
    schema = dg.TableSchema(
        columns=[dg.TableColumn(c.name, c.type, description=c.description) for c in contract.columns]
    )
    metadata: Metadata = {
        "dagster/column_schema": schema,
        "dagster/table_name": f"clv.main.{contract.table}",
        "dagster/code_references": _code_references(model),
    }
    if isinstance(model, SqlModel):
        metadata["sql"] = dg.MetadataValue.md(f"```sql\n{model.sql}\n```")
    return dg.AssetSpec(
        key=contract.table,
        deps=list(deps),
        # No Markdown: the catalog shows descriptions as plain text.
        description=f"{contract.description}\n\nGrain: {contract.grain}.",
        group_name=contract.layer,
        owners=pipeline.settings.owners,
        kinds={"duckdb", *kinds},
        tags={"published": "yes"} if contract.published else {},
        # Reasons to build anew with the same data: other code or settings, or another contract.
        code_version=f"{pipeline.recipe_of(contract.table)}.{contract.hash}",
        metadata=metadata,
    )


def _code_references(model: TableModel) -> dg.CodeReferencesMetadataValue:
    """Links of the UI to the files that define a table."""
    # Both classes are in beta: their warnings would fill the log of every start.
    with warnings.catch_warnings(action="ignore", category=dg.BetaWarning):
        references: list[Any] = [
            dg.LocalFileCodeReference(file_path=str(path), line_number=1, label=path.name) for path in model.files
        ]
        return dg.CodeReferencesMetadataValue(code_references=references)


def _check_specs(contract: Contract) -> Iterator[dg.AssetCheckSpec]:
    yield dg.AssetCheckSpec(
        SCHEMA_CHECK,
        asset=contract.table,
        description="Columns have the declared names, order and types.",
        blocking=True,
    )
    for expectation in contract.expectations:
        yield dg.AssetCheckSpec(
            expectation.name,
            asset=contract.table,
            description=expectation.description,
            blocking=expectation.severity == "error",
        )


def _check_result(result: CheckResult) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        asset_key=result.table,
        check_name=result.check,
        passed=result.passed,
        severity=dg.AssetCheckSeverity.ERROR if result.severity == "error" else dg.AssetCheckSeverity.WARN,
        description=displayed(result.told),
        metadata={
            "promised": result.description,
            "observed": result.observed,
            "expected": result.expected,
            "severity": result.severity,
        },
    )


def reviewed(pipeline: Pipeline) -> list[str]:
    """The tables of the model review, which may be older than what they are built from."""
    return [model.name for model in pipeline.models.values() if model.contract.layer == EVALUATION]


def _outdated(pipeline: Pipeline, session: Session, reads: Sequence[str]) -> str:
    """What to do where a part of the graph was built of tables that a run of everything would build anew; else ''."""
    outdated = outdated_inputs(session, reads, may_lag=reviewed(pipeline))
    if not outdated:
        return ""
    others = f", and {len(outdated) - 1} more like it" if len(outdated) > 1 else ""
    return f"\nIt is built from outdated tables ({outdated[0]}{others}): run everything first (clv run)."


def _refusal(pipeline: Pipeline, admission: Admission, outdated: str) -> dg.Failure:
    broken = dict.fromkeys(result.table for result in admission.failures)
    promises = ", ".join(str(pipeline.models[table].file) for table in broken)
    failures = displayed("\n".join(f"- {result}" for result in admission.failures))
    return dg.Failure(
        f"{', '.join(admission.results)} did not pass the audit and is not promoted; the last good version stays,"
        f" nothing downstream runs, the publication is untouched:\n{failures}\n"
        f"Mend the input or, if the promise is wrong, the contract ({promises}); then run again.{outdated}",
        allow_retries=False,
    )


def _lineage_metadata(pipeline: Pipeline, model: SqlModel) -> Metadata:
    """The origin of every column: for Dagster+, which draws it, and as a text, because the open UI does not."""
    lineage = column_lineage(model, pipeline.models)
    lines = [
        f"- `{column}`: {', '.join(f'`{table}.{name}`' for table, name in sources) or 'no column'}"
        for column, sources in lineage.items()
    ]
    return {
        "columns come from": dg.MetadataValue.md("\n".join(lines)),
        "dagster/column_lineage": dg.TableColumnLineage(
            {
                column: [dg.TableColumnDep(asset_key=dg.AssetKey(table), column_name=name) for table, name in sources]
                for column, sources in lineage.items()
            }
        ),
    }
