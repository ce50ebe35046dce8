"""How a message reaches real receivers on loopback, and what happens when one is down, slow, or says no."""

from __future__ import annotations

import time

import pytest
from pydantic import SecretStr

from clv_pipeline.alerts.receivers import deliver, letters, receivers
from clv_pipeline.alerts.sending import Mail, Post
from clv_pipeline.config.alerts import Alerts, Email
from clv_pipeline.errors import AlertError, AlertRefusedError
from clv_pipeline_tests.helpers.alerts import ALERT
from clv_pipeline_tests.helpers.receivers import DrippingWebhook, Mailbox, Webhook, free_port


def post(url: str) -> Post:
    letter = letters(Alerts(webhook=SecretStr(url)), ALERT)["webhook"]
    assert isinstance(letter, Post)
    return letter


def mail(email: Email) -> Mail:
    letter = letters(Alerts(email=email), ALERT)["email"]
    assert isinstance(letter, Mail)
    return letter


def test_receivers_are_those_that_are_configured(mailbox: Mailbox) -> None:
    assert receivers(Alerts()) == []
    both = Alerts(webhook=SecretStr("https://chat.example.com/x"), email=mailbox.settings())
    assert receivers(both) == list(letters(both, ALERT)) == ["webhook", "email"]


def test_every_receiver_gets_the_message(webhook: Webhook, mailbox: Mailbox) -> None:
    both = Alerts(webhook=SecretStr(webhook.url), email=mailbox.settings())
    assert deliver(letters(both, ALERT)) == {"webhook": None, "email": None}
    assert [message["text"] for message in webhook.messages] == [ALERT.text]
    assert "most_dates_can_be_read" in mailbox.envelopes[0].content.decode()


def test_a_webhook_of_teams_gets_a_card(webhook: Webhook) -> None:
    cards = Alerts(webhook=SecretStr(webhook.url), webhook_format="adaptive_card")
    letters(cards, ALERT)["webhook"].send()
    [message] = webhook.messages
    assert message["attachments"][0]["content"]["type"] == "AdaptiveCard"


def test_a_receiver_that_answers_drop_by_drop_is_given_up_in_time_and_delays_nobody(
    dripping_webhook: DrippingWebhook, mailbox: Mailbox
) -> None:
    both = Alerts(webhook=SecretStr(dripping_webhook.url), email=mailbox.settings())
    started = time.monotonic()
    outcome = deliver(letters(both, ALERT), time_limit=8)
    assert time.monotonic() - started < 20
    assert str(outcome["webhook"]) == "webhook: not done within 8 s"
    assert outcome["email"] is None
    assert len(mailbox.envelopes) == 1


def test_the_mail_goes_to_everybody_and_is_the_same_when_sent_again(mailbox: Mailbox) -> None:
    for _ in range(2):
        mail(mailbox.settings()).send()
    first, again = (envelope.content.decode() for envelope in mailbox.envelopes)
    assert mailbox.envelopes[0].rcpt_tos == ["data@example.com", "night@example.com"]
    assert "Subject: clv_pipeline: nightly_refresh failed at raw_transactions" in first
    assert "Message-ID: <1b9d@clv-pipeline>" in first
    assert "Message-ID: <1b9d@clv-pipeline>" in again
    assert "most_dates_can_be_read" in first


@pytest.mark.parametrize("status", [301, 302, 404, 429, 500])
def test_an_answer_that_is_no_success_is_an_error_and_no_redirect_is_followed(webhook: Webhook, status: int) -> None:
    webhook.status, webhook.headers = status, {"Location": "/elsewhere"}
    with pytest.raises(AlertError, match=f"webhook: answered with status {status}") as error:
        post(webhook.url).send()
    assert not isinstance(error.value, AlertRefusedError)
    assert [path for _, path, _ in webhook.requests] == ["/services/SECRET"]


@pytest.mark.parametrize("status", [400, 413, 415, 422])
def test_an_answer_that_blames_the_message_is_told_apart(webhook: Webhook, status: int) -> None:
    webhook.status = status
    with pytest.raises(AlertRefusedError, match=f"webhook: answered with status {status}"):
        post(webhook.url).send()


def test_an_error_about_a_receiver_holds_no_secret(mailbox: Mailbox) -> None:
    gone = post(f"http://127.0.0.1:{free_port()}/services/SECRET")
    with pytest.raises(AlertError) as web:
        gone.send()
    # This server offers no encryption, so the password is never sent.
    login = mail(mailbox.settings(encryption="starttls", username="clv", password=SecretStr("SECRET")))
    with pytest.raises(AlertError) as server:
        login.send()
    for error in (web.value, server.value):
        assert "SECRET" not in f"{error!r} {error.__cause__!r}"
        assert error.__suppress_context__
    assert str(web.value) == "webhook: not reached (ConnectionError)"
    assert str(server.value) == f"email: 127.0.0.1:{mailbox.port} did not take it (SMTPNotSupportedError)"
    assert "SECRET" not in f"{gone!r} {login!r}"
    assert {name: str(error) for name, error in deliver({"webhook": gone, "email": login}).items()} == {
        "webhook": str(web.value),
        "email": str(server.value),
    }


def test_a_process_that_cannot_send_is_an_error_without_what_it_printed() -> None:
    outcome = deliver({"webhook": Post("http://127.0.0.1:notaport/SECRET", "{}")})
    assert isinstance(outcome["webhook"], AlertError)
    assert "SECRET" not in f"{outcome['webhook']!r} {outcome['webhook'].__cause__!r}"


@pytest.mark.parametrize(("answer", "blamed"), [("554 no", True), ("451 later", False)])
def test_a_mail_server_that_refuses_is_an_error(mailbox: Mailbox, answer: str, blamed: bool) -> None:
    mailbox.answer = answer
    with pytest.raises(AlertError, match="SMTPDataError") as error:
        mail(mailbox.settings()).send()
    assert isinstance(error.value, AlertRefusedError) == blamed
