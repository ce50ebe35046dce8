"""Running a contract's expectations on one table, and describing the result of each plainly."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from clv_pipeline.contracts import Contract, Expectation
from clv_pipeline.contracts.contract import SCHEMA_CHECK
from clv_pipeline.database.sql_text import quote_identifier
from clv_pipeline.quality import counted_rows

if TYPE_CHECKING:
    import duckdb

    from clv_pipeline.spark.routed_connection import RoutedConnection


@dataclass(frozen=True)
class CheckResult:
    """One check on one table: what was seen and what was promised. Everything but `quoted` may leave the machine."""

    table: str
    check: str
    passed: bool
    severity: str
    observed: str
    expected: str
    description: str
    quoted: str = ""
    """The engine's own text if the check could not run. It may hold a value of a record."""

    @property
    def blocks(self) -> bool:
        """Whether the check blocks the table. A failed ERROR does; a failed WARNING is only shown."""
        return not self.passed and self.severity == "error"

    @property
    def told(self) -> str:
        """What was promised and what was seen, for the terminal and the run's page."""
        quoted = f" ({self.quoted})" if self.quoted else ""
        return f"{self.description} Seen: {self.observed}{quoted}."

    def __str__(self) -> str:
        verdict = "passed" if self.passed else "FAILED"
        return f"{self.table}.{self.check} {verdict}: {self.told}"


class Auditor:
    """Checks tables of one DuckDB connection, which may pass queries on to Spark, against their contracts.

    Great Expectations takes seconds to import and is needed only here, so the first audit imports it.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection | RoutedConnection) -> None:
        self._connection = connection
        self._source: Any = None

    def close(self) -> None:
        """Release the connection."""
        if self._source is not None:
            self._source.get_execution_engine().engine.dispose()
            self._source = None

    def audit(self, contract: Contract, relation: str) -> list[CheckResult]:
        """Check `relation` (a table with the contract's rows, perhaps under a staging name).

        Returns one result for the schema and one for each expectation, in the contract's order. If the schema is
        wrong, that is the only result, because expectations on missing columns explain nothing.
        """
        schema = self._schema_check(contract, relation)
        if not schema.passed:
            return [schema]
        results = self._validate(contract, relation)
        return [
            schema,
            *(self._result(contract, relation, stated, results[stated.name]) for stated in contract.expectations),
        ]

    def _result(self, contract: Contract, relation: str, stated: Expectation, result: Any) -> CheckResult:
        broken = _exception_text(result.exception_info)
        observed = "the check could not run" if broken else _observed(stated, result.result)
        if stated.shows is not None and not result.success and broken is None:
            observed = f"{observed}: {self._shown(stated.shows, relation)}"
        return CheckResult(
            table=contract.table,
            check=stated.name,
            passed=bool(result.success) and broken is None,
            severity=stated.severity,
            observed=observed,
            expected=f"{stated.type} {json.dumps(stated.kwargs, default=str)}",
            description=stated.description,
            quoted=broken or "",
        )

    def _shown(self, query: str, relation: str) -> str:
        rows = self._connection.execute(query.replace("{batch}", quote_identifier(relation))).fetchall()
        return str(rows[0][0])

    def _schema_check(self, contract: Contract, relation: str) -> CheckResult:
        found = self._connection.execute(
            "select name, type from pragma_table_info(?) order by cid", [relation]
        ).fetchall()
        declared = [(column.name, column.type) for column in contract.columns]
        differences = sorted(set(found) ^ set(declared))
        if found == declared:
            observed = f"{len(found)} columns as declared"
        elif differences:
            observed = "; ".join(
                f"{name} {type_} {'undeclared' if (name, type_) in found else 'missing'}" for name, type_ in differences
            )
        else:
            observed = f"columns in the order {', '.join(name for name, _ in found)}"
        return CheckResult(
            table=contract.table,
            check=SCHEMA_CHECK,
            passed=found == declared,
            severity="error",
            observed=observed,
            expected=", ".join(f"{name} {type_}" for name, type_ in declared),
            description="Columns have the declared names, order and types.",
        )

    def _validate(self, contract: Contract, relation: str) -> dict[str, Any]:
        import great_expectations as gx
        from great_expectations.expectations.metadata_types import FailureSeverity
        from great_expectations.expectations.registry import get_expectation_impl

        from clv_pipeline.quality.buffered_duckdb import URL, connection_arguments

        if self._source is None:
            # GX logs a warning for every failed metric. The results say it better.
            logging.getLogger("great_expectations").setLevel(logging.CRITICAL)
            # GX's stubs lack engine keywords and the type of its own progress bar setting.
            context: Any = gx.get_context(mode="ephemeral")
            context.variables.progress_bars = {"globally": False}
            # GX would write its whole configuration as YAML, into memory, three times an audit: an eighth of its time.
            context.variables.save = _save_nothing
            self._source = context.data_sources.add_sql(
                "warehouse", connection_string=URL, kwargs=connection_arguments(self._connection)
            )
        asset = self._source.add_table_asset(name=relation, table_name=relation)
        try:
            batch = asset.add_batch_definition_whole_table("all").get_batch()
            suite = gx.ExpectationSuite(name=contract.table)
            gx_severity = {"error": FailureSeverity.CRITICAL, "warning": FailureSeverity.WARNING}
            for stated in contract.expectations:
                counts = stated.type == counted_rows.TYPE
                kind = counted_rows.count_unexpected_rows() if counts else get_expectation_impl(stated.type)
                suite.add_expectation(
                    kind(**stated.kwargs, severity=gx_severity[stated.severity], meta={"name": stated.name})
                )
            # Counts without examples: an example may be a person's data.
            outcome = batch.validate(suite, result_format={"result_format": "SUMMARY", "partial_unexpected_count": 0})
        finally:
            self._source.delete_asset(relation)
        return {result.expectation_config.meta["name"]: result for result in outcome.results}


def _save_nothing() -> None:
    """Do nothing, because an ephemeral context has nothing to save."""


def _exception_text(info: Mapping[str, Any] | None) -> str | None:
    """The message of an expectation that raised. It is flat, or nested one level by metric."""
    if not info:
        return None
    entries = [info] if "raised_exception" in info else list(info.values())
    raised = [entry["exception_message"] for entry in entries if entry.get("raised_exception")]
    return "; ".join(sorted(set(map(str, raised)))) or None


def _observed(stated: Expectation, result: Mapping[str, Any]) -> str:
    if "unexpected_count" in result:
        # The count is None for an empty table.
        return f"{result['unexpected_count'] or 0:,} of {result['element_count']:,} rows unexpected"
    if stated.type == counted_rows.TYPE:
        count = int(result["observed_value"])
        return f"{count:,} unexpected {'row' if count == 1 else 'rows'}"
    return str(result.get("observed_value", "nothing"))
