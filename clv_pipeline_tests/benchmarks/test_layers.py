"""The floors of the layers end in the customers that the pipeline ends in, and every layer has its line."""

from __future__ import annotations

from pathlib import Path

import duckdb

from benchmarks import generate, layers


def test_floor_and_pipeline_end_in_as_many_customers_and_every_layer_is_shown(tmp_path: Path) -> None:
    generate.write_parts(tmp_path / "orders", 20_000)

    found = layers.of_data(tmp_path / "orders" / "*.csv", tmp_path)

    customers = []
    for name in ("clv", "floor"):
        with duckdb.connect(tmp_path / f"{name}.duckdb", read_only=True) as database:
            customers += database.execute("select count(*) from rfm").fetchall()
    assert customers[0] == customers[1] != (0,)
    assert list(found) == ["loading", "cleaning", "rfm", "audits"]
    assert [line.split(" | ")[0] for line in layers.table(20_000, found).splitlines()[2:]] == [
        "| loading",
        "| cleaning",
        "| rfm",
        "| audits",
    ]
