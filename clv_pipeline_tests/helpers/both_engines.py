"""The same order files, loaded by two sessions on different engines, whose rows, numbers and records are compared."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clv_pipeline.config.settings import Settings
from clv_pipeline.config.source import TransactionSource
from clv_pipeline.contracts.loader import load_models
from clv_pipeline.orchestration.assets.ingestion import load_source, stage_load
from clv_pipeline.pipeline import Refresh
from clv_pipeline.privacy.register import Register
from clv_pipeline.sources import Load
from clv_pipeline.warehouse import Session
from clv_pipeline_tests.helpers.order_folder import COLUMNS

MODELS = load_models()
CONTRACTS = MODELS["raw_transactions"].contract, MODELS["source_files"].contract


@dataclass
class Both:
    """The same files on both engines."""

    folder: Path
    here: Session
    there: Session

    @property
    def orders(self) -> Path:
        return self.folder / "orders"

    def source(self, **stated: Any) -> TransactionSource:
        transactions = {"path": "orders/*", "columns": COLUMNS, **stated}
        settings = Settings.from_mapping(
            {"source": {"transactions": transactions}}, config_file=self.folder / "clv.yaml"
        )
        return settings.source.transactions

    def load(self, session: Session, *, full: bool = False, days: Any = None, **stated: Any) -> Load:
        """Load and promote."""
        load = load_source(
            session,
            CONTRACTS,
            self.source(**stated),
            self.folder,
            self.folder / "work",
            refresh=Refresh(full=full, days=days),
            recipe="test",
            suppress=Register(self.folder / "privacy").suppression(),
        )
        stage_load(session, CONTRACTS, self.source(**stated), load)
        for contract in CONTRACTS:
            session.replace_live(contract)
        session.drop_staged(CONTRACTS)
        return load

    def require_same(self, **asked: Any) -> tuple[Load, Load]:
        """Load on both; rows with all their numbers, and everything that is remembered about files, are the same."""
        loads = self.load(self.here, **asked), self.load(self.there, **asked)
        for query in ("select * from raw_transactions", "select * from source_files"):
            found = [sorted(session.ask(query), key=repr) for session in (self.here, self.there)]
            assert found[1] == found[0]
            assert found[0]
        assert loads[1].suppressed == loads[0].suppressed
        return loads
