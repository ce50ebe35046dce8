"""What a run of the graph tells: why it failed, what it built, and what the UI shows of a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import dagster as dg

from clv_pipeline_tests.helpers.graph_shop import Shop


def failure(result: dg.ExecuteInProcessResult) -> str:
    """What the user reads about the first failed step."""
    for event in result.all_events:
        if event.is_step_failure:
            data = event.step_failure_data
            if data.user_failure_data is not None and data.user_failure_data.description:
                return data.user_failure_data.description
            return f"unexpected: {data.error}"
    return ""


def materialized(result: dg.ExecuteInProcessResult) -> set[str]:
    return {event.asset_key.to_user_string() for event in result.get_asset_materialization_events() if event.asset_key}


def metadata(shop: Shop, table: str) -> Mapping[str, dg.MetadataValue[Any]]:
    """What the UI shows of a table's last materialization."""
    event = shop.instance.get_latest_materialization_event(dg.AssetKey(table))
    assert event is not None
    assert event.asset_materialization is not None
    return event.asset_materialization.metadata
