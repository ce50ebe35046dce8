"""Who gets a message, and how it is delivered: to all receivers in parallel, and to each within a bounded time.

A timeout counts from one byte to the next. So a receiver that answers byte by byte, or a name server that never
answers, would block the sender. A process of its own therefore sends each message and is killed when its time is over.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from clv_pipeline.alerts import sending
from clv_pipeline.alerts.message import Alert
from clv_pipeline.alerts.sending import Letter, Mail, Post
from clv_pipeline.config.alerts import Alerts
from clv_pipeline.errors import AlertError, AlertRefusedError

TIME_LIMIT_SECONDS = 20.0
"""Time limit of a whole delivery."""

_ROOT = Path(__file__).parents[2]
_log = logging.getLogger(__name__)


def receivers(alerts: Alerts) -> list[str]:
    """The names of the configured receivers."""
    return [name for name in ("webhook", "email") if getattr(alerts, name) is not None]


def letters(alerts: Alerts, alert: Alert) -> dict[str, Letter]:
    """The message for each configured receiver, by its name."""
    found: dict[str, Letter] = {}
    if alerts.webhook is not None:
        found["webhook"] = Post(alerts.webhook.get_secret_value(), alert.body(alerts.webhook_format).decode())
    if (email := alerts.email) is not None:
        found["email"] = Mail(
            host=email.host,
            port=email.port,
            encryption=email.encryption,
            sender=email.sender,
            to=email.to,
            username=email.username,
            password=None if email.password is None else email.password.get_secret_value(),
            subject=alert.subject,
            # The id is the same for every mail about a run, so that a mail that is sent twice is shown once.
            message_id=f"<{alert.run_id}@clv-pipeline>",
            text=alert.text,
        )
    return found


def deliver(messages: Mapping[str, Letter], *, time_limit: float = TIME_LIMIT_SECONDS) -> dict[str, AlertError | None]:
    """Send all messages at the same time. Returns the error of each, or None, by the receiver's name."""
    if not messages:
        return {}
    with ThreadPoolExecutor(len(messages)) as side_by_side:
        outcomes = side_by_side.map(partial(_outcome, time_limit=time_limit), messages, messages.values())
        return dict(zip(messages, outcomes, strict=True))


def _outcome(name: str, letter: Letter, *, time_limit: float) -> AlertError | None:
    path = os.pathsep.join(filter(None, [str(_ROOT), os.environ.get("PYTHONPATH")]))
    try:
        # -P: the current folder may hold anything. The letter holds secrets, so it is not passed as an argument.
        done = subprocess.run(  # noqa: S603
            [sys.executable, "-P", "-m", sending.__name__],
            input=sending.written(letter),
            capture_output=True,
            text=True,
            timeout=time_limit,
            env={**os.environ, "PYTHONPATH": path},
        )
    except subprocess.TimeoutExpired:
        # The cause is left out because it holds the letter.
        return AlertError(f"{name}: not done within {time_limit:g} s")
    if done.returncode != 0:
        # Its output is left out because it may hold the address or the password.
        return AlertError(f"{name}: the process that sends it ended with status {done.returncode}")
    told = json.loads(done.stdout)
    if "refused" in told:
        return AlertRefusedError(told["refused"])
    if "error" in told:
        return AlertError(told["error"])
    if told["note"]:
        _log.warning("%s", told["note"])
    return None
