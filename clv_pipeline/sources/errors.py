"""The one error of this package, and the ways it is worded.

Here belongs what every reader needs to tell a user what is wrong with a source. Third-party exceptions are
wrapped where they are raised, with `from`, so that the cause stays visible while debugging.
"""

import os
import re
from collections.abc import Iterable, Sequence

from clv_pipeline.config.secret_text import censored, is_secret_name
from clv_pipeline.errors import SourceError

_OWNERS = ("AWS_", "AZURE_", "GOOGLE_", "PYICEBERG_")
"""How the variables of the environment begin that are for stores and catalogs."""


def one_error(problems: Sequence[SourceError]) -> SourceError:
    """One error for several problems; the first five are spelled out."""
    shown = list(problems[:5])
    if len(problems) > len(shown):
        shown.append(SourceError(f"… and {len(problems) - len(shown)} more"))
    return SourceError.together(shown)


def first_line(error: Exception) -> str:
    """The first line of a third party's message. The lines below it show statements, paths of copies and data."""
    return (str(error).splitlines() or [type(error).__name__])[0]


def without_secrets(said: str, url: str) -> str:
    """What a library says of a URL, without the secrets that the environment holds for stores and catalogs."""
    held = {name: value for name, value in os.environ.items() if name.startswith(_OWNERS)}
    for value in held.values():
        if "://" in value and "@" in value:
            said = censored(said, value)
    return censored(said, url, [value for name, value in held.items() if is_secret_name(name)])


def listed(names: Iterable[str]) -> str:
    """The first twenty names, quoted and cut to forty characters; `none` if there are none."""
    known = list(names)
    shown = [repr(_shown_name(name if len(name) <= 40 else name[:40] + "…")) for name in known[:20]]
    if len(known) > len(shown):
        shown.append(f"… and {len(known) - len(shown)} more")
    return ", ".join(shown) or "none"


def shape(value: str) -> str:
    """The form in which an error may quote a value: letters as a, digits as 9.

    Errors end up in event logs, and under a wrong mapping any value may be personal data.
    """
    return re.sub(r"[^\W\d_]", "a", re.sub(r"\d", "9", value))


def _shown_name(name: str) -> str:
    """The form in which an error may show a column name: in full, unless it looks like a value of a headerless file."""
    looks_like_a_value = "@" in name or sum(map(str.isdigit, name)) > sum(map(str.isalpha, name))
    return shape(name) if looks_like_a_value else name
