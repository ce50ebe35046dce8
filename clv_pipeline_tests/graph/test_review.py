"""The model review: when it is due, and what a second one adds."""

from __future__ import annotations

import json
from pathlib import Path

import duckdb
import pytest

from clv_pipeline.config.settings import Settings
from clv_pipeline.contracts.loader import load_models
from clv_pipeline.orchestration.jobs import review_is_due
from clv_pipeline.pipeline import Pipeline


def published(home: Path, *, changed: str | None = None) -> Settings:
    """A publication that lists the tables of the review, with a leaderboard of what is configured."""
    raw = {
        "source": {
            "transactions": {"path": "x.csv", "columns": {"customer_id": "c", "ordered_at": "d", "amount": "a"}}
        },
        "models": ["own_rate", "bg_nbd"],
        "forecast": {"horizons_days": [30, 90]},
        "storage": {"home": str(home)},
    }
    settings = Settings.from_mapping(raw)
    folder = settings.published_dir / "current"
    folder.mkdir(parents=True)
    contracts = [model.contract for model in load_models().values() if model.contract.layer == "evaluation"]
    listed = [
        {"table": contract.table, "contract_hash": "another" if contract.table == changed else contract.hash}
        for contract in contracts
    ]
    with duckdb.connect(str(folder / "clv.duckdb")) as database:
        database.execute("create table publication as select ? as tables", [json.dumps(listed)])
        database.execute(
            "create table model_leaderboard as select horizon_days, model"
            " from (values (30), (90)) as h (horizon_days), (values ('own_rate'), ('bg_nbd')) as m (model)"
        )
    return settings


def test_a_review_of_what_is_configured_is_not_due_again(tmp_path: Path) -> None:
    assert not review_is_due(Pipeline.of(published(tmp_path)))


@pytest.mark.parametrize(
    ("block", "value"), [("models", ["bg_nbd"]), ("models", ["own_rate", "bg_nbd", "last_window"])]
)
def test_a_review_is_due_when_the_models_have_changed(tmp_path: Path, block: str, value: list[str]) -> None:
    assert review_is_due(Pipeline.of(published(tmp_path).model_copy(update={block: value})))


def test_a_review_is_due_when_a_horizon_is_new(tmp_path: Path) -> None:
    settings = published(tmp_path)
    horizons = settings.forecast.model_copy(update={"horizons_days": [30, 90, 180]})
    assert review_is_due(Pipeline.of(settings.model_copy(update={"forecast": horizons})))


def test_everything_is_due_when_what_is_published_is_damaged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    settings = published(tmp_path)
    (settings.published_dir / "current" / "clv.duckdb").write_bytes(b"no database" * 1_000)
    assert review_is_due(Pipeline.of(settings))
    assert "the whole graph is due" in caplog.text


def test_a_review_is_due_when_the_contract_of_one_of_its_tables_has_changed(tmp_path: Path) -> None:
    assert review_is_due(Pipeline.of(published(tmp_path, changed="clv_drivers")))
