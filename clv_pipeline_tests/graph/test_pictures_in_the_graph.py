"""The death of the process that draws costs the picture, and never the run."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from clv_pipeline.orchestration.runner import _Progress
from clv_pipeline.publication.charts import pictures
from clv_pipeline.publication.charts.renderer import Renderer
from clv_pipeline_tests.helpers.graph_shop import Shop
from clv_pipeline_tests.helpers.runs import failure, metadata


def test_a_table_whose_picture_ends_the_renderer_is_built_and_a_warning_names_the_picture(
    new_shop: Callable[[], Shop], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = tmp_path / "worker.py"
    worker.write_text("import os, sys; sys.stdin.buffer.read(4); os.abort()")
    monkeypatch.setattr(pictures, "RENDERER", Renderer(worker))
    shop = new_shop()
    shop.write_orders("orders.csv", 1_000, seed=1)
    result = shop.materialize("*customer_days")
    assert result.success, failure(result)
    told = "the chart 'Revenue by week' is not drawn: the process that draws was ended by SIGABRT"
    assert metadata(shop, "customer_days")["plot"].value == told
    logged = [entry for entry in shop.instance.all_logs(result.run_id) if entry.level == logging.WARNING]
    assert told in [entry.user_message for entry in logged]

    echoed: list[str] = []
    progress = _Progress(1, echoed.append)
    for entry in logged:
        progress(entry)
    assert f"        warning {told}" in echoed
