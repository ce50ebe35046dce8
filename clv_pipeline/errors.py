"""Every error that a user or an operator can fix, and the words that they share.

    ClvError
    ├── ConfigError
    ├── RequestError
    ├── ContractError
    ├── SourceError
    ├── WarehouseBusyError
    ├── StorageError
    ├── GateError
    ├── ClusterError
    ├── PublicationError
    ├── PictureError
    ├── ExplanationError
    ├── ExportError
    ├── CampaignError
    ├── RegisterError
    ├── ForgetError
    └── AlertError
        └── AlertRefusedError

Each error says what is wrong and where, what it quotes, and what to do. Other exceptions are bugs, and end in a
traceback.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import ClassVar, Self


class ClvError(Exception):
    """The base of all our errors. Its `str` holds all three fields, for the terminal and the run's page.

    Attributes:
        what: what is wrong and where. These words may leave the machine: they hold names of files, tables and
            settings, and nothing that a file or a credential holds.
        quoted: text from a file, a credential or another library. It never leaves the machine.
        to_do: what to do about it, if `what` does not say it. It may leave the machine.
    """

    afterwards: ClassVar[str] = "then run again"

    def __init__(self, what: str, *, quoted: str = "", to_do: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.quoted = quoted
        self.to_do = to_do
        self._several: tuple[Self, ...] = ()

    @classmethod
    def together(cls, errors: Sequence[Self]) -> Self:
        """One error for several, each on its own line; a single error is returned unchanged."""
        if len(errors) == 1:
            return errors[0]
        one = cls(
            "; ".join(error.what for error in errors),
            quoted="; ".join(error.quoted for error in errors if error.quoted),
            to_do="; ".join(dict.fromkeys(error.to_do for error in errors if error.to_do)),
        )
        one._several = tuple(errors)
        one.__cause__ = next((error.__cause__ for error in errors if error.__cause__), None)
        return one

    @property
    def each(self) -> tuple[Self, ...]:
        """The errors that it stands for; itself, if it is one."""
        return self._several or (self,)

    @property
    def remedy(self) -> str:
        """The remedy, for a message that does not hold the whole text."""
        return f"{self.to_do or 'do what the text says'}; {self.afterwards}"

    def __str__(self) -> str:
        if self._several:
            return "\n".join(map(str, self._several))
        told = f"{self.what} ({self.quoted})" if self.quoted else self.what
        return f"{told}; {self.to_do}" if self.to_do else told


class ConfigError(ClvError):
    """A configuration is wrong; the text names the file, each key, and the expected and found values."""


class RequestError(ClvError):
    """A command or a run cannot do what was requested; the text says what is possible."""


class ContractError(ClvError):
    """A contract file cannot be used; the text names the file and the correction."""


class SourceError(ClvError):
    """A source cannot be read; the text names the file, the cause and the remedy."""

    afterwards = "`clv check` shows more; then run again"


class WarehouseBusyError(ClvError):
    """Another process works on the warehouse; the text names it."""


class StorageError(ClvError):
    """The warehouse cannot be read or written; the text says what to do. The published version is not affected."""


class GateError(ClvError):
    """A table must not be built now; the text names the input that prevents it."""


class ClusterError(ClvError):
    """Spark cannot be used; the text says what is missing."""


class PublicationError(ClvError):
    """A publication must not or could not be written; the published version stays as it was."""


class PictureError(ClvError):
    """A picture that could not be drawn, and why. Whoever asked for it goes on without it, and says so."""


class ExplanationError(ClvError):
    """Nothing is published about a customer or a horizon; the text says what is there instead."""


class ExportError(ClvError):
    """A list cannot be written; the text says what is there instead, or what to do."""


class CampaignError(ClvError):
    """A campaign cannot be started or removed; the text says why. Nothing was recorded."""


class RegisterError(ClvError):
    """The register of forgotten customers cannot be used; the text says what to restore."""


class ForgetError(ClvError):
    """Nobody was erased, or not everywhere; the text says what to do."""


class AlertError(ClvError):
    """A receiver did not accept the message; the text says which and why, and holds no secret."""


class AlertRefusedError(AlertError):
    """A receiver blames the message itself, and would refuse it again."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?` for the known name most similar to `name`, ignoring case; otherwise empty."""
    by_lower = {candidate.lower(): candidate for candidate in known}
    near = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=0.5)
    return f"; did you mean {by_lower[near[0]]!r}?" if near else ""
