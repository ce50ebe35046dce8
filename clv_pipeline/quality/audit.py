"""Running a contract's expectations on one table, and describing the result of each plainly."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from clv_pipeline.contracts import Contract, Expectation
from clv_pipeline.contracts.contract import SCHEMA_CHECK
from clv_pipeline.database.sql_text import quote_identifier
from clv_pipeline.quality.counts import counts_of, measure

if TYPE_CHECKING:
    import duckdb

    from clv_pipeline.spark.routed_connection import RoutedConnection


_UNEXPECTED_ROWS = "unexpected_rows_expectation"


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

    def _result(self, contract: Contract, relation: str, stated: Expectation, verdict: _Verdict) -> CheckResult:
        observed = "the check could not run" if verdict.broken else _observed(stated, verdict.found)
        if stated.shows is not None and not verdict.passed and not verdict.broken:
            observed = f"{observed}: {self._shown(stated.shows, relation)}"
        return CheckResult(
            table=contract.table,
            check=stated.name,
            passed=verdict.passed,
            severity=stated.severity,
            observed=observed,
            expected=f"{stated.type} {json.dumps(stated.kwargs, default=str)}",
            description=stated.description,
            quoted=verdict.broken,
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

    def _validate(self, contract: Contract, relation: str) -> dict[str, _Verdict]:
        """What Great Expectations says to every expectation, by name, from counts if they decide it."""
        from great_expectations.expectations.registry import get_expectation_impl

        kinds: dict[str, Any] = {stated.name: get_expectation_impl(stated.type) for stated in contract.expectations}
        suite = {
            stated.name: kinds[stated.name](**stated.kwargs, meta={"name": stated.name})
            for stated in contract.expectations
        }
        decisive = {
            stated.name: counts
            for stated in contract.expectations
            if (counts := counts_of(stated.type, stated.kwargs)) is not None
        }
        numbers = measure(self._connection, relation, [c for counts in decisive.values() for c in counts.values()])
        verdicts = {
            name: _judged(suite[name], {metric: numbers[count] for metric, count in counts.items()})
            for name, counts in decisive.items()
        }
        if others := [expectation for name, expectation in suite.items() if name not in verdicts]:
            verdicts |= self._validate_by_library(relation, others)
        return verdicts

    def _validate_by_library(self, relation: str, expectations: Sequence[Any]) -> dict[str, _Verdict]:
        """The same for expectations whose numbers Great Expectations has to find itself."""
        import great_expectations as gx

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
            suite = gx.ExpectationSuite(name=relation, expectations=list(expectations))
            # Counts without examples: an example may be a person's data.
            outcome = batch.validate(suite, result_format={"result_format": "SUMMARY", "partial_unexpected_count": 0})
        finally:
            self._source.delete_asset(relation)
        return {
            result.expectation_config.meta["name"]: _Verdict(
                bool(result.success), result.result, _exception_text(result.exception_info)
            )
            for result in outcome.results
        }


@dataclass(frozen=True)
class _Verdict:
    """What Great Expectations says to one expectation."""

    success: bool
    found: Mapping[str, Any]
    broken: str
    """Why the check could not run; else empty."""

    @property
    def passed(self) -> bool:
        return self.success and not self.broken


def _judged(expectation: Any, numbers: Mapping[str, int | Exception]) -> _Verdict:
    """The verdict on numbers that are counted, which is Great Expectations' own."""
    from great_expectations.expectations.expectation_configuration import parse_result_format

    if errors := [str(number) for number in numbers.values() if isinstance(number, Exception)]:
        return _Verdict(False, {}, "; ".join(sorted(set(errors))))
    asked = {"result_format": parse_result_format({"result_format": "BASIC", "partial_unexpected_count": 0})}
    told = expectation._validate(metrics={_EXAMPLES: [], **numbers}, runtime_configuration=asked)
    return _Verdict(bool(told["success"]), told["result"], "")


_EXAMPLES = "unexpected_rows_query.table"
"""Great Expectations' name for unexpected rows themselves, which an audit never asks for."""


def _save_nothing() -> None:
    """Do nothing, because an ephemeral context has nothing to save."""


def _exception_text(info: Mapping[str, Any] | None) -> str:
    """The message of an expectation that raised; else empty. It is flat, or nested one level by metric."""
    if not info:
        return ""
    entries = [info] if "raised_exception" in info else list(info.values())
    raised = [entry["exception_message"] for entry in entries if entry.get("raised_exception")]
    return "; ".join(sorted(set(map(str, raised))))


def _observed(stated: Expectation, result: Mapping[str, Any]) -> str:
    if "unexpected_count" in result:
        # The count is None for an empty table.
        return f"{result['unexpected_count'] or 0:,} of {result['element_count']:,} rows unexpected"
    if stated.type == _UNEXPECTED_ROWS:
        count = int(result["observed_value"])
        return f"{count:,} unexpected {'row' if count == 1 else 'rows'}"
    return str(result.get("observed_value", "nothing"))
