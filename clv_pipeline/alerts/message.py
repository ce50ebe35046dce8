"""One message about one failed run. It leaves the house, so it is made of what may leave: never of what an error
quotes."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from clv_pipeline.text import displayed

_LONGEST_TEXT = 600
_MOST_PROBLEMS = 10


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


def bounded(text: str) -> str:
    """`text` on one line, safe to display, and no longer than a reader wants."""
    line = displayed(" ".join(text.split()))
    return line if len(line) <= _LONGEST_TEXT else f"{line[:_LONGEST_TEXT]} …"
