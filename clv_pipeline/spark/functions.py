"""Which SQL functions queries for both engines may use: those that are proven to give the same on DuckDB and on Spark.

A function of the same name may well round, count or order differently elsewhere, and nobody would notice before two
warehouses disagree. So a new one is held against Spark first. Casts, and words of SQL that look like functions, count.
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
        *("lag", "rank", "row_number"),
        *("date_diff", "date_trunc", "dayofweek", "generate_series", "last_day", "strftime"),
        *("concat_ws", "hash", "lower", "md5", "md5_number_upper", "printf", "replace"),
        *("cast", "coalesce", "exists", "nullif", "try_cast"),
        *("array_contains", "map_keys", "unnest"),
    }
)
"""By the names that sqlglot writes for DuckDB: array_contains is list_contains, listagg is string_agg. What proves them
is the parity of what uses them: models, expectations of contracts, and what the pipeline asks its tables. So none is
listed that nothing uses."""


def functions_of(query: exp.Query, dialect: str) -> set[str]:
    """Names of the functions that a query calls, as the dialect writes them: a word with a parenthesis behind it."""
    calls = (re.match(r"(\w+)\(", node.sql(dialect, comments=False)) for node in query.find_all(exp.Func))
    return {call.group(1).lower() for call in calls if call}


def require_proven(models: Mapping[str, TableModel]) -> None:
    """Raise ContractError when a table's SQL uses a function that is not proven on Spark."""
    for model in models.values():
        if isinstance(model, SqlModel) and (unproven := functions_of(model.parsed, DIALECT) - PROVEN):
            raise ContractError(
                f"{model.sql_file} uses {', '.join(sorted(unproven))}: not proven to give the same on Spark. Write the"
                " query without it; or add it to PROVEN in clv_pipeline/spark/functions.py, and keep it there if"
                " clv_pipeline_tests/acceptance/test_spark_parity.py passes"
            )
