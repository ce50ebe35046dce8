"""Who is told of a failure: their secrets come from the environment and never show."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from clv_pipeline_tests.config.files import MINIMAL, error_of, load, with_block

EMAIL = {"to": "data@example.com", "from": "clv@example.com", "host": "mail.example.com"}


def test_alerts_take_their_secrets_from_the_environment_and_never_show_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLV_ALERT_WEBHOOK", "https://chat.example.com/SECRET")
    monkeypatch.setenv("CLV_ALERT_EMAIL_PASSWORD", "SECRET")
    email = {**EMAIL, "username": "clv", "password": "${CLV_ALERT_EMAIL_PASSWORD}"}
    settings = load(tmp_path, with_block(alerts={"webhook": "${CLV_ALERT_WEBHOOK}", "email": email}))
    assert settings.alerts.configured
    assert settings.alerts.webhook is not None
    assert settings.alerts.webhook.get_secret_value() == "https://chat.example.com/SECRET"
    assert settings.alerts.email is not None
    assert (settings.alerts.email.to, settings.alerts.email.encryption) == (["data@example.com"], "starttls")
    assert "SECRET" not in f"{settings!r} {settings} {settings.model_dump_json()}"


def test_who_is_told_does_not_change_the_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOOK", "https://chat.example.com/SECRET")
    told = load(tmp_path, with_block(alerts={"webhook": "${HOOK}"}, storage={"wait_minutes": 5}))
    assert told.config_hash == load(tmp_path, MINIMAL).config_hash


def test_an_empty_webhook_is_none(tmp_path: Path) -> None:
    assert not load(tmp_path, with_block(alerts={"webhook": "${CLV_ALERT_WEBHOOK:-}"})).alerts.configured


@pytest.mark.parametrize(
    ("alerts", "said"),
    [
        ({"webhook": "https://chat.example.com/SECRET"}, "alerts.webhook: is a secret .* write \\${CLV_ALERT_WEBHOOK}"),
        ({"webhook": "${X:-https://chat.example.com/SECRET}"}, "alerts.webhook: is a secret"),
        ({"email": {**EMAIL, "username": "u", "password": "SECRET"}}, "alerts.email.password: is a secret"),
        ({"webhook": "${NOT_AN_ADDRESS}"}, "alerts.webhook: should be an address that starts with https://"),
        ({"email": {**EMAIL, "to": []}}, "alerts.email.to: .* at least 1 item"),
        ({"email": {**EMAIL, "to": ["nobody"]}}, "alerts.email.to: should be an address"),
        ({"email": {**EMAIL, "from": "a@b\nBcc: c@d"}}, "alerts.email.from: should be an address"),
        ({"email": {**EMAIL, "username": "u"}}, "alerts.email: username and password go together"),
        (
            {"email": {**EMAIL, "username": "u", "password": "${NOT_AN_ADDRESS}", "encryption": "none"}},
            "alerts.email: encryption: none would send the password in the clear",
        ),
        ({"email": {**EMAIL, "sender": "x@y"}}, "alerts.email.sender: unknown key .*known here: to, from, host"),
        ({"email": {**EMAIL, "port": 0}}, "alerts.email.port"),
        ({"ui_url": "dagster.example.com"}, "alerts.ui_url"),
    ],
)
def test_mistakes_in_alerts_are_told_without_the_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, alerts: dict[str, Any], said: str
) -> None:
    monkeypatch.setenv("NOT_AN_ADDRESS", "hooks SECRET")
    text = error_of(tmp_path, with_block(alerts=alerts))
    assert re.search(said, text)
    assert "SECRET" not in text
