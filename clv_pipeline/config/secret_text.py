"""The one place that knows what a secret looks like in a URL: what refuses it in a file and what cuts it out of a text.

A secret is whatever stands behind a name such as password, at any depth of a query string (odbc_connect=…PWD=…); the
password before a host; and whatever looks like a token, wherever it stands, also in the place of the user. Secrets
belong into the environment, as `${NAME}`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import partial
from urllib.parse import quote, quote_plus, unquote_plus

_NAMES = re.compile(
    r"passw|pwd|passphrase|^pass$|secret|token|api_?key|access_?key|account_?key|shared_?key|private_?key|storage_?key"
    r"|sas_?key|credential|^sig(nature)?$|signature$|jwt|^auth$|authorization|^code$",
    re.IGNORECASE,
)
"""Names of parameters whose value is a secret; spaces, dots and hyphens are taken for underscores."""

_NAMES_OF_FILES = re.compile(r"(path|file|dir|url|uri|type|expires?|lifetime|timeout|name|id)$", re.IGNORECASE)
"""How names end that only sound like the above: they say where a secret is, or of which kind."""

_TOKEN = re.compile(
    r"(gh[pousr]_|github_pat_|glpat-|xox[a-z]-|sk[-_]|pk_live_|dapi|dop_v1_|AKIA|ASIA|AIza|ya29\.|eyJ|hvs\.|npg_|pypi-)"
    r"[\w.+/=-]{8,}|-----BEGIN[\s\S]+"
)
"""Tokens that say by their beginning what they are."""

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_IN_BRACES = r"\{(?:\$\{\w+\}|[^{}])*\}"
_READINGS = (re.compile(r"[^?&#]+"), re.compile(rf"(?:{_IN_BRACES}|[^;])+"), re.compile(r"[^\s,]+"))
"""How a text may be cut into `name=value`: as a query string; as parameters of Spark or ODBC; as libpq has them. Each
is tried, because a secret may hold what separates in another."""

_NAME = re.compile(r"\s*[^?&#;\s,({/=]{1,60}\s*")
_NOTHING_WRITTEN = re.compile(r"(\$\{[A-Za-z_][A-Za-z0-9_]*\})*([;&#\s,][\s\S]*)?")
"""Nothing but references, and perhaps what another reading takes for the next parameter."""
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_ON_DISK = ("sqlite", "duckdb", "file")
"""Schemes whose URLs are a path: a name of a file is no token, however it looks."""
_LEVELS = 3
"""How deep a value may itself be a list of pairs, and percent-encoded again."""


def is_secret_name(name: str) -> bool:
    """Whether a setting of this name holds a secret."""
    plain = re.sub(r"[\s.-]+", "_", unquote_plus(name)).strip("_")
    return bool(_NAMES.search(plain)) and not _NAMES_OF_FILES.search(plain)


def looks_like_a_token(text: str) -> bool:
    """Whether a text is a secret by its looks: a known kind of token, or long and as if by chance."""
    if _TOKEN.match(text):
        return True
    if len(text) < 16 or _UUID.fullmatch(text) or not re.fullmatch(r"[\w+/=~-]+", text, re.ASCII):
        return False
    # Words and years are joined by few of these; what a machine made up has one at every third character.
    return len(re.findall(r"(?<=[A-Za-z])(?=\d)|(?<=\d)(?=[A-Za-z])", text)) >= 4


def without_credentials(url: str) -> str:
    """A URL as errors and labels may show it: no user, no password, no query string, no fragment, no token."""
    scheme, separator, rest = url.partition("://")
    if not separator:
        return url
    # A password may itself hold an unescaped @ or ?, so everything up to the last @ goes first.
    rest = rest.rpartition("@")[2]
    shown = re.split(r"[?#]", rest, maxsplit=1)[0]
    if scheme.partition("+")[0] not in _ON_DISK:
        # Spark's parameters stand behind a semicolon.
        host, *segments = shown.partition(";")[0].split("/")
        shown = "/".join([host, *("…" if looks_like_a_token(segment) else segment for segment in segments)])
    return scheme + separator + shown


def holds_a_secret(text: str) -> bool:
    """Whether a URL, or one in a text, holds a secret as it stands in a file; a `${VAR}` without a default is none."""
    return any(is_written(secret) for url in _urls_in(text) for secret in _secrets_of(url, with_user=False))


def is_written(secret: str) -> bool:
    """Whether a secret stands in the file itself, and not as `${VAR}`."""
    return not _NOTHING_WRITTEN.fullmatch(secret)


def censored(said: str, url: str, further: Iterable[str] = ()) -> str:
    """What somebody else says about a URL, without it and without whatever of it may be a secret, in any spelling.

    Users go too: a token may stand in their place. So do the `further` secrets.
    """
    secrets = {*_secrets_of(url, with_user=True), *further}
    if "://" in url:
        secrets |= {url, url.partition("://")[2].rpartition("@")[0]}
    spellings = {spelling for secret in secrets for spelling in _spellings(secret)}
    # The longest first, because one may be a part of another.
    for spelling in sorted(filter(None, spellings), key=len, reverse=True):
        # A user called `me` is cut out where it is a word, not out of `timeout`.
        said = re.sub(rf"(?<!\w){re.escape(spelling)}(?!\w)" if len(spelling) < 4 else re.escape(spelling), "…", said)
    return said


def _secrets_of(url: str, *, with_user: bool) -> Iterator[str]:
    """Whatever of a URL is, or may be, a secret."""
    scheme, _, rest = url.partition("://")
    credentials, _, address = rest.rpartition("@")
    user, _, password = credentials.partition(":")
    yield password
    if with_user or looks_like_a_token(unquote_plus(user)):
        yield user
    if scheme.partition("+")[0] not in _ON_DISK:
        yield from filter(looks_like_a_token, re.split(r"[/?#;]", address))
    yield from _secret_values(rest)


def _urls_in(text: str) -> list[str]:
    """The URLs in a text: the text itself, or, of a query, what stands in its string literals."""
    if _URL.match(text):
        return [text]
    return [literal[found.start() :] for literal in re.split(r"['\"]", text) if (found := _URL.search(literal))]


def _secret_values(text: str, level: int = 1) -> Iterator[str]:
    """Values of secret names, and tokens, among the `name=value` pairs of a text, at any depth."""
    for reading in _READINGS:
        for pair in reading.findall(text):
            name, found, value = pair.partition("=")
            bare = _unquoted(value.strip())
            decoded = unquote_plus(bare)
            if found and _NAME.fullmatch(name) and (is_secret_name(name) or looks_like_a_token(decoded)):
                yield bare
            if level < _LEVELS and "=" in decoded:
                yield from _secret_values(decoded, level + 1)


def _unquoted(value: str) -> str:
    return value[1:-1] if re.fullmatch(rf"{_IN_BRACES}|'[^']*'|\"[^\"]*\"", value) else value


def _spellings(secret: str) -> set[str]:
    """How a driver may write a part of a URL: as it stands, decoded, encoded, within a representation."""
    plain = {secret, unquote_plus(secret), unquote_plus(secret.replace("+", "%2B"))}
    plain |= {unquote_plus(text) for text in plain}
    encoded = {spell(text) for text in plain for spell in (quote, quote_plus, partial(quote, safe=""))}
    return plain | encoded | {repr(text)[1:-1] for text in plain}
