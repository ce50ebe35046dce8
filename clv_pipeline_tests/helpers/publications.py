"""A small publication: its tables, how it is put out, and what a reader sees of it."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import duckdb

from clv_pipeline.contracts import Contract
from clv_pipeline.contracts.loader import load_models
from clv_pipeline.publication.write import Publication, publish
from clv_pipeline.warehouse import Session, admit
from clv_pipeline_tests.helpers.gates import contract

PUBLICATION = load_models()["publication"].contract
SPAN = contract("history_span").model_copy(
    update={
        "columns": [load_models()["history_span"].contract.columns[2]],
        "key": ["as_of"],
        "expectations": load_models()["publication"].contract.expectations,
        "published": False,
    }
)


def fill(session: Session, *values: int, run: str = "run") -> list[Contract]:
    """A promoted table `things` of these ids, and the history span that a publication quotes."""
    session.execute("create or replace table currencies (currency varchar, is_reporting boolean)")
    ids = ", ".join(f"({value})" for value in values)
    things = contract("things")
    for promised, query in (
        (things, f"select * from (values {ids}) as t(id)"),
        (SPAN, "select date '2020-01-31' as as_of"),
    ):
        stage = partial(Session.stage_query, contract=promised, query=query)
        assert admit(session, [promised], stage, reads=[], run_id=run).admitted
    return [things, PUBLICATION]


def put_out(
    session: Session, contracts: list[Contract], folder: Path, run: str, keep: int = 3, always: bool = True
) -> Publication:
    return publish(session, contracts, folder, run_id=run, config_hash="c0ffee", keep=keep, always=always)


def read(folder: Path, query: str) -> list[tuple[object, ...]]:
    with duckdb.connect(str(folder / "current" / "clv.duckdb"), read_only=True) as client:
        return client.execute(query).fetchall()
