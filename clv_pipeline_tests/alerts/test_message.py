"""What a message about a failed run says, what it never says, and what happens when a receiver is down."""

from __future__ import annotations

import pytest
from pydantic import SecretStr

from clv_pipeline.alerts.message import Alert, Problem, bounded
from clv_pipeline.alerts.receivers import receivers, send_email, send_webhook
from clv_pipeline.config.alerts import Alerts
from clv_pipeline.errors import AlertError
from clv_pipeline_tests.helpers.receivers import Mailbox, Webhook, free_port

ALERT = Alert(
    run_id="1b9d",
    job="nightly_refresh",
    problems=(
        Problem(
            "raw_transactions", "most_dates_can_be_read", "9 of 10 rows unexpected", "95 % readable", "mend the file"
        ),
    ),
    published=False,
    link="http://127.0.0.1:3000/runs/1b9d",
)


def test_the_webhook_gets_a_text_for_people_and_the_same_as_fields(webhook: Webhook) -> None:
    send_webhook(webhook.url, ALERT)
    [message] = webhook.messages
    assert message["text"] == ALERT.text
    assert message["alert"]["run_id"] == "1b9d"
    assert message["alert"]["problems"] == [
        {
            "asset": "raw_transactions",
            "check": "most_dates_can_be_read",
            "observed": "9 of 10 rows unexpected",
            "expected": "95 % readable",
            "what_to_do": "mend the file",
        }
    ]


def test_the_text_has_everything_to_act_on() -> None:
    assert ALERT.text == (
        "clv_pipeline: nightly_refresh failed at raw_transactions\n"
        "- raw_transactions.most_dates_can_be_read\n"
        "  observed: 9 of 10 rows unexpected\n"
        "  expected: 95 % readable\n"
        "  to do: mend the file\n"
        "What is published is as it was.\n"
        "Run 1b9d: http://127.0.0.1:3000/runs/1b9d (`make ui`)"
    )


def test_many_problems_make_one_message_of_bounded_length() -> None:
    many = Alert("1b9d", "nightly_refresh", tuple(Problem(f"t{n}", None, "x", None, "y") for n in range(40)), True, "")
    assert many.subject == "clv_pipeline: nightly_refresh failed at t0 and 39 more"
    assert "… and 30 more" in many.text
    assert "A new version was published" in many.text


def test_the_mail_goes_to_everybody_and_is_the_same_when_sent_again(mailbox: Mailbox) -> None:
    for _ in range(2):
        send_email(mailbox.settings(), ALERT)
    first, again = (envelope.content.decode() for envelope in mailbox.envelopes)
    assert mailbox.envelopes[0].rcpt_tos == ["data@example.com", "night@example.com"]
    assert "Subject: clv_pipeline: nightly_refresh failed at raw_transactions" in first
    assert "Message-ID: <1b9d@clv-pipeline>" in first
    assert "Message-ID: <1b9d@clv-pipeline>" in again
    assert "most_dates_can_be_read" in first


@pytest.mark.parametrize("status", [301, 302, 400, 404, 500])
def test_an_answer_that_is_no_success_is_an_error_and_no_redirect_is_followed(webhook: Webhook, status: int) -> None:
    webhook.status, webhook.headers = status, {"Location": "/elsewhere"}
    with pytest.raises(AlertError, match=f"webhook: answered with status {status}"):
        send_webhook(webhook.url, ALERT)
    assert [path for _, path, _ in webhook.requests] == ["/services/SECRET"]


def test_an_error_about_a_receiver_holds_no_secret(mailbox: Mailbox) -> None:
    gone = f"http://127.0.0.1:{free_port()}/services/SECRET"
    with pytest.raises(AlertError) as web:
        send_webhook(gone, ALERT)
    # This server offers no encryption, so the password is never sent.
    login = mailbox.settings(encryption="starttls", username="clv", password=SecretStr("SECRET"))
    with pytest.raises(AlertError) as mail:
        send_email(login, ALERT)
    for error in (web.value, mail.value):
        assert "SECRET" not in f"{error!r} {error.__cause__!r}"
        assert error.__suppress_context__
    assert str(web.value) == "webhook: not reached (ConnectionError)"
    assert str(mail.value) == f"email: 127.0.0.1:{mailbox.port} did not take it (SMTPNotSupportedError)"


def test_a_mail_server_that_refuses_is_an_error(mailbox: Mailbox) -> None:
    mailbox.answer = "554 no"
    with pytest.raises(AlertError, match="SMTPDataError"):
        send_email(mailbox.settings(), ALERT)


def test_receivers_are_those_that_are_configured(mailbox: Mailbox) -> None:
    assert receivers(Alerts()) == {}
    both = Alerts(webhook=SecretStr("https://chat.example.com/x"), email=mailbox.settings())
    assert sorted(receivers(both)) == ["email", "webhook"]


def test_a_text_is_one_bounded_line() -> None:
    assert bounded("a\n\tb\x1b[31m\x00c") == r"a b\u001b[31m\u0000c"
    assert len(bounded("x" * 10_000)) < 700
