"""Promises of a table of ids, and the step that stages, audits and promotes it."""

from __future__ import annotations

from clv_pipeline.contracts import Column, Contract, Expectation
from clv_pipeline.warehouse import Session, admit


def contract(table: str, severity: str = "error") -> Contract:
    return Contract.model_validate(
        {
            "table": table,
            "layer": "layer",
            "description": f"The {table}, with a quote ' in it.",
            "grain": "id",
            "key": ["id"],
            "published": True,
            "columns": [Column(name="id", type="INTEGER", description="An id; it's positive.")],
            "expectations": [
                Expectation.model_validate(
                    {
                        "name": "id_is_positive",
                        "type": "expect_column_values_to_be_between",
                        "kwargs": {"column": "id", "min_value": 1},
                        "severity": severity,
                        "description": "Ids are positive.",
                    }
                )
            ],
        }
    )


def build(session: Session, value: int, *tables: str, run: str = "run", reads: tuple[str, ...] = ()) -> bool:
    def stage(staging: Session) -> None:
        for table in tables:
            staging.stage_query(contract(table), f"select {value} as id")

    return admit(session, [contract(t) for t in tables], stage, reads=reads, run_id=run).admitted
