"""Sending one message to one receiver, by webhook or by mail. Run as a module, it sends the message on its input.

Each message is sent by a process of its own. `receivers.py` starts it and kills it when its time is over. So this
module imports little, and reports its outcome in a line of JSON.
"""

from __future__ import annotations

import json
import smtplib
import ssl
import sys
from dataclasses import asdict, dataclass, field
from email.message import EmailMessage

from clv_pipeline.errors import AlertError, AlertRefusedError

TIMEOUT_SECONDS = 10
"""Timeout of each step of the exchange with a receiver."""

_OF_THE_MESSAGE = (400, 413, 415, 422)
"""Statuses that blame the message, so that it would be refused again."""
_TOO_LARGE = 552
"""Status of a mail server for a mail that is too large."""


@dataclass(frozen=True)
class Post:
    """A message for a webhook."""

    url: str = field(repr=False)
    body: str

    def send(self) -> str:
        """Post the message. Returns '', because there is nothing to report.

        Raises:
            AlertRefusedError: the receiver blames the message.
            AlertError: the receiver was not reached, or its status is not 2xx.
        """
        import requests

        try:
            # A redirected POST arrives as a GET without the message, and would look like a success.
            answer = requests.post(
                self.url,
                data=self.body.encode(),
                headers={"Content-Type": "application/json"},
                timeout=TIMEOUT_SECONDS,
                allow_redirects=False,
            )
        except requests.RequestException as error:
            # The text of the error and its causes contain the address, which is a secret.
            raise AlertError(f"webhook: not reached ({type(error).__name__})") from None
        if not 200 <= answer.status_code < 300:
            kind = AlertRefusedError if answer.status_code in _OF_THE_MESSAGE else AlertError
            raise kind(f"webhook: answered with status {answer.status_code}")
        return ""


@dataclass(frozen=True)
class Mail:
    """A message for a mail server."""

    host: str
    port: int
    encryption: str
    sender: str
    to: list[str]
    username: str | None
    password: str | None = field(repr=False)
    subject: str
    message_id: str
    text: str

    def send(self) -> str:
        """Send the message as plain text. Returns what to report although the server accepted it.

        Raises:
            AlertRefusedError: the server blames the message.
            AlertError: the server was not reached, or accepts the message for none of the addresses.
        """
        try:
            refused = self._handed_over(ssl.create_default_context())
        except (OSError, smtplib.SMTPException) as error:
            # The server's answer is free text and may repeat the credentials.
            kind = AlertRefusedError if _blames_the_message(error) else AlertError
            raise kind(f"email: {self.host}:{self.port} did not take it ({type(error).__name__})") from None
        # Not an error: otherwise the mail would be sent to the other addresses again.
        return f"{self.host}:{self.port} refused {refused} of {len(self.to)} addresses" if refused else ""

    def _handed_over(self, context: ssl.SSLContext) -> int:
        """Hand the message over to the server. Returns the number of addresses that it refused."""
        connection = (
            smtplib.SMTP_SSL(self.host, self.port, timeout=TIMEOUT_SECONDS, context=context)
            if self.encryption == "tls"
            else smtplib.SMTP(self.host, self.port, timeout=TIMEOUT_SECONDS)
        )
        with connection as server:
            if self.encryption == "starttls":
                server.starttls(context=context)
            if self.username is not None and self.password is not None:
                server.login(self.username, self.password)
            return len(server.send_message(self._written()))

    def _written(self) -> EmailMessage:
        message = EmailMessage()
        message["Subject"] = self.subject
        message["From"] = self.sender
        message["To"] = ", ".join(self.to)
        message["Message-ID"] = self.message_id
        message.set_content(self.text)
        return message


def _blames_the_message(error: Exception) -> bool:
    if isinstance(error, smtplib.SMTPDataError):
        return error.smtp_code >= 500
    return isinstance(error, smtplib.SMTPSenderRefused) and error.smtp_code == _TOO_LARGE


Letter = Post | Mail


def written(letter: Letter) -> str:
    """The letter in the form in which this module reads it from its input."""
    return json.dumps({type(letter).__name__: asdict(letter)})


def main() -> None:
    """Send the letter on standard input, and print the outcome: `{}`, or what to report."""
    [(kind, fields)] = json.loads(sys.stdin.read()).items()
    letter = {"Post": Post, "Mail": Mail}[kind](**fields)
    try:
        told = {"note": letter.send()}
    except AlertError as error:
        told = {"refused" if isinstance(error, AlertRefusedError) else "error": error.what}
    print(json.dumps(told))


if __name__ == "__main__":
    main()
