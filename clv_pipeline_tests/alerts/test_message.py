"""What a message about a failed run says, and that it stays within its size."""

from __future__ import annotations

import json
from typing import Any, get_args

import pytest

from clv_pipeline.alerts.message import MOST_BYTES, Alert, Problem, bounded
from clv_pipeline.config.alerts import WebhookFormat
from clv_pipeline_tests.helpers.alerts import ALERT


def problems(many: int, text: str = "x") -> tuple[Problem, ...]:
    return tuple(Problem(f"t{number}", "check", text, text, text) for number in range(many))


def alert(many: int, text: str = "x") -> Alert:
    return Alert("1b9d", "nightly_refresh", problems(many, text), True, "http://127.0.0.1:3000/runs/1b9d")


def test_the_webhook_gets_a_text_for_people_and_the_same_as_fields() -> None:
    message = json.loads(ALERT.body("text"))
    assert message["text"] == ALERT.text
    assert message["alert"] == {
        "run_id": "1b9d",
        "job": "nightly_refresh",
        "problems": [
            {
                "asset": "raw_transactions",
                "check": "most_dates_can_be_read",
                "observed": "9 of 10 rows unexpected",
                "expected": "95 % readable",
                "what_to_do": "mend the file",
            }
        ],
        "problems_left_out": 0,
        "published": False,
        "link": "http://127.0.0.1:3000/runs/1b9d",
    }


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


def test_the_card_for_teams_says_the_same() -> None:
    [attachment] = json.loads(ALERT.body("adaptive_card"))["attachments"]
    assert attachment["contentType"] == "application/vnd.microsoft.card.adaptive"
    card = attachment["content"]
    assert (card["type"], card["version"]) == ("AdaptiveCard", "1.4")
    assert [block["text"] for block in card["body"] if block["type"] == "TextBlock"] == [
        "clv_pipeline: nightly_refresh failed at raw_transactions",
        "raw_transactions.most_dates_can_be_read",
        "What is published is as it was.",
        "Run 1b9d",
    ]
    [facts] = [block["facts"] for block in card["body"] if block["type"] == "FactSet"]
    assert {fact["title"]: fact["value"] for fact in facts} == {
        "observed": "9 of 10 rows unexpected",
        "expected": "95 % readable",
        "to do": "mend the file",
    }
    assert card["actions"] == [{"type": "Action.OpenUrl", "title": "Open the run", "url": ALERT.link}]


def test_many_problems_make_one_message_that_counts_the_others() -> None:
    many = alert(40)
    assert many.subject == "clv_pipeline: nightly_refresh failed at t0 and 39 more"
    assert "… and 30 more" in many.text
    assert "A new version was published" in many.text
    message = json.loads(many.body("text"))
    assert (len(message["alert"]["problems"]), message["alert"]["problems_left_out"]) == (10, 30)
    assert "… and 30 more; the run lists them" in str(json.loads(many.body("adaptive_card")))


@pytest.mark.parametrize("form", get_args(WebhookFormat))
@pytest.mark.parametrize("text", ["x" * 100_000, "ж" * 5_000, "🙂" * 5_000, '"\\' * 5_000, "\x00\udcff\n" * 5_000])
@pytest.mark.parametrize("many", [1, 10, 5_000])
def test_however_much_went_wrong_the_message_is_whole_and_within_its_size(
    form: WebhookFormat, text: str, many: int
) -> None:
    body = alert(many, text).body(form)
    assert len(body) <= MOST_BYTES
    message = json.loads(body)
    assert "t0.check" in str(message)
    assert many != 5_000 or "more; the run lists them" in str(message)


def test_names_of_any_length_stay_within_the_size() -> None:
    long = Problem("t" * 50_000, "c" * 50_000, "x", None, "y")
    body = Alert("1b9d", "nightly_refresh", (long,) * 10, True, "").body("text")
    assert len(body) <= MOST_BYTES


def test_no_problem_is_left_out_before_its_text_is_shortened() -> None:
    message: Any = json.loads(alert(10, "ж" * 600).body("text"))["alert"]
    assert message["problems_left_out"] == 0
    assert {len(problem["observed"]) for problem in message["problems"]} == {150}


def test_a_text_is_one_bounded_line() -> None:
    assert bounded("a\n\tb\x1b[31m\x00c") == r"a b\u001b[31m\u0000c"
    assert len(bounded("x" * 10_000)) == 600
