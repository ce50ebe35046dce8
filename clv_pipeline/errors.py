"""Every error that a user or an operator can do something about, and the words that they share.

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
    ├── RegisterError
    ├── ForgetError
    └── AlertError

Each says what is wrong and where, what it quotes, and what to do. Other exceptions are mistakes of the code, and end
in a traceback.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import ClassVar, Self


class ClvError(Exception):
    """The base of all of ours. `str` of it holds all three fields, for the terminal and the run's page.

    Attributes:
        what: what is wrong and where. These words may leave the machine: they hold names of files, tables and
            settings, and nothing that a file or a credential holds.
        quoted: what a file, a credential or another library says. It never leaves the machine.
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
        """One error for several, each told on a line of its own; the only one as it is."""
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
    def remedy(self) -> str:
        """What to do, for a message that does not hold the whole text."""
        return f"{self.to_do or 'do what the text says'}; {self.afterwards}"

    def __str__(self) -> str:
        if self._several:
            return "\n".join(map(str, self._several))
        told = f"{self.what} ({self.quoted})" if self.quoted else self.what
        return f"{told}; {self.to_do}" if self.to_do else told


class ConfigError(ClvError):
    """Says what is wrong with a configuration: the file, each key, what was expected and what was found."""


class RequestError(ClvError):
    """What was asked of a command or a run is not possible; the text says what is."""


class ContractError(ClvError):
    """A contract file that cannot be used; the text names the file and what to correct."""


class SourceError(ClvError):
    """A source cannot be read: the text names the file, the cause and what to do about it."""

    afterwards = "`clv check` shows more; then run again"


class WarehouseBusyError(ClvError):
    """Another process works on the warehouse; the text names it."""


class StorageError(ClvError):
    """The warehouse cannot be read or written; the text says what to do. What is served is not concerned."""


class GateError(ClvError):
    """A table must not be built now; the text says which input stands against it."""


class ClusterError(ClvError):
    """Spark cannot be used; the text says what is missing."""


class PublicationError(ClvError):
    """A publication that must not or could not be made; what is served stays as it was."""


class PictureError(ClvError):
    """A picture that could not be drawn, and why. Whoever asked for it goes on without it, and says so."""


class ExplanationError(ClvError):
    """A customer or a horizon that nothing is published about; the text says what there is instead."""


class ExportError(ClvError):
    """A list that cannot be made; the text says what there is instead, or what to do."""


class RegisterError(ClvError):
    """The register of forgotten customers cannot be used; the text says what to restore."""


class ForgetError(ClvError):
    """Nobody was erased, or not everywhere; the text says what to do."""


class AlertError(ClvError):
    """A receiver did not take the message; the text says which and why, and holds no secret."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?` for the known name that is most like `name`, in any case of letters, or nothing."""
    by_lower = {candidate.lower(): candidate for candidate in known}
    near = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=0.5)
    return f"; did you mean {by_lower[near[0]]!r}?" if near else ""
