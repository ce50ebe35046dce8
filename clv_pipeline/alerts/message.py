"""One message about one failed run.

It leaves the machine, so it holds only what may leave: never what an error quotes. Its size is bounded, however much
went wrong: texts are shortened first, and then fewer problems are listed.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from clv_pipeline.config.alerts import WebhookFormat
from clv_pipeline.text import displayed

MOST_BYTES = 20_000
"""Most bytes for a webhook. Teams refuses messages of more than 28 kB; other chat tools take more."""

_LONGEST_TEXT = 600
_LONGEST_NAME = 120
_SIZES = ((_LONGEST_TEXT, 10), (300, 10), (150, 10), (150, 5), (150, 2), (100, 1))
"""Longest text and number of problems listed, from the most to the least. The first pair that fits is sent."""


@dataclass(frozen=True)
class Problem:
    """One thing that went wrong in a run."""

    asset: str
    check: str | None
    """The expectation that failed; None if the step failed for another reason."""
    observed: str
    expected: str | None
    what_to_do: str

    @property
    def name(self) -> str:
        """The place where it went wrong."""
        return f"{self.asset}.{self.check}" if self.check else self.asset

    @property
    def facts(self) -> dict[str, str]:
        """The facts about the problem, by their labels."""
        expected = {"expected": self.expected} if self.expected else {}
        return {"observed": self.observed, **expected, "to do": self.what_to_do}

    def shortened(self, longest: int) -> Problem:
        """The same problem with no text longer than `longest`."""
        return replace(
            self,
            asset=bounded(self.asset, _LONGEST_NAME),
            check=None if self.check is None else bounded(self.check, _LONGEST_NAME),
            observed=bounded(self.observed, longest),
            expected=None if self.expected is None else bounded(self.expected, longest),
            what_to_do=bounded(self.what_to_do, longest),
        )

    def __str__(self) -> str:
        return "\n".join([f"- {self.name}", *(f"  {word}: {text}" for word, text in self.facts.items())])


@dataclass(frozen=True)
class Alert:
    """The facts about a failed run."""

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
        return bounded(f"clv_pipeline: {self.job} failed at {bounded(assets[0], _LONGEST_NAME)}{more}")

    @property
    def text(self) -> str:
        """The message for people."""
        return self._text(self._shown(*_SIZES[0]))

    def body(self, form: WebhookFormat) -> bytes:
        """The message for a webhook, as JSON of at most MOST_BYTES."""
        for longest, most in _SIZES:
            shown = self._shown(longest, most)
            payload = self._card(shown) if form == "adaptive_card" else self._payload(shown)
            body = json.dumps(payload, ensure_ascii=False).encode()
            if len(body) <= MOST_BYTES:
                break
        return body

    def _shown(self, longest: int, most: int) -> list[Problem]:
        return [problem.shortened(longest) for problem in self.problems[:most]]

    def _text(self, shown: Sequence[Problem]) -> str:
        more = [f"- {told}" for told in self._left_out(shown)]
        return "\n".join(
            [self.subject, *map(str, shown), *more, self._served, f"Run {self.run_id}: {self.link} (`make ui`)"]
        )

    def _payload(self, shown: Sequence[Problem]) -> dict[str, Any]:
        """`text`, which chat tools show, and the same facts as fields of `alert`."""
        fields = {
            "run_id": self.run_id,
            "job": self.job,
            "problems": [asdict(problem) for problem in shown],
            "problems_left_out": len(self.problems) - len(shown),
            "published": self.published,
            "link": self.link,
        }
        return {"text": self._text(shown), "alert": fields}

    def _card(self, shown: Sequence[Problem]) -> dict[str, Any]:
        """The message as one Adaptive Card, which a Teams workflow posts."""
        blocks = [_text_block(self.subject, weight="Bolder", size="Medium")]
        for problem in shown:
            facts = [{"title": word, "value": text} for word, text in problem.facts.items()]
            blocks += [_text_block(problem.name, weight="Bolder", separator=True), {"type": "FactSet", "facts": facts}]
        blocks += [_text_block(told) for told in (*self._left_out(shown), self._served, f"Run {self.run_id}")]
        card = {
            "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
            "type": "AdaptiveCard",
            "version": "1.4",
            "body": blocks,
            "actions": [{"type": "Action.OpenUrl", "title": "Open the run", "url": self.link}],
        }
        attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": None, "content": card}
        return {"type": "message", "attachments": [attachment]}

    def _left_out(self, shown: Sequence[Problem]) -> list[str]:
        left_out = len(self.problems) - len(shown)
        return [f"… and {left_out} more; the run lists them"] if left_out else []

    @property
    def _served(self) -> str:
        return "A new version was published before that." if self.published else "What is published is as it was."


def _text_block(text: str, **looks: object) -> dict[str, Any]:
    return {"type": "TextBlock", "text": text, "wrap": True, **looks}


def bounded(text: str, longest: int = _LONGEST_TEXT) -> str:
    """`text` on one line, safe to display, and no longer than `longest`."""
    line = displayed(" ".join(text.split()))
    return line if len(line) <= longest else f"{line[: longest - 2]} …"
