"""`clv run --select`: Dagster's selection syntax, in which a bare name is a table."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence

import dagster as dg

from clv_pipeline.errors import RequestError, did_you_mean

_EXAMPLES = "`rfm`, `rfm+` (and all that is built from it), `+rfm+1`, `rfm or segments`, `group:segmentation`"

# An attribute with its value, or a name (quoted or plain) that is not followed by a parenthesis.
_TOKEN = re.compile(
    r"""(?P<attribute>\b\w+)\s*:\s*(?:"(?P<quoted>[^"]*)"|(?P<value>[^\s()+"=]+))(?:\s*=\s*(?:"[^"]*"|[^\s()+"]+))?"""
    r"""|"(?P<name_quoted>[^"]*)"|(?<![\w*])(?P<name>(?>[A-Za-z_*][\w*]*))(?!\s*\()"""
)
_WORDS = {"and", "or", "not", "*"}


def selected_tables(text: str, assets: Sequence[dg.AssetsDefinition]) -> list[dg.AssetKey]:
    """The tables that `text` selects, with the other tables of their steps, sorted by name.

    Args:
        text: Dagster's asset selection syntax; `rfm` is read as `key:rfm`.
        assets: the graph.

    Raises:
        RequestError: the selection is invalid, names an unknown table, or selects nothing.
    """
    known = sorted(key.to_user_string() for asset in assets for key in asset.keys)
    stated = _TOKEN.sub(lambda token: _with_key(token, text, known), text)
    try:
        # Dagster warns that parameters are in beta that it uses itself.
        with warnings.catch_warnings(action="ignore", category=dg.BetaWarning):
            keys = dg.AssetSelection.from_string(stated).required_multi_asset_neighbors().resolve(assets)
    except dg.DagsterError as error:
        raise RequestError(f"--select {text}: not a selection in Dagster's syntax, such as {_EXAMPLES}") from error
    if not keys:
        raise RequestError(f"--select {text}: selects no table")
    return sorted(keys)


def _with_key(token: re.Match[str], text: str, known: Sequence[str]) -> str:
    """A token in Dagster's form: a name gets its `key:`.

    Raises:
        RequestError: no table has the name.
    """
    found = token.groupdict()
    if str(found["name"]).lower() in _WORDS:
        return token.group()
    if found["attribute"] not in (None, "key"):
        return token.group()
    names = (found["quoted"], found["value"], found["name_quoted"], found["name"])
    name = next(filter(None, names), "")
    if "*" not in name and name not in known:
        hint = did_you_mean(name, known) or f"; there are {', '.join(known)}"
        raise RequestError(f"--select {text}: there is no table {name!r}{hint}")
    return f'key:"{name}"'
