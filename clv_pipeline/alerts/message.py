"""One message about one failed run: what it says, and how it is sent by webhook and by e-mail.

Where the facts come from is said in `monitoring.py`; here is no Dagster. A message leaves the house, so it holds
no contents of records: `without_contents` cuts them out of error texts that may quote them.
"""

from __future__ import annotations

import logging
import re
import smtplib
import ssl
from collections.abc import Callable, Collection
from dataclasses import asdict, dataclass
from email.message import EmailMessage
from typing import Any

from clv_pipeline.config.alerts import Alerts, Email

TIMEOUT_SECONDS = 10
"""For each step of talking to a receiver."""

_log = logging.getLogger(__name__)

_LONGEST_TEXT = 600
_MOST_PROBLEMS = 10


class AlertError(RuntimeError):
    """A receiver did not take the message; the text says which and why, and holds no secret."""


@dataclass(frozen=True)
class Problem:
    """One thing that went wrong in a run."""

    asset: str
    check: str | None
    """The expectation that failed; None where the step failed for another reason."""
    observed: str
    expected: str | None
    what_to_do: str

    def __str__(self) -> str:
        name = f"{self.asset}.{self.check}" if self.check else self.asset
        expected = f"\n  expected: {self.expected}" if self.expected else ""
        return f"- {name}\n  observed: {self.observed}{expected}\n  to do: {self.what_to_do}"


@dataclass(frozen=True)
class Alert:
    """What is known of a failed run."""

    run_id: str
    job: str
    problems: tuple[Problem, ...]
    published: bool
    """Whether the run had published a new version before it failed."""
    link: str
    """The run in the Dagster UI."""

    @property
    def subject(self) -> str:
        """One line: the job, and where it failed."""
        assets = list(dict.fromkeys(problem.asset for problem in self.problems))
        more = f" and {len(assets) - 1} more" if len(assets) > 1 else ""
        return f"clv_pipeline: {self.job} failed at {assets[0]}{more}"

    @property
    def text(self) -> str:
        """The message for people."""
        shown = [str(problem) for problem in self.problems[:_MOST_PROBLEMS]]
        if len(self.problems) > len(shown):
            shown.append(f"- … and {len(self.problems) - len(shown)} more; the run lists them")
        served = "A new version was published before that." if self.published else "What is published is as it was."
        return "\n".join([self.subject, *shown, served, f"Run {self.run_id}: {self.link} (`make ui`)"])

    @property
    def payload(self) -> dict[str, Any]:
        """The message for a webhook: `text`, which chat tools show, and the same facts as fields of `alert`."""
        return {"text": self.text, "alert": asdict(self)}


def without_contents(text: str, names: Collection[str]) -> str:
    """`text` of an error about a source, without what it quotes from records.

    Quoted text stays where it is one of `names` (columns that the configuration names) or a date format. What
    stands in parentheses is mostly another library's own words, which may hold a whole line of a file: it stays
    only where it is ours.
    """

    def masked(match: re.Match[str]) -> str:
        return match[0] if match[2] in names or match[2].startswith("%") else f"{match[1]}…{match[1]}"

    text = re.sub(r"\((?!mapped to |did you mean |relative paths ).*\)", "(…)", text, flags=re.DOTALL)
    # As Python quotes, with escapes; an apostrophe within a word opens nothing, an open quote ends with the text.
    return re.sub(r"""(?<!\w)(['"])((?:\\.|(?!\1).)*)(?:\1|$)""", masked, text, flags=re.DOTALL)


def bounded(text: str) -> str:
    """`text` on one line, without control characters, and no longer than a reader wants."""
    line = "".join(character if character.isprintable() else " " for character in " ".join(text.split()))
    return line if len(line) <= _LONGEST_TEXT else f"{line[:_LONGEST_TEXT]} …"


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
    """Posts the alert as JSON. Raises AlertError unless the answer has a status of 2xx."""
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
    """Sends the alert as plain text. Raises AlertError unless the server takes it for at least one address."""
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
