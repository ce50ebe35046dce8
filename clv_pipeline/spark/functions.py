"""The SQL functions that queries for both engines may use: those proven to give the same results on DuckDB and Spark.

A function of the same name may round, count or order differently on another engine, and nobody would notice before two
warehouses disagree. New functions are therefore compared on Spark first. Casts, and words of SQL that look like
functions, count, too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from sqlglot import exp

from clv_pipeline.contracts.loader import DIALECT, SqlModel, TableModel
from clv_pipeline.errors import ContractError

PROVEN = frozenset(
    {
        *("abs", "exp", "floor", "greatest", "isfinite", "least", "ln", "power", "round", "sqrt"),
        *(
            "any_value",
            "arg_max",
            "arg_min",
            "avg",
            "bool_and",
            "bool_or",
            "count",
            "count_if",
            "max",
            "median",
            "min",
            "sum",
        ),
        *("listagg", "quantile_cont", "quantile_disc"),
        *("lag", "lead", "rank", "row_number"),
        *("date_diff", "date_trunc", "dayofweek", "generate_series", "last_day", "strftime"),
        *("concat_ws", "hash", "length", "lower", "md5", "md5_number_upper", "printf", "replace"),
        *("cast", "coalesce", "exists", "nullif", "try_cast"),
        *("array_contains", "map_keys", "unnest"),
    }
)
"""Proven functions, by the names that sqlglot writes for DuckDB: array_contains is list_contains, listagg is
string_agg.

The parity of everything that uses them is the proof: models, expectations of contracts, and queries of the pipeline.
Every listed function has been compared on Spark; a test fails when an entry is unused.
"""


JUDGED_HERE = "file_gates"
"""The table that DuckDB builds on either engine: it reads only small tables."""


def functions_of(query: exp.Query, dialect: str) -> set[str]:
    """Names of the functions that a query calls, in the dialect's spelling: a word followed by a parenthesis."""
    calls = (re.match(r"(\w+)\(", node.sql(dialect, comments=False)) for node in query.find_all(exp.Func))
    return {call.group(1).lower() for call in calls if call}


def require_proven(models: Mapping[str, TableModel]) -> None:
    """Check that the SQL of all tables that Spark builds uses only functions that are proven there.

    DuckDB judges files from their measures, on either engine.

    Raises:
        ContractError: names the table and its unproven functions.
    """
    for model in models.values():
        if not isinstance(model, SqlModel) or model.name == JUDGED_HERE:
            continue
        if unproven := functions_of(model.parsed, DIALECT) - PROVEN:
            raise ContractError(
                f"{model.sql_file} uses {', '.join(sorted(unproven))}: not proven to give the same on Spark. Write the"
                " query without it; or add it to PROVEN in clv_pipeline/spark/functions.py, and keep it there if"
                " clv_pipeline_tests/acceptance/test_spark_parity.py passes"
            )
