"""Every SQL model, and whatever else is asked of large tables, gives the same on Spark as on DuckDB: rows and verdicts.

Both read the same Parquet files. Spark is a Connect server, in ANSI mode and with UTC as its session time zone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pyarrow as pa
import pytest
from polars.testing import assert_frame_equal

from clv_pipeline.contracts import Contract
from clv_pipeline.contracts.loader import SqlModel, load_models
from clv_pipeline.database.sql_text import quote_identifier
from clv_pipeline.features import model_inputs, optional_columns, snapshots
from clv_pipeline.orchestration import plots
from clv_pipeline.quality.audit import Auditor, CheckResult
from clv_pipeline.spark.functions import JUDGED_HERE
from clv_pipeline.spark.routed_connection import RoutedConnection
from clv_pipeline.spark.translate import translate
from clv_pipeline.warehouse import Session, predecessors
from clv_pipeline.warehouse.duckdb_engine import staged_name
from clv_pipeline_tests.acceptance.spark_inputs import HOSTILE, run_pipeline, write_tables
from clv_pipeline_tests.acceptance.spark_session import show_tables, spark_session
from clv_pipeline_tests.helpers.expectations import CASES, contract
from clv_pipeline_tests.helpers.graph_shop import Shop

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(1200)]

TOLERANCE = 1e-9
"""Of doubles, which are added up in another order."""

MODELS = load_models()
SQL_MODELS = [model for model in MODELS.values() if isinstance(model, SqlModel) and model.name != JUDGED_HERE]
"""Without the one that DuckDB builds on either engine."""

OFTEN_EMPTY = {
    *("accepted_findings", "campaign_outcomes", "currencies", "currency_ledger", "daily_rates"),
    # Nothing is matched where returns are dropped, as in the hostile tables.
    "matched_returns",
}
TABLES = [name for name in MODELS if name != "publication"]
"""All that a warehouse holds."""

SCHEMA = {name: {column.name: column.type for column in MODELS[name].contract.columns} for name in TABLES}
INPUTS = {"as built": [], "hostile": HOSTILE}
ODD = {
    "DOUBLE": ("-1e9", "'nan'"),
    "DECIMAL": ("-99",),
    "INTEGER": ("-99",),
    "BIGINT": ("-99",),
    "VARCHAR": ("'odd'",),
    "DATE": ("date '1900-01-01'", "date '2999-01-01'"),
}
"""Values that hardly any column may have, by type."""

WRONG = [
    statement
    for table in TABLES
    # Everybody asks it for its one row.
    if table != "history_span"
    for statement in (
        # Rows twice, a row of nothing but NULL, and a row for every odd value.
        f"insert into {table} from {table} limit 3",
        f"insert into {table} by name select null as {MODELS[table].contract.columns[0].name}",
        *(
            f"insert into {table} by name select * replace ({value} as {column.name}) from {table} limit 1"
            for column in MODELS[table].contract.columns
            for value in ODD.get(column.type.partition("(")[0], ())
        ),
    )
]
"""Statements that break what contracts promise."""

KEYS = "described_customers"
"""A frame that model_inputs shows to the engine for a while."""


@pytest.fixture(scope="module")
def spark() -> Iterator[Any]:
    with spark_session() as session:
        yield session


@pytest.fixture(scope="module")
def built(new_shop: Callable[[], Shop], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of Parquet files per kind of inputs."""
    folder = tmp_path_factory.mktemp("spark")
    database = run_pipeline(new_shop())
    for kind, changes in {**INPUTS, "wrong": WRONG}.items():
        write_tables(database, TABLES, changes, folder / kind)
    return folder


@pytest.fixture(scope="module", params=INPUTS)
def tables(request: pytest.FixtureRequest, built: Path, spark: Any) -> Path:
    """One of these folders, whose tables Spark knows by name."""
    folder: Path = built / request.param
    show_tables(spark, folder)
    return folder


@pytest.fixture
def connection(tables: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """DuckDB with the same tables."""
    with duckdb.connect() as connection:
        for table in tables.glob("*.parquet"):
            connection.execute(f"create view {table.stem} as from '{table}'")
        yield connection


@pytest.mark.parametrize("model", SQL_MODELS, ids=lambda model: model.name)
def test_a_model_gives_the_same_rows_on_spark(
    model: SqlModel, connection: duckdb.DuckDBPyConnection, spark: Any
) -> None:
    declared = {column.name: column.type for column in model.contract.columns}
    # The key first: doubles may differ in their last digits, and must not decide the order.
    order = ", ".join(map(quote_identifier, dict.fromkeys([*model.contract.key, *declared])))
    rows_of_spark = spark.sql(translate(model.sql, SCHEMA, columns=SCHEMA[model.name])).toArrow()
    connection.register("rows_of_spark", rows_of_spark)
    here = connection.sql(f"select * from ({model.sql}) order by {order}")
    there = connection.sql(f"from rows_of_spark order by {order}")
    assert dict(zip(there.columns, map(str, there.types), strict=True)) == declared
    rows_here = here.pl()
    assert len(rows_here) > 0 or model.name in OFTEN_EMPTY
    assert_frame_equal(there.pl(), rows_here, rel_tol=TOLERANCE, abs_tol=TOLERANCE)


class BothEngines(Session):
    """A session that asks Spark everything, too, and holds the answers against each other."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, spark: Any) -> None:
        super().__init__(connection)
        self._spark = spark
        self.compared = 0
        self.rows = 0

    def read(self, query: str, parameters: Sequence[Any] = ()) -> pl.DataFrame:
        here = super().read(query, parameters)
        self._compare(query, parameters, here)
        return here

    def stage_query(self, contract: Contract, query: str) -> None:
        self.connection.execute(f"create table {staged_name(contract.table)} as {query}")
        self._compare(query, [], self.connection.sql(f"from {staged_name(contract.table)}").pl())

    def _compare(self, query: str, parameters: Sequence[Any], here: pl.DataFrame) -> None:
        schema = dict(SCHEMA)
        if KEYS in query:
            keys = self.connection.sql(f"from {KEYS}")
            schema[KEYS] = dict(zip(keys.columns, map(str, keys.types), strict=True))
            self._spark.createDataFrame(keys.to_arrow_table()).createOrReplaceTempView(KEYS)
        there = pl.DataFrame(self._spark.sql(translate(query, schema, parameters)).toArrow())
        assert there.columns == here.columns
        if "order by" not in query.rsplit(")", 1)[-1]:
            exact = [name for name, kind in here.schema.items() if not kind.is_float()]
            here, there = here.sort([*exact, *here.columns]), there.sort([*exact, *here.columns])
        # Spark may count and add up in wider types.
        assert_frame_equal(there, here, rel_tol=TOLERANCE, abs_tol=TOLERANCE, check_dtypes=False)
        self.compared += 1
        self.rows += len(here)


@pytest.fixture
def both(connection: duckdb.DuckDBPyConnection, spark: Any) -> BothEngines:
    return BothEngines(connection, spark)


def test_models_are_trained_on_the_same_rows(both: BothEngines, monkeypatch: pytest.MonkeyPatch) -> None:
    # So few that samples are drawn and events are folded.
    monkeypatch.setattr(model_inputs, "SPEND_SAMPLE", 30)
    monkeypatch.setattr(model_inputs, "WINDOW_ROWS", 50)
    monkeypatch.setattr(model_inputs, "CURRENT_SAMPLE", 40)
    monkeypatch.setattr(optional_columns, "EVENT_TYPES", 1)
    cutoff: date = both.read("select max(cutoff) as cutoff from forecast_windows").item()
    both.rows = 0
    model_inputs.training_data(both, cutoff)
    model_inputs.customers(both, cutoff, horizons=[30, 90])
    model_inputs.customers(both, cutoff, horizons=[30], most=20)
    past: date = both.read("select max(cutoff) as cutoff from customer_outcomes where horizon_days = 30").item()
    assert len(model_inputs.outcomes(both, past, 30)) > 0
    # One training frame serves all horizons.
    assert both.compared >= 20
    assert both.rows > 500


def test_what_is_kept_from_run_to_run_is_the_same(both: BothEngines) -> None:
    predecessors.stage_forecast_history(both, MODELS["forecast_history"].contract)
    predecessors.stage_customer_snapshots(both, MODELS["customer_snapshots"].contract)
    assert both.rows > 0
    snapshots.drift_since_last_run(both)
    assert both.compared >= 5


def test_what_is_shown_of_tables_is_the_same(both: BothEngines) -> None:
    by_python = (
        *(plots.acquisition_plots, plots.campaign_plot, plots.forecast_plots, plots.leaderboard_plots),
        *(plots.metric_table, plots.outlook_plot, plots.served_accuracy_plots, plots.totals_plot),
    )
    for describe in (*plots.PLOTS.values(), *by_python):
        describe(both)
    assert both.compared > 20


class Spark:
    """Answers for the tables of a folder, which Spark knows by name."""

    def __init__(self, spark: Any, schema: Mapping[str, Mapping[str, str]]) -> None:
        self._spark = spark
        self._schema = schema
        self.asked = 0

    def is_elsewhere(self, relation: str) -> bool:
        return relation in self._schema

    def to_spark(self, sql: str, parameters: Sequence[Any]) -> pa.Table:
        self.asked += 1
        rows: pa.Table = self._spark.sql(translate(sql, self._schema, parameters)).toArrow()
        return rows


class BothAuditors:
    """Audits on DuckDB and on Spark, which have to agree in every word."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, spark: Spark) -> None:
        self._spark = spark
        self._here = Auditor(connection)
        self._there = Auditor(RoutedConnection(connection, spark))

    def audit(self, contract: Contract, relation: str) -> list[CheckResult]:
        before = self._spark.asked
        results = self._there.audit(contract, relation)
        here = self._here.audit(contract, relation)
        both = [tuple(map(_without_reason, pair)) for pair in zip(results, here, strict=True)]
        assert [(there, here) for there, here in both if there != here] == []
        if contract.expectations:
            assert self._spark.asked > before
        return results


def _without_reason(result: CheckResult) -> CheckResult:
    """Why a check could not run, every engine says in its own words."""
    return replace(result, quoted="")


@pytest.fixture(
    scope="module",
    # Two minutes each. Wrong rows make all kinds of expectations fail; right ones are judged by every run on Spark.
    params=[*(pytest.param(kind, marks=pytest.mark.nightly) for kind in INPUTS), "wrong"],
)
def auditors(request: pytest.FixtureRequest, built: Path, spark: Any) -> Iterator[tuple[str, BothAuditors]]:
    """Of the tables of one kind of inputs."""
    folder = built / request.param
    show_tables(spark, folder)
    with duckdb.connect() as connection:
        for table in TABLES:
            connection.execute(f"create view {table} as from '{folder / table}.parquet'")
        yield request.param, BothAuditors(connection, Spark(spark, SCHEMA))


def test_contracts_are_judged_alike(auditors: tuple[str, BothAuditors]) -> None:
    kind, both = auditors
    results = [result for table in TABLES for result in both.audit(MODELS[table].contract, table)]
    if kind == "as built":
        assert not [result for result in results if result.blocks]
    if kind == "wrong":
        failed = {result.expected.partition(" ")[0] for result in results if not result.passed}
        assert failed == {stated.type for table in TABLES for stated in MODELS[table].contract.expectations}


def test_known_bad_rows_are_caught_on_spark(spark: Any, tmp_path: Path) -> None:
    with duckdb.connect() as connection:
        spark_ = Spark(spark, {"things": {"id": "INTEGER", "other": "INTEGER"}})
        both = BothAuditors(connection, spark_)
        for type_, (kwargs, good, bad) in CASES.items():
            for rows, verdict in ((good, True), (bad, False)):
                file = tmp_path / f"{type_}_{verdict}.parquet"
                connection.execute(f"copy (select * from (values {rows}) as t(id, other)) to '{file}'")
                connection.execute(f"create or replace view things as from '{file}'")
                spark.read.parquet(str(file)).createOrReplaceTempView("things")
                assert [result.passed for result in both.audit(contract(type_, kwargs), "things")] == [True, verdict]
