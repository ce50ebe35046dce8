"""The same order files, loaded by two sessions on different engines, whose rows, numbers and records are compared."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clv_pipeline.config.settings import Settings
from clv_pipeline.config.source import EventSource, TransactionSource
from clv_pipeline.contracts.loader import load_models
from clv_pipeline.orchestration.assets.ingestion import load_source, stage_load
from clv_pipeline.pipeline import Refresh
from clv_pipeline.privacy.register import Register
from clv_pipeline.sources import Load
from clv_pipeline.warehouse import Session
from clv_pipeline_tests.helpers.order_folder import COLUMNS

MODELS = load_models()
CONTRACTS = {
    "transactions": (MODELS["raw_transactions"].contract, MODELS["source_files"].contract),
    "events": (MODELS["raw_events"].contract, MODELS["event_files"].contract),
}
EVENT_COLUMNS = {"customer_id": "customer", "occurred_at": "date", "event": "product"}


@dataclass
class Both:
    """The same files on both engines."""

    folder: Path
    here: Session
    there: Session
    kind: str = "transactions"
    """What the files are read as: transactions or events."""

    @property
    def orders(self) -> Path:
        return self.folder / "orders"

    def source(self, **stated: Any) -> TransactionSource | EventSource:
        if self.kind == "events":
            return EventSource.model_validate({"path": "orders/*", "columns": EVENT_COLUMNS, **stated})
        transactions = {"path": "orders/*", "columns": COLUMNS, **stated}
        settings = Settings.from_mapping(
            {"source": {"transactions": transactions}}, config_file=self.folder / "clv.yaml"
        )
        return settings.source.transactions

    def load(self, session: Session, *, full: bool = False, days: Any = None, **stated: Any) -> Load:
        """Load and promote."""
        contracts = CONTRACTS[self.kind]
        load = load_source(
            session,
            contracts,
            self.source(**stated),
            self.folder,
            self.folder / "work",
            refresh=Refresh(full=full, days=days),
            recipe="test",
            suppress=Register(self.folder / "privacy").suppression(),
        )
        stage_load(session, contracts, self.source(**stated), load)
        for contract in contracts:
            session.replace_live(contract)
        session.drop_staged(contracts)
        return load

    def require_same(self, **asked: Any) -> tuple[Load, Load]:
        """Load on both; rows with all their numbers, and everything that is remembered about files, are the same."""
        loads = self.load(self.here, **asked), self.load(self.there, **asked)
        for contract in CONTRACTS[self.kind]:
            query = f"select * from {contract.table}"
            found = [sorted(session.ask(query), key=repr) for session in (self.here, self.there)]
            assert found[1] == found[0]
            assert found[0]
        assert loads[1].suppressed == loads[0].suppressed
        return loads
