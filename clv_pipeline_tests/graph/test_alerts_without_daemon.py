"""cron and `clv run`, no daemon: a failed run tells the receivers itself, once, also where a daemon is at work."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import dagster as dg
import pytest

from clv_pipeline.config.settings import Settings
from clv_pipeline.errors import RequestError, StorageError, WarehouseBusyError
from clv_pipeline.orchestration.instance import prepare_instance
from clv_pipeline.orchestration.run_origin import WAREHOUSE_TAG
from clv_pipeline.orchestration.runner import Outcome, run_nightly
from clv_pipeline.orchestration.sensors import sensors
from clv_pipeline.pipeline import Refresh
from clv_pipeline.warehouse import Warehouse
from clv_pipeline_tests.helpers.graph_shop import Shop
from clv_pipeline_tests.helpers.receivers import Mailbox, Webhook, free_port


class Night:
    """A shop whose only file is no CSV of orders, and what `clv run` printed of it."""

    def __init__(self, shop: Shop, settings: Settings) -> None:
        self.settings = settings
        self.told: list[str] = []
        (shop.folder / "orders").mkdir(exist_ok=True)
        (shop.folder / "orders" / "bad.csv").write_text("Ann,Lee\n1,2\n")

    def run(self, select: str = "raw_transactions") -> Outcome:
        return run_nightly(self.settings, select=select, refresh=Refresh(), echo=self.told.append)

    def tick(self, cursor: str) -> None:
        """One evaluation of the daemon's sensor."""
        [sensor] = [sensor for sensor in sensors(self.settings) if sensor.name == "run_failure_alerts"]
        with dg.DagsterInstance.get() as instance:
            sensor(dg.build_sensor_context(instance=instance, cursor=cursor))


@pytest.fixture
def new_night(
    new_shop: Callable[[], Shop], mailbox: Mailbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], Night]:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "dagster"))
    shop = new_shop()

    def build(url: str) -> Night:
        monkeypatch.setenv("CLV_ALERT_WEBHOOK", url)
        email = mailbox.settings().model_dump(by_alias=True, exclude_none=True)
        return Night(shop, shop.settings(alerts={"webhook": "${CLV_ALERT_WEBHOOK}", "email": email}))

    return build


def test_a_failed_run_tells_everybody_once_and_the_daemon_not_again(
    new_night: Callable[[str], Night], webhook: Webhook, mailbox: Mailbox
) -> None:
    night = new_night(webhook.url)
    failed = night.run()
    assert not failed.success
    assert "failed runs told to the receivers of `alerts`: 1" in night.told[-1]
    night.tick(cursor="0")
    assert night.run("parameters").success
    assert [message["alert"]["run_id"] for message in webhook.messages] == [failed.run_id]
    assert len(mailbox.envelopes) == 1


def test_whom_the_message_did_not_reach_is_told_by_the_next_run(
    new_night: Callable[[str], Night], webhook: Webhook, mailbox: Mailbox
) -> None:
    down = new_night(f"http://127.0.0.1:{free_port()}/")
    failed = down.run()
    assert "alert not delivered: webhook: not reached (ConnectionError)" in down.told[-1]
    assert new_night(webhook.url).run("parameters").success
    assert [message["alert"]["run_id"] for message in webhook.messages] == [failed.run_id]
    assert len(mailbox.envelopes) == 1


def test_a_run_that_was_killed_is_told_by_the_next_run(new_night: Callable[[str], Night], webhook: Webhook) -> None:
    night = new_night(webhook.url)
    folder = prepare_instance(night.settings)
    with Warehouse(night.settings.warehouse_path).keep_out("the run that is killed"):
        pass
    with dg.DagsterInstance.get() as instance:
        tags = {WAREHOUSE_TAG: str(night.settings.warehouse_path)}
        killed = instance.add_run(dg.DagsterRun("nightly_refresh", run_id="killed", tags=tags))
        instance.report_dagster_event(
            dg.DagsterEvent(dg.DagsterEventType.RUN_START.value, "nightly_refresh"), killed.run_id
        )
    with closing(sqlite3.connect(folder / "history" / "runs.db")) as runs, runs:
        runs.execute("update runs set start_time = start_time - 3600")
    assert night.run("parameters").success
    [message] = webhook.messages
    assert message["alert"]["run_id"] == "killed"
    assert "has ended without a word" in message["text"]


def test_a_run_that_cannot_begin_is_told_too(new_night: Callable[[str], Night], webhook: Webhook) -> None:
    night = new_night(webhook.url)
    folder = prepare_instance(night.settings)
    (folder / "history" / "runs.db").write_bytes(b"no database" * 1_000)
    with pytest.raises(StorageError, match="run history of Dagster"):
        night.run()
    [message] = webhook.messages
    assert "clv run failed at the start of the run" in message["text"]
    assert "move the folder away and run again" in message["text"]


def test_what_somebody_asked_for_and_cannot_have_alerts_nobody(
    new_night: Callable[[str], Night], webhook: Webhook
) -> None:
    night = new_night(webhook.url)
    with pytest.raises(RequestError):
        night.run("no_such_table")
    other = Warehouse(night.settings.warehouse_path)
    other.reserve("another run")
    with pytest.raises(WarehouseBusyError):
        night.run()
    other.close()
    assert webhook.messages == []
