"""Every error that a user or an operator can do something about; its text says what is wrong, where, and what to do.

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
    ├── ExplanationError
    ├── ExportError
    ├── RegisterError
    ├── ForgetError
    └── AlertError

Other exceptions are mistakes of the code, and end in a traceback.
"""


class ClvError(Exception):
    """The base of all of ours: the text is for whoever can mend it."""


class ConfigError(ClvError):
    """Says what is wrong with a configuration: the file, each key, what was expected and what was found."""


class RequestError(ClvError):
    """What was asked of a command or a run is not possible; the text says what is."""


class ContractError(ClvError):
    """A contract file that cannot be used; the text names the file and what to correct."""


class SourceError(ClvError):
    """A source cannot be read: the text names the file, the cause and what to do about it."""


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
