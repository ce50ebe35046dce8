"""Fixtures that several rooms share: a small shop, settings that point at it, and a warehouse."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest

from clv_pipeline.config.settings import Settings
from clv_pipeline.warehouse import Session, Warehouse
from clv_pipeline_tests.faults.record import Injected
from clv_pipeline_tests.helpers.receivers import DrippingWebhook, Mailbox, Webhook

if TYPE_CHECKING:
    from clv_pipeline_tests.helpers.graph_shop import Shop

# How long an example takes says something about the machine only.
hypothesis.settings.register_profile("without deadlines", deadline=None)
hypothesis.settings.load_profile("without deadlines")

SHOP_COLUMNS = {
    "customer_id": "Customer",
    "order_id": "Order",
    "ordered_at": "Date",
    "product_id": "Product",
    "quantity": "Quantity",
    "unit_price": "Price",
}


@pytest.fixture
def warehouse(tmp_path: Path) -> Iterator[Warehouse]:
    """A warehouse in a folder of its own, closed at the end."""
    warehouse = Warehouse(tmp_path / "warehouse" / "clv.duckdb", [tmp_path])
    yield warehouse
    warehouse.close()


@pytest.fixture
def session(warehouse: Warehouse) -> Session:
    """The open warehouse."""
    return warehouse.open("test")


@pytest.fixture
def shop_settings(tmp_path: Path) -> Callable[..., Settings]:
    """Settings for CSV files below tmp_path/orders; keywords are blocks of clv.yaml."""

    def build(**blocks: Any) -> Settings:
        (tmp_path / "orders").mkdir(exist_ok=True)
        return Settings.from_mapping(
            {
                "source": {"transactions": {"path": "orders/*.csv", "columns": SHOP_COLUMNS}},
                "storage": {"home": str(tmp_path / "home")},
                **blocks,
            },
            config_file=tmp_path / "clv.yaml",
        )

    return build


@pytest.fixture(scope="session")
def new_shop(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Shop]:
    """Makes shops for runs of the whole graph, each in a folder of its own."""
    # Here, because the import of Dagster takes longer than most rooms' tests.
    import dagster as dg

    from clv_pipeline_tests.helpers.graph_shop import Shop

    return lambda: Shop(tmp_path_factory.mktemp("shop"), dg.DagsterInstance.ephemeral())


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    """A receiver of webhooks."""
    webhook = Webhook()
    yield webhook
    webhook.close()


@pytest.fixture
def dripping_webhook() -> Iterator[DrippingWebhook]:
    """A receiver of webhooks that never comes to the end of its answer."""
    webhook = DrippingWebhook()
    yield webhook
    webhook.close()


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    """A mail server."""
    mailbox = Mailbox()
    yield mailbox
    mailbox.close()


@pytest.fixture
def injected(record_property: Callable[[str, object], None]) -> Injected:
    """Notes which fault a test injects, for docs/explanation/reliability.md."""

    def note(fault: str, times: int = 1) -> None:
        record_property("fault", fault)
        record_property("times", times)

    return note
