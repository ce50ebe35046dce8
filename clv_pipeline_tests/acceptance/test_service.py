"""The real daemon and webserver: the schedule ticks, alerts arrive, and runs keep out of each other's way."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from collections.abc import Iterator
from itertools import groupby
from typing import Any

import dagster as dg
import pytest
from duckdb import connect

from clv_pipeline.config.settings import Settings
from clv_pipeline.orchestration.gated_step import WRITER_POOL
from clv_pipeline.orchestration.sensors import fail_dead_runs
from clv_pipeline.warehouse import Warehouse
from clv_pipeline_tests.acceptance.service import LOCATION, Service, eventually
from clv_pipeline_tests.helpers.receivers import Mailbox, Webhook

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Started once; the tests of this module follow each other on it."""
    webhook, mailbox = Webhook(), Mailbox()
    service = Service(tmp_path_factory.mktemp("service"), webhook, mailbox)
    service.prepare()
    starting = [service.start(f"prepare_{n}", "python", "-m", "clv_pipeline.orchestration.instance") for n in range(4)]
    assert [process.wait(timeout=600) for process in starting] == [0, 0, 0, 0], service.said("prepare_0")
    with service.running():
        yield service
    webhook.close()
    mailbox.close()


def test_processes_that_prepare_an_empty_instance_at_once_leave_it_sound(service: Service) -> None:
    for number in range(4):
        assert service.said(f"prepare_{number}").splitlines()[-1] == str(service.folder / "dagster")
    with service.instance() as instance:
        [pool] = instance.event_log_storage.get_concurrency_infos([WRITER_POOL]).values()
        assert pool.slot_count == 1


def test_the_schedule_ticks_and_its_run_ends_well(service: Service) -> None:
    run_ids = scheduled_runs(service)
    assert {service.finished()[run_id] for run_id in run_ids} == {"SUCCESS"}
    ticks = schedule_state(service)["ticks"]
    launched = {run_id for tick in ticks if tick["status"] == "SUCCESS" for run_id in tick["runIds"]}
    assert launched == run_ids
    with service.instance() as instance:
        found = instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.SUCCESS]))
    assert {run.run_id for run in found} == run_ids
    assert {run.tags["dagster/schedule_name"] for run in found} == {"nightly_refresh_schedule"}
    with connect(str((service.folder / "home/published/current/clv.duckdb").resolve()), read_only=True) as served:
        published = served.execute("select run_id from publication").fetchall()[0][0]
    assert published in launched


def test_a_scheduled_run_that_fails_its_contract_alerts_everybody_exactly_once(service: Service) -> None:
    good = service.orders.read_bytes()
    header = good.decode().splitlines()[0]
    service.orders.write_text(
        header + "\n" + "17850,1,never,P1,1,1\n17850,1,2011-01-01,P1,1,1\n" * 250, encoding="utf-8"
    )
    failed = scheduled_runs(service)
    assert {service.finished()[run_id] for run_id in failed} == {"FAILURE"}
    service.orders.write_bytes(good)

    def told() -> bool:
        return len(service.webhook.messages) >= len(failed) and len(service.mailbox.envelopes) >= len(failed)

    eventually("everybody has got the message", told)
    before = sensor_ticks(service)
    eventually("the sensor has looked again", lambda: sensor_ticks(service) > before)
    assert Counter(message["alert"]["run_id"] for message in service.webhook.messages) == dict.fromkeys(failed, 1)
    mails = [envelope.content.decode() for envelope in service.mailbox.envelopes]
    assert Counter(run_id for run_id in failed for mail in mails if run_id in mail) == dict.fromkeys(failed, 1)
    for message in service.webhook.messages:
        [problem] = [p for p in message["alert"]["problems"] if p["check"] == "most_dates_can_be_read"]
        assert problem["asset"] == "raw_transactions"
        assert problem["observed"] == "1 unexpected row: 250 of 500 dates cannot be read"
        assert "mend the input" in problem["what_to_do"]
        assert "17850" not in str(message)
        assert message["alert"]["published"] is False
        assert "What is published is as it was." in message["text"]


def scheduled_runs(service: Service) -> set[str]:
    """Switch the schedule on until it has started a run; returns the runs it has started."""
    earlier = set(service.runs())
    service.switch_schedule(on=True)
    eventually("a tick has started a run", lambda: set(service.runs()) - earlier)
    service.switch_schedule(on=False)

    def nothing_more_comes() -> bool:
        started = set(service.runs())
        # The scheduler looks every five seconds, and may have been about to start another run.
        time.sleep(20)
        state = schedule_state(service)
        if state["status"] == "RUNNING":
            # The daemon notes its last look together with the status that it had read before.
            service.switch_schedule(on=False)
            return False
        ticking = any(tick["status"] == "STARTED" for tick in state["ticks"])
        return not ticking and set(service.runs()) == started

    eventually("the schedule rests", nothing_more_comes)
    return set(service.runs()) - earlier


def schedule_state(service: Service) -> dict[str, Any]:
    """Status and ticks of the nightly schedule, as the UI shows them."""
    state: dict[str, Any] = service.ask(
        "query ($selector: ScheduleSelector!) { scheduleOrError(scheduleSelector: $selector) { ... on Schedule "
        "{ scheduleState { status ticks(limit: 20) { status runIds } } } } }",
        selector={**LOCATION, "scheduleName": "nightly_refresh_schedule"},
    )["scheduleOrError"]["scheduleState"]
    return state


def sensor_ticks(service: Service) -> int:
    """How often the daemon has evaluated the sensor on failed runs."""
    with service.instance() as instance:
        states = instance.all_instigator_state()
        [state] = [state for state in states if state.name == "run_failure_alerts"]
        return len(instance.get_ticks(state.instigator_origin_id, state.selector_id))


def test_runs_from_the_ui_and_the_shell_at_once_come_one_after_the_other_or_are_refused_by_name(
    service: Service,
) -> None:
    earlier = set(service.runs())
    first = service.launch()
    eventually("the first run is at work", lambda: first in service.holder())
    worker = process_at_work(service)
    refused = [service.start("refused_run", "clv", "run"), service.start("refused_audit", "clv", "audit")]
    waiting = [
        service.start("waiting_run", "clv", "run", "--select", "parameters", "--wait", "10"),
        service.start("waiting_audit", "clv", "audit", "--wait", "10"),
    ]
    second = service.launch("parameters")
    assert [process.wait(timeout=600) for process in refused] == [1, 1]
    for name in ("refused_run", "refused_audit"):
        assert f"in use by process {worker}, run {first}" in service.said(name)
    assert [process.wait(timeout=600) for process in waiting] == [0, 0]
    runs = service.finished()
    assert (runs[first], runs[second]) == ("SUCCESS", "SUCCESS")
    # A refused run is no failed run.
    assert {runs[run_id] for run_id in set(runs) - earlier} == {"SUCCESS"}
    assert len(set(runs) - earlier) == 3
    for name in ("refused_run", "refused_audit", "waiting_run", "waiting_audit"):
        assert "Traceback" not in service.said(name)
    assert interleaved(service, set(runs) - earlier) == []


def test_a_run_from_the_ui_waits_for_what_dagster_does_not_know_and_says_so(service: Service) -> None:
    lock = Warehouse(service.folder / "home" / "warehouse" / "clv.duckdb").lock
    lock.acquire("somebody at work")
    launched = service.launch("parameters")

    def waits() -> bool:
        with service.instance() as instance:
            said = [entry.user_message for entry in instance.all_logs(launched)]
        holder = f"in use by process {os.getpid()}, somebody at work"
        return f"waiting up to 60 minutes: the warehouse is {holder}" in said

    eventually("the run waits", waits)
    assert service.runs()[launched] == "STARTED"
    lock.release()
    assert service.finished()[launched] == "SUCCESS"


def test_killed_runs_are_told_and_do_not_block_the_next_ones(service: Service) -> None:
    crashed = service.launch()
    eventually("the run is at work", lambda: crashed in service.holder())
    os.kill(int(process_at_work(service)), signal.SIGKILL)
    assert service.finished()[crashed] == "FAILURE"

    shell = service.start("killed_run", "clv", "run")
    eventually("the shell works", lambda: f"process {shell.pid}, clv run" in service.holder())
    [killed] = eventually("it is a run", lambda: [r for r, status in service.runs().items() if status == "STARTED"])
    os.killpg(shell.pid, signal.SIGKILL)
    shell.wait(timeout=60)
    launched = service.launch("parameters")
    blocked = f"Run {launched} is blocked by global concurrency limits"
    eventually("the next run queues behind the dead one", lambda: blocked in service.said("daemon"))
    settings = settings_of(service)
    with service.instance() as instance:
        assert fail_dead_runs(instance, settings, "clv_pipeline.definitions") == []
        assert fail_dead_runs(instance, settings, "clv_pipeline.definitions", after_seconds=0) == [killed]
    runs = service.finished()
    assert (runs[killed], runs[launched]) == ("FAILURE", "SUCCESS")

    def told(run_id: str) -> str:
        return "".join(m["text"] for m in service.webhook.messages if m["alert"]["run_id"] == run_id)

    assert "SIGKILL" in eventually("the crash is told", lambda: told(crashed))
    assert "it was killed, or the machine stopped" in eventually("the dead run is told", lambda: told(killed))


def process_at_work(service: Service) -> str:
    """The id of the process that holds the warehouse."""
    return service.holder().removeprefix("process ").partition(",")[0]


def settings_of(service: Service) -> Settings:
    """What the processes are configured with."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("CLV_CONFIG", "CLV_HOME", "CLV_ALERT_WEBHOOK"):
            patch.setenv(name, service.environment[name])
        return Settings.load()


def interleaved(service: Service, run_ids: set[str]) -> list[str]:
    """Runs between whose tables other runs have written theirs."""
    with service.instance() as instance:
        written = sorted(
            (entry.timestamp, run_id)
            for run_id in run_ids
            for entry in instance.all_logs(run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION)
        )
    stretches = Counter(run_id for run_id, _ in groupby(run_id for _, run_id in written))
    return [run_id for run_id, count in stretches.items() if count > 1]
