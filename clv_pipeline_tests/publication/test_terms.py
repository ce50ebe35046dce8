"""Every name that the tables give can be said in another language."""

from __future__ import annotations

import duckdb

from clv_pipeline.contracts.loader import SqlModel, load_models
from clv_pipeline.display.catalogues import said
from clv_pipeline.publication.terms import ACTIONS, CHANNELS, CLUSTERS, SEGMENTS, TERMS
from clv_pipeline.segmentation.clusters import ClusterName


def sql_of(table: str) -> str:
    model = load_models()[table]
    assert isinstance(model, SqlModel)
    return model.sql


def test_segments_actions_and_channels_are_those_of_the_tables() -> None:
    with duckdb.connect() as engine:
        engine.execute("create table contact_costs as select 0.1 as email, 1 as letter, 5 as telephone")
        engine.execute("create table parameters as select true as has_money")
        advice = f"select segment, recommended_action, channel from ({sql_of('segment_advice')})"
        told = engine.execute(advice).fetchall()
        named = engine.execute(f"select segment from ({sql_of('segment_names')})").fetchall()
    assert {segment for segment, _, _ in told} == {segment for (segment,) in named} == set(SEGMENTS)
    assert {action for _, action, _ in told} == set(ACTIONS)
    assert {channel for _, _, channel in told} == set(CHANNELS)


def test_clusters_are_called_as_they_are_named() -> None:
    names = {
        str(ClusterName(value, recency, measure=measure))
        for value in ("high", "medium", "low")
        for recency in ("recent", "cooling", "lapsed")
        for measure in ("value", "frequency")
    }
    assert names | {str(ClusterName())} == set(CLUSTERS)


def test_the_catalogues_know_every_term() -> None:
    assert {message for message, file in said() if file.endswith("terms.py")} == set(TERMS)
