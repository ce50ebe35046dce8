"""Tables of one's own: the example of the documents is built, checked, traced, described and published like ours."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest

from clv_pipeline.config.settings import Settings
from clv_pipeline.contracts.dictionary import as_markdown
from clv_pipeline.definitions import build_defs
from clv_pipeline.orchestration.dictionary import data_dictionary
from clv_pipeline.orchestration.gated_step import KEPT
from clv_pipeline.pipeline import Pipeline
from clv_pipeline.publication.write import Publication, publish
from clv_pipeline_tests.helpers.graph_shop import Shop
from clv_pipeline_tests.helpers.own_tables import CLONE_TABLE, TABLE, write_clone_example, write_example
from clv_pipeline_tests.helpers.runs import failure, metadata


@dataclass(frozen=True)
class Extended:
    """A shop whose clv.yaml names the folder of the documents' example."""

    shop: Shop
    blocks: dict[str, Any]

    @property
    def settings(self) -> Settings:
        return self.shop.settings(**self.blocks)

    def file(self, suffix: str) -> Path:
        return self.shop.folder / "my_sql" / "insights" / f"{TABLE}{suffix}"

    def build(self, selection: str = TABLE) -> dg.ExecuteInProcessResult:
        return self.shop.materialize(selection, **self.blocks)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with duckdb.connect(str(self.settings.warehouse_path), read_only=True) as warehouse:
            return warehouse.execute(query).fetchall()


@pytest.fixture(scope="module")
def extended(new_shop: Callable[[], Shop]) -> Extended:
    shop = new_shop()
    shop.write_orders("orders.csv", 3_000, seed=1)
    extended = Extended(shop, write_example(shop.folder))
    result = extended.build(f"+key:{TABLE}")
    assert result.success, failure(result)
    return extended


def test_it_is_built_from_what_it_reads_and_checked(extended: Extended) -> None:
    listed = extended.rows(f"select customer_id from {TABLE} order by all")
    assert listed == extended.rows(
        "select customer_id from rfm where days_since_last > 180"
        " and revenue > (select median(revenue) from rfm) order by all"
    )
    assert len(listed) > 1
    [(passed,)] = extended.rows(f"select checks from gate.audits where table_name = '{TABLE}'")
    assert all(check in passed for check in ("columns_match_contract", "customer_id_unique", "silent"))


def test_it_stands_in_the_graph_like_ours(extended: Extended) -> None:
    definitions = build_defs(extended.settings)
    specs = {spec.key.to_user_string(): spec for spec in definitions.resolve_all_asset_specs()}
    reads = {dep.asset_key.to_user_string() for dep in specs[TABLE].deps}
    assert (specs[TABLE].group_name, reads) == ("insights", {"rfm", "segments"})
    assert TABLE in {dep.asset_key.to_user_string() for dep in specs["published_marts"].deps}
    checks = {
        key.name: definitions.resolve_asset_graph().get_check_spec(key).blocking
        for key in definitions.resolve_asset_graph().asset_check_keys
        if key.asset_key == dg.AssetKey(TABLE)
    }
    assert checks == {"columns_match_contract": True, "customer_id_unique": True, "silent": False}


def test_its_columns_are_traced(extended: Extended) -> None:
    lineage = metadata(extended.shop, TABLE)["dagster/column_lineage"].value
    traced = {
        column: [(dep.asset_key.to_user_string(), dep.column_name) for dep in deps]
        for column, deps in lineage.deps_by_column.items()
    }
    assert traced["segment"] == [("segments", "segment")]
    assert traced["revenue"] == [("rfm", "revenue")]


def test_it_is_in_the_dictionary(extended: Extended) -> None:
    page = as_markdown(data_dictionary(Pipeline.of(extended.settings))).split("## Internal tables")[0]
    assert f"### {TABLE}\n\nGood customers who have not bought for half a year." in page
    assert "| segment | VARCHAR |  |  | Segment of today. | segments: segment |" in page


def published(pipeline: Pipeline, *tables: str, run_id: str) -> Publication:
    """A publication of these tables alone."""
    try:
        return publish(
            pipeline.warehouse.open("a test"),
            [pipeline.contract(table) for table in (*tables, "publication")],
            pipeline.settings.published_dir,
            run_id=run_id,
            config_hash="",
            keep=1,
            known=pipeline.models.keys(),
        )
    finally:
        pipeline.warehouse.close()


def test_it_is_published_with_its_words(extended: Extended) -> None:
    publication = published(Pipeline.of(extended.settings), TABLE, "rfm", run_id="one")
    with duckdb.connect(str(publication.database), read_only=True) as served:
        told = served.execute(f"select comment from duckdb_tables() where table_name = '{TABLE}'").fetchall()
        assert served.execute(f"select count(*) from {TABLE}").fetchall() == extended.rows(
            f"select count(*) from {TABLE}"
        )
    assert told == [("Good customers who have not bought for half a year. Grain: one row per customer.",)]


def test_a_changed_query_builds_its_own_table_again_and_not_what_it_reads(extended: Extended) -> None:
    query = extended.file(".sql").read_text(encoding="utf-8")
    extended.file(".sql").write_text(query.replace("> 180", "> 270"), encoding="utf-8")
    try:
        assert extended.build(f"key:rfm or key:{TABLE}").success
        assert KEPT in metadata(extended.shop, "rfm")
        assert KEPT not in metadata(extended.shop, TABLE)
        assert extended.rows(f"select min(days_since_last) > 270 from {TABLE}") == [(True,)]
    finally:
        extended.file(".sql").write_text(query, encoding="utf-8")


def test_a_query_that_duckdb_does_not_take_is_told_with_its_file(extended: Extended) -> None:
    query = extended.file(".sql").read_text(encoding="utf-8")
    extended.file(".sql").write_text(
        query.replace("segments.segment,", "segments.segmnt as segment,"), encoding="utf-8"
    )
    try:
        result = extended.build()
    finally:
        extended.file(".sql").write_text(query, encoding="utf-8")
    assert not result.success
    assert f"{extended.file('.sql')} cannot be run (Binder Error" in failure(result)


def test_the_example_for_the_clone_passes_its_checks_which_see_lost_revenue(extended: Extended) -> None:
    query, contract = write_clone_example(extended.file(".sql").parent)
    try:
        result = extended.build(CLONE_TABLE)
        assert result.success, failure(result)
        [(passed,)] = extended.rows(f"select checks from gate.audits where table_name = '{CLONE_TABLE}'")
        assert all(check in passed for check in ("one_row_per_weekday", "all_revenue_is_there"))
        text = query.read_text(encoding="utf-8")
        query.write_text(text.replace("purchase_day <= span.as_of", "purchase_day < span.as_of"), encoding="utf-8")
        lossy = extended.build(CLONE_TABLE)
        assert not lossy.success
        assert "all_revenue_is_there" in failure(lossy)
    finally:
        query.unlink()
        contract.unlink()


def test_a_failed_check_keeps_it_out_names_its_contract_and_is_forgotten_with_the_folder(extended: Extended) -> None:
    before = extended.rows(f"select * from {TABLE} order by all")
    promised = extended.file(".yml").read_text(encoding="utf-8")
    strict = promised.replace("min_value: 181", "min_value: 100000").replace("severity: warning", "severity: error")
    extended.file(".yml").write_text(strict, encoding="utf-8")
    result = extended.build()
    assert not result.success
    assert "silent" in failure(result)
    assert f"the contract ({extended.file('.yml')})" in failure(result)
    assert extended.rows(f"select * from {TABLE} order by all") == before

    without = published(Pipeline.of(extended.shop.settings()), "rfm", run_id="two")
    with duckdb.connect(str(without.database), read_only=True) as served:
        [(checks,)] = served.execute("select checks from publication").fetchall()
    assert set(without.tables) == {"rfm"}
    assert TABLE not in checks
