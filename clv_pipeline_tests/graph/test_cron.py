"""A cron expression is one when Dagster says so, and is refused in the words of clv.yaml."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import pytest
from click.testing import CliRunner

from clv_pipeline.cli.commands import main
from clv_pipeline.config.settings import Schedule, Settings
from clv_pipeline.definitions import build_defs
from clv_pipeline.errors import ConfigError
from clv_pipeline.orchestration.cron import check_schedule

RIGHT = [
    *("0 2 * * *", "*/15 0-6,22 1 JAN-MAR MON", "0 0 1 1 7", "0 22-4 * * *"),
    *("@daily", "0 0 L * *", "0 0 * * 5#2"),
]
WRONG = ["0 2 * * foo", "61 * * * *", "daily", "0 2 * *", "0 2 * * * *", "*/0 * * * *", "0 0 30 2 *", ""]


@pytest.mark.parametrize("cron", RIGHT)
def test_what_dagster_takes_passes_and_becomes_the_schedule(shop_settings: Callable[..., Settings], cron: str) -> None:
    settings = shop_settings(schedule={"cron": cron})
    assert build_defs(settings).resolve_schedule_def("nightly_refresh_schedule").cron_schedule == cron


@pytest.mark.parametrize("cron", WRONG)
def test_what_dagster_refuses_is_told_with_key_value_and_example(
    shop_settings: Callable[..., Settings], cron: str
) -> None:
    settings = shop_settings(schedule={"cron": cron, "review_cron": "0 4 * * SUN"})
    with pytest.raises(ConfigError) as caught:
        build_defs(settings)
    assert str(caught.value) == (
        f"{settings.config_file}:\n  schedule.cron: should be five cron fields (minute, hour, day of the month, month,"
        f" day of the week) such as '0 2 * * *'; found {cron!r}"
    )


def test_both_keys_are_told_at_once(shop_settings: Callable[..., Settings]) -> None:
    with pytest.raises(ConfigError, match=r"schedule\.cron: .*\n  schedule\.review_cron: .* such as '0 4 \* \* 0'"):
        check_schedule(shop_settings(schedule={"cron": "nightly", "review_cron": "weekly"}))


def test_the_defaults_are_right(shop_settings: Callable[..., Settings]) -> None:
    check_schedule(shop_settings(schedule=Schedule().model_dump()))


def test_clv_check_tells_it_before_it_reads_the_source(
    shop_settings: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = shop_settings().config_file
    assert config is not None
    monkeypatch.chdir(config.parent)
    config.write_text(
        "source: {transactions: {path: none.csv, columns: {customer_id: a, ordered_at: b, amount: c}}}\n"
        'schedule: {cron: "0 2 * * foo"}\n'
    )
    done = CliRunner().invoke(main, ["check", "--config", str(config)])
    assert done.exit_code == 1
    assert "schedule.cron: should be five cron fields" in done.stderr


def test_without_a_schedule_in_the_file_dagster_is_not_imported() -> None:
    code = (
        "import sys; from clv_pipeline.config.settings import Settings; "
        "from clv_pipeline.orchestration.cron import check_schedule; check_schedule(Settings.load()); "
        "print('dagster' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
