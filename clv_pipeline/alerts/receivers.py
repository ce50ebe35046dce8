"""How a message is sent: by webhook and by e-mail."""

from __future__ import annotations

import logging
import smtplib
import ssl
from collections.abc import Callable
from email.message import EmailMessage

from clv_pipeline.alerts.message import Alert
from clv_pipeline.config.alerts import Alerts, Email
from clv_pipeline.errors import AlertError

TIMEOUT_SECONDS = 10
"""For each step of talking to a receiver."""

_log = logging.getLogger(__name__)


def receivers(alerts: Alerts) -> dict[str, Callable[[Alert], None]]:
    """How to send to each configured receiver, by its name. Each raises AlertError."""
    found: dict[str, Callable[[Alert], None]] = {}
    webhook, email = alerts.webhook, alerts.email
    if webhook is not None:
        found["webhook"] = lambda alert: send_webhook(webhook.get_secret_value(), alert)
    if email is not None:
        found["email"] = lambda alert: send_email(email, alert)
    return found


def send_webhook(url: str, alert: Alert) -> None:
    """Post the alert as JSON.

    Raises:
        AlertError: the answer has no status of 2xx, or there is none.
    """
    import requests

    try:
        # A redirected POST arrives as a GET without the message, and would look like a success.
        answer = requests.post(url, json=alert.payload, timeout=TIMEOUT_SECONDS, allow_redirects=False)
    except requests.RequestException as error:
        # The text of the error and its causes hold the address, which is a secret.
        raise AlertError(f"webhook: not reached ({type(error).__name__})") from None
    if not 200 <= answer.status_code < 300:
        raise AlertError(f"webhook: answered with status {answer.status_code}")


def send_email(email: Email, alert: Alert) -> None:
    """Send the alert as plain text.

    Raises:
        AlertError: the server does not take it for any address.
    """
    message = EmailMessage()
    message["Subject"] = alert.subject
    message["From"] = email.sender
    message["To"] = ", ".join(email.to)
    # Always the same for one run, so that a mail that is sent twice is seen once.
    message["Message-ID"] = f"<{alert.run_id}@clv-pipeline>"
    message.set_content(alert.text)
    context = ssl.create_default_context()
    try:
        connection = (
            smtplib.SMTP_SSL(email.host, email.port, timeout=TIMEOUT_SECONDS, context=context)
            if email.encryption == "tls"
            else smtplib.SMTP(email.host, email.port, timeout=TIMEOUT_SECONDS)
        )
        with connection as server:
            if email.encryption == "starttls":
                server.starttls(context=context)
            if email.username is not None and email.password is not None:
                server.login(email.username, email.password.get_secret_value())
            refused = server.send_message(message)
    except (OSError, smtplib.SMTPException) as error:
        # An answer of the server is its own words and may repeat the credentials.
        raise AlertError(f"email: {email.host}:{email.port} did not take it ({type(error).__name__})") from None
    if refused:
        # No error: it would be sent to the others again.
        _log.warning("%s:%s refused %s of %s addresses", email.host, email.port, len(refused), len(email.to))
