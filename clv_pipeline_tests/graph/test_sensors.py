"""Failed runs are told once to everybody, with what the event log knows; dead runs are noticed."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator

import dagster as dg
import pytest

from clv_pipeline.config.settings import Settings
from clv_pipeline.errors import AlertError
from clv_pipeline.orchestration.alerting import ALERTED_TAG, alert_of, tell_failures
from clv_pipeline.orchestration.run_origin import WAREHOUSE_TAG
from clv_pipeline.orchestration.sensors import fail_dead_runs, sensors
from clv_pipeline.warehouse import Warehouse
from clv_pipeline_tests.helpers.graph_shop import Shop
from clv_pipeline_tests.helpers.receivers import Mailbox, Webhook, free_port

HEADER = "customer_id,order_id,ordered_at,product_id,quantity,unit_price\n"


@pytest.fixture
def shop(new_shop: Callable[[], Shop]) -> Shop:
    return new_shop()


@pytest.fixture
def settings(shop: Shop, webhook: Webhook, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The shop's, with both receivers."""
    return settings_with(shop, monkeypatch, webhook.url, mailbox)


def settings_with(shop: Shop, monkeypatch: pytest.MonkeyPatch, url: str, mailbox: Mailbox) -> Settings:
    monkeypatch.setenv("CLV_ALERT_WEBHOOK", url)
    email = mailbox.settings().model_dump(by_alias=True, exclude_none=True)
    return shop.settings(alerts={"webhook": "${CLV_ALERT_WEBHOOK}", "email": email})


def new_run(instance: dg.DagsterInstance, **tags: str) -> dg.DagsterRun:
    return instance.add_run(dg.DagsterRun("nightly_refresh", run_id=str(uuid.uuid4()), tags=tags))


def failed_run(instance: dg.DagsterInstance, **tags: str) -> str:
    run = new_run(instance, **tags)
    instance.report_run_failed(run, "gone")
    return str(run.run_id)


def tick(settings: Settings, instance: dg.DagsterInstance, cursor: str | None) -> str | None:
    """One evaluation of the sensor; returns the new cursor."""
    [sensor] = [sensor for sensor in sensors(settings) if sensor.name == "run_failure_alerts"]
    context = dg.build_sensor_context(instance=instance, cursor=cursor)
    sensor(context)
    return context.cursor


def test_a_failed_contract_is_told_with_asset_check_observed_value_and_what_to_do(
    shop: Shop, settings: Settings, webhook: Webhook, mailbox: Mailbox
) -> None:
    (shop.folder / "orders").mkdir()
    (shop.folder / "orders" / "bad.csv").write_text(HEADER + "17850,1,never,P1,1,1\n17850,1,2011-01-01,P1,1,1\n" * 50)
    cursor = tick(settings, shop.instance, None)
    result = shop.materialize("+key:raw_transactions")
    assert not result.success
    cursor = tick(settings, shop.instance, cursor)
    tick(settings, shop.instance, cursor)
    [message] = webhook.messages
    assert message["alert"]["run_id"] == result.run_id
    [problem] = [p for p in message["alert"]["problems"] if p["check"] == "most_dates_can_be_read"]
    assert problem["asset"] == "raw_transactions"
    assert problem["observed"] == "1 unexpected row: 50 of 100 dates cannot be read"
    assert "At least 95 % of the dates can be read" in problem["expected"]
    assert "mend the input" in problem["what_to_do"]
    assert message["alert"]["published"] is False
    assert result.run_id in message["alert"]["link"]
    assert "17850" not in str(message)
    [envelope] = mailbox.envelopes
    assert "most_dates_can_be_read" in envelope.content.decode()


def test_a_broken_file_is_told_by_name_and_cause_and_without_its_contents(shop: Shop, settings: Settings) -> None:
    (shop.folder / "orders").mkdir()
    (shop.folder / "orders" / "no_header.csv").write_text("17850,Ann Lee,2011-01-01,P1,1,1\n" * 9)
    result = shop.materialize("+key:raw_transactions")
    run = shop.instance.get_run_by_id(result.run_id)
    assert run is not None
    alert = alert_of(shop.instance, run, settings)
    assert "no_header.csv: holds none of the columns of source.transactions.columns" in alert.text
    assert "clv check" in alert.text
    assert "17850" not in alert.text
    assert "Ann Lee" not in alert.text


def test_every_bad_file_is_told_by_name_and_cause(shop: Shop, settings: Settings) -> None:
    orders = shop.folder / "orders"
    orders.mkdir()
    (orders / "may (1).csv").write_text("customer_id,order_id,ordered_at,product_id,quantity,Lee\n17850,1,x,P1,1,1\n")
    (orders / "june.csv").write_text("Ann,order_id,ordered_at,product_id,quantity,unit_price\n17850,1,x,P1,1,1\n")
    (orders / "july (2).csv").write_text("")
    result = shop.materialize("+key:raw_transactions")
    run = shop.instance.get_run_by_id(result.run_id)
    assert run is not None
    [problem] = alert_of(shop.instance, run, settings).problems
    for told in (
        "orders/may (1).csv: the column 'unit_price' (mapped to unit_price) is missing",
        "orders/june.csv: the column 'customer_id' (mapped to customer_id) is missing",
        "orders/july (2).csv: is empty",
    ):
        assert told in problem.observed
    assert "correct source.transactions.columns.unit_price" in problem.what_to_do
    assert "correct source.transactions.columns.customer_id" in problem.what_to_do
    for content in ("17850", "Ann", "Lee"):
        assert content not in str(problem)


def test_a_check_of_an_earlier_version_is_told_without_what_it_saw(shop: Shop, settings: Settings) -> None:
    check = dg.AssetCheckSpec("dates_are_read", asset="rfm")

    @dg.asset(check_specs=[check])
    def rfm() -> Iterator[dg.AssetCheckResult | dg.Output[None]]:
        seen = "the check could not run: Conversion Error: 17850"
        yield dg.Output(None)
        yield dg.AssetCheckResult(
            passed=False, description=f"Seen: {seen}.", metadata={"observed": seen, "expected": "x"}
        )

    result = dg.materialize([rfm], instance=shop.instance, raise_on_error=False)
    run = shop.instance.get_run_by_id(result.run_id)
    assert run is not None
    [problem] = alert_of(shop.instance, run, settings).problems
    assert (problem.check, problem.observed) == ("dates_are_read", "the run's page says what was seen")
    assert "17850" not in str(problem)


def test_an_error_that_nobody_foresaw_is_told_by_its_class_only(shop: Shop, settings: Settings) -> None:
    @dg.asset
    def rfm() -> None:
        raise ZeroDivisionError("of customer 17850")

    result = dg.materialize([rfm], instance=shop.instance, raise_on_error=False)
    run = shop.instance.get_run_by_id(result.run_id)
    assert run is not None
    [problem] = alert_of(shop.instance, run, settings).problems
    assert (problem.asset, problem.observed) == ("rfm", "ZeroDivisionError (the run's page has its text)")


def test_a_run_that_died_without_a_failed_step_is_told_too(shop: Shop, settings: Settings, webhook: Webhook) -> None:
    run_id = failed_run(shop.instance)
    assert tell_failures(shop.instance, settings, [run_id], None) == 1
    [message] = webhook.messages
    assert "at the run itself" in message["text"]
    assert "gone" in message["text"]
    assert "run again" in message["text"]


def test_while_a_receiver_is_down_the_tick_fails_the_others_are_told_and_nothing_is_lost_or_told_twice(
    shop: Shop, webhook: Webhook, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    down = settings_with(shop, monkeypatch, f"http://127.0.0.1:{free_port()}/", mailbox)
    cursor = tick(down, shop.instance, None)
    runs = [failed_run(shop.instance) for _ in range(2)]
    for _ in range(2):
        with pytest.raises(AlertError, match=r"webhook: not reached .* tried again"):
            tick(down, shop.instance, cursor)
    assert len(mailbox.envelopes) == 2
    up = settings_with(shop, monkeypatch, webhook.url, mailbox)
    cursor = tick(up, shop.instance, cursor)
    tick(up, shop.instance, cursor)
    assert [message["alert"]["run_id"] for message in webhook.messages] == runs
    assert len(mailbox.envelopes) == 2


def test_a_message_that_a_receiver_refuses_holds_up_no_other_and_is_given_up_with_a_word(
    shop: Shop, settings: Settings, webhook: Webhook, mailbox: Mailbox
) -> None:
    cursor = tick(settings, shop.instance, None)
    refused, *others = (failed_run(shop.instance) for _ in range(4))
    webhook.status_for = lambda message: 413 if message["alert"]["run_id"] == refused else 200
    for _ in range(2):
        with pytest.raises(AlertError, match="webhook: answered with status 413; the message is kept and tried again"):
            tick(settings, shop.instance, cursor)
    with pytest.raises(AlertError, match=f"413; given up after 3 tries: nobody was told of run {refused} by webhook"):
        tick(settings, shop.instance, cursor)
    assert tick(settings, shop.instance, cursor) != cursor
    got = [message["alert"]["run_id"] for message in webhook.messages]
    assert got == [refused, *others, refused, refused]
    assert len(mailbox.envelopes) == 4
    run = shop.instance.get_run_by_id(refused)
    assert run is not None
    assert (run.tags[f"{ALERTED_TAG}webhook"], run.tags[f"{ALERTED_TAG}email"]) == ("given up", "yes")
    assert any("ALERT NOT DELIVERED" in str(entry.message) for entry in shop.instance.all_logs(refused))


def test_a_receiver_that_is_down_for_long_keeps_no_later_run_from_the_others(
    shop: Shop, webhook: Webhook, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    down = settings_with(shop, monkeypatch, f"http://127.0.0.1:{free_port()}/", mailbox)
    cursor = tick(down, shop.instance, None)
    runs = []
    for _ in range(8):
        runs.append(failed_run(shop.instance))
        with pytest.raises(AlertError, match="not reached"):
            tick(down, shop.instance, cursor)
    assert len(mailbox.envelopes) == 8
    up = settings_with(shop, monkeypatch, webhook.url, mailbox)
    for _ in range(3):
        cursor = tick(up, shop.instance, cursor)
    assert sorted(message["alert"]["run_id"] for message in webhook.messages) == sorted(runs)
    assert len(mailbox.envelopes) == 8


def test_a_message_that_nobody_took_for_a_week_is_given_up_with_a_word(
    shop: Shop, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    down = settings_with(shop, monkeypatch, f"http://127.0.0.1:{free_port()}/", mailbox)
    run_id = failed_run(shop.instance)
    monkeypatch.setattr("clv_pipeline.orchestration.alerting.GIVEN_UP_AFTER_DAYS", -1)
    with pytest.raises(AlertError, match=r"not reached .* given up after 1 tries"):
        tell_failures(shop.instance, down, [run_id], None)
    assert tell_failures(shop.instance, down, [run_id], None) == 0


def test_runs_that_failed_before_there_were_alerts_and_runs_of_other_warehouses_are_not_told(
    shop: Shop, settings: Settings, webhook: Webhook
) -> None:
    failed_run(shop.instance)
    cursor = tick(settings, shop.instance, None)
    failed_run(shop.instance, **{WAREHOUSE_TAG: "/elsewhere/clv.duckdb"})
    ours = failed_run(shop.instance, **{WAREHOUSE_TAG: str(settings.warehouse_path)})
    tick(settings, shop.instance, cursor)
    assert [message["alert"]["run_id"] for message in webhook.messages] == [ours]


def test_without_receivers_nobody_is_told(shop: Shop) -> None:
    assert [sensor.name for sensor in sensors(shop.settings())] == ["dead_runs", "run_history"]


@pytest.fixture
def at_work(shop: Shop) -> tuple[dg.DagsterInstance, str]:
    """A run that says it has just started."""
    run = new_run(shop.instance)
    shop.instance.report_dagster_event(
        dg.DagsterEvent(dg.DagsterEventType.RUN_START.value, "nightly_refresh"), run.run_id
    )
    return shop.instance, run.run_id


def test_a_run_that_says_it_works_while_nobody_holds_the_warehouse_is_dead(
    shop: Shop, at_work: tuple[dg.DagsterInstance, str]
) -> None:
    instance, run_id = at_work
    settings = shop.settings()
    held = Warehouse(settings.warehouse_path)
    held.open("another run")
    assert fail_dead_runs(instance, settings, None, after_seconds=0) == []
    held.close()
    assert fail_dead_runs(instance, settings, None) == []
    assert fail_dead_runs(instance, settings, None, after_seconds=0) == [run_id]
    assert instance.get_run_by_id(run_id).status == dg.DagsterRunStatus.FAILURE  # type: ignore[union-attr]
