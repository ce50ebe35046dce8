"""Every kind of expectation that contracts use, with rows that keep and rows that break it."""

from __future__ import annotations

from typing import Any

from clv_pipeline.contracts import Column, Contract, Expectation

COLUMNS = [
    Column(name="id", type="INTEGER", description="Id."),
    Column(name="other", type="INTEGER", description="Other."),
]


def contract(type_: str, kwargs: dict[str, Any], severity: Any = "error") -> Contract:
    return Contract(
        table="things",
        layer="layer",
        description="Things.",
        grain="thing",
        key=["id"],
        columns=COLUMNS,
        expectations=[
            Expectation(name="promise", type=type_, kwargs=kwargs, severity=severity, description="It holds.")
        ],
    )


CASES: dict[str, tuple[dict[str, Any], str, str]] = {
    # expectation: (kwargs, rows that keep it, rows that break it)
    "expect_column_values_to_not_be_null": ({"column": "other"}, "(1, 1)", "(1, 1), (2, null)"),
    "expect_column_values_to_be_unique": ({"column": "id"}, "(1, 1), (2, 1)", "(1, 1), (1, 2)"),
    "expect_column_values_to_be_between": (
        {"column": "other", "min_value": 1, "max_value": 2},
        "(1, 1)",
        "(1, 3)",
    ),
    "expect_column_values_to_be_in_set": ({"column": "other", "value_set": [1, 2]}, "(1, 2)", "(1, 3)"),
    "expect_compound_columns_to_be_unique": (
        {"column_list": ["id", "other"]},
        "(1, 1), (1, 2)",
        "(1, 1), (1, 1)",
    ),
    "expect_table_row_count_to_equal": ({"value": 1}, "(1, 1)", "(1, 1), (2, 2)"),
    "expect_table_row_count_to_be_between": ({"min_value": 2}, "(1, 1), (2, 2)", "(1, 1)"),
    "expect_column_pair_values_a_to_be_greater_than_b": (
        {"column_A": "id", "column_B": "other", "or_equal": True},
        "(2, 2)",
        "(1, 2)",
    ),
    "unexpected_rows_expectation": (
        {"unexpected_rows_query": "select * from {batch} where other < 0"},
        "(1, 1)",
        "(1, -1)",
    ),
}
