"""`clv run --select` understands what Dagster's UI does, and a bare name is a table."""

from __future__ import annotations

import dagster as dg
import pytest

from clv_pipeline.config.settings import Settings
from clv_pipeline.errors import RequestError
from clv_pipeline.orchestration.assets import all_assets
from clv_pipeline.orchestration.selection import selected_tables
from clv_pipeline.pipeline import Pipeline


@pytest.fixture(scope="module")
def assets() -> list[dg.AssetsDefinition]:
    return all_assets(Pipeline.of(Settings.load()))


def selected(text: str, assets: list[dg.AssetsDefinition]) -> set[str]:
    return {key.to_user_string() for key in selected_tables(text, assets)}


@pytest.mark.parametrize(
    ("bare", "stated"),
    [
        ("rfm", 'key:"rfm"'),
        ("rfm+", "key:rfm+"),
        ("+rfm", "+key:rfm"),
        ("2+rfm+1", "2+key:rfm+1"),
        ("rfm or segments", "key:rfm or key:segments"),
        ("rfm+ AND NOT segments", "key:rfm+ and not key:segments"),
        ("(rfm or segments)+", "(key:rfm or key:segments)+"),
        ("roots(rfm+)", "roots(key:rfm+)"),
        ('"rfm"+', "key:rfm+"),
        ("customer_*", "key:customer_*"),
    ],
)
def test_a_bare_name_is_a_key(assets: list[dg.AssetsDefinition], bare: str, stated: str) -> None:
    assert selected(bare, assets) == selected(stated, assets) != set()


def test_a_plus_is_all_that_depends_on_a_table(assets: list[dg.AssetsDefinition]) -> None:
    graph = dg.AssetSelection.assets("rfm").downstream().required_multi_asset_neighbors()
    assert selected("rfm+", assets) == {key.to_user_string() for key in graph.resolve(assets)}
    assert {"campaign_plan", "published_marts"} <= selected("rfm+", assets)
    assert selected("rfm+1", assets) < selected("rfm+", assets)


@pytest.mark.parametrize(
    "attribute", ["group:segmentation", "kind:sql", "tag:published=yes", 'tag:"published"="yes"', "*"]
)
def test_attributes_and_everything_stay_as_they_are(assets: list[dg.AssetsDefinition], attribute: str) -> None:
    assert "segments" in selected(attribute, assets)


def test_tables_of_one_step_come_together(assets: list[dg.AssetsDefinition]) -> None:
    assert selected("cluster_names", assets) == {"cluster_names", "customer_clusters"}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("rmf+", "--select rmf\\+: there is no table 'rmf'; did you mean 'rfm'"),
        ("key:rmf", "there is no table 'rmf'; did you mean 'rfm'"),
        ("xyz", "there is no table 'xyz'; there are accepted_findings, "),
        ("rfm and segments", "--select rfm and segments: selects no table"),
        ("rfm,segments", "--select rfm,segments: not a selection in Dagster's syntax, such as `rfm`"),
        ("rfm or", "not a selection"),
        ("++rfm", "not a selection"),
        ("2", "not a selection"),
    ],
)
def test_an_error_names_the_selection_and_what_is_wrong(
    assets: list[dg.AssetsDefinition], text: str, told: str
) -> None:
    with pytest.raises(RequestError, match=told):
        selected_tables(text, assets)
