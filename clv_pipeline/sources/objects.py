"""Files in object stores (`s3://`, `gs://`, `az://`) and on web servers (`https://`).

Here belongs everything that uses the network for them: listing, fetching, and what went wrong in words. A whole object
is fetched, never a range of it. Its ETag is its stamp: an object that has the ETag of the last load is not fetched.
Credentials come from the environment alone. obstore is imported only where such a URL is configured.
"""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from functools import cache
from glob import has_magic
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from clv_pipeline.errors import SourceError
from clv_pipeline.sources.copies import Copies
from clv_pipeline.sources.errors import first_line, without_secrets
from clv_pipeline.sources.files import SourceFile
from clv_pipeline.sources.reach import refuse_a_lake

if TYPE_CHECKING:
    from obstore import GetResult, ObjectMeta

RETRIES: dict[str, Any] = {
    "max_retries": 8,
    "retry_timeout": timedelta(minutes=3),
    "backoff": {"init_backoff": timedelta(milliseconds=200), "max_backoff": timedelta(seconds=15), "base": 2},
}
"""How requests are repeated that failed for a reason that may pass."""

SECONDS_BETWEEN_TRIES = (1, 5)
"""How long to wait before an object that arrived cut is fetched from its beginning again."""

CLIENT: dict[str, Any] = {
    "connect_timeout": timedelta(seconds=10),
    "read_timeout": timedelta(minutes=1),
    "timeout": timedelta(minutes=30),
}
"""How long a request may take: to connect, until the next bytes, and in all."""

_PAGE = 1_000
_CHUNK_BYTES = 8_000_000
_SECONDS_TO_SETTLE = 2
_ADDRESS_OF_ROLES = "169.254.169.254"
"""Where a machine in a cloud asks for the credentials of its role."""
_ALLOW_HTTP = ("AWS_ALLOW_HTTP", "AZURE_ALLOW_HTTP", "GOOGLE_ALLOW_HTTP")


@dataclass(frozen=True)
class Bucket:
    """A bucket, a container, or a web server."""

    scheme: str
    name: str

    @property
    def url(self) -> str:
        """Where its keys begin."""
        return f"{self.scheme}://{self.name}/"

    def store(self) -> Any:
        """What obstore reads it with.

        Raises:
            SourceError: the extra `lake` is not installed, or the environment is not usable.
        """
        with _told(self.url):
            return _store(self.scheme, self.name)


@cache
def _store(scheme: str, name: str) -> Any:
    from obstore import store

    # Whoever states options of the client has to state this one, too, which is for servers in one's own network.
    plain = any(os.environ.get(name, "").lower() in ("1", "true") for name in _ALLOW_HTTP)
    options: dict[str, Any] = {
        "client_options": {**CLIENT, "allow_http": plain and scheme != "https"},
        "retry_config": RETRIES,
    }
    if scheme == "https":
        return store.HTTPStore.from_url(f"https://{name}", **options)
    return {"s3": store.S3Store, "gs": store.GCSStore, "az": store.AzureStore}[scheme](name, **options)


@dataclass(frozen=True)
class ObjectFile(SourceFile):
    """One object. Its `path` is that of its copy, which is there while it is `at_hand`."""

    bucket: Bucket
    key: str
    size: int
    etag: str
    """'' if the server gives none."""
    written: datetime
    copies: Copies

    @property
    def bytes(self) -> int:
        """Size of the object."""
        return self.size

    def state(self) -> tuple[int, int, int]:
        """Always the same: another version than the listed one is never read."""
        return self.size, 0, 0

    def stamp(self) -> str:
        """Size and ETag, or the time of the last write; '' if that was just now."""
        if self.etag:
            return f"{self.size} {self.etag}"
        is_settled = datetime.now(UTC) - self.written > timedelta(seconds=_SECONDS_TO_SETTLE)
        return f"{self.size} {self.written.isoformat()}" if is_settled else ""

    @contextmanager
    def at_hand(self) -> Iterator[None]:
        """Keep a copy on disk meanwhile."""
        with self.copies.holding(self.path, self.size, self._fetch):
            yield

    def _fetch(self, path: Path) -> None:
        """Write the object to `path`. What arrives cut is fetched from its beginning again, a few times."""
        with _told(self.label):
            import obstore

            for seconds in SECONDS_BETWEEN_TRIES:
                answer = self._asked()
                with suppress(obstore.exceptions.GenericError):
                    return _write(answer, path)
                time.sleep(seconds)
            return _write(self._asked(), path)

    def _asked(self) -> GetResult:
        """The store's answer, before its bytes.

        Raises:
            SourceError: the object is not the version that was listed.
        """
        import obstore

        answer = obstore.get(self.bucket.store(), self.key)
        if (_etag(answer.meta), answer.meta["size"]) != (self.etag, self.size):
            raise SourceError(f"{self.label}: was written to while it was read", to_do="run again")
        return answer


def _write(answer: GetResult, path: Path) -> None:
    with path.open("wb") as out:
        for chunk in answer.stream(min_chunk_size=_CHUNK_BYTES):
            out.write(chunk)


def find_objects(pattern: str, copies: Copies) -> list[ObjectFile]:
    """The objects that a URL names: one, those of a glob, or everything below a folder.

    A folder ends with a slash, or its name has no ending. Of a glob, `*` stays within a folder and `**` does not.

    Raises:
        SourceError: there is none, or the store does not answer or does not let them be read.
    """
    scheme, _, rest = pattern.partition("://")
    name, _, key = rest.partition("/")
    bucket = Bucket(scheme, name)
    if is_folder(pattern):
        found = _listed(bucket, key)
    elif has_magic(key):
        parts = key.split("/")
        plain = next(position for position, part in enumerate(parts) if has_magic(part))
        listed = _listed(bucket, "/".join(parts[:plain]))
        refuse_a_lake(pattern, (PurePosixPath(meta["path"]) for meta in listed))
        found = [meta for meta in listed if _matches(meta["path"].split("/"), parts)]
    else:
        found = [_head(bucket, key)]
    return [_object(bucket, meta, copies) for meta in found]


def is_folder(pattern: str) -> bool:
    """Whether a URL names all objects below it."""
    scheme, _, rest = pattern.partition("://")
    key = rest.partition("/")[2]
    return scheme != "https" and not has_magic(key) and (key.endswith("/") or not PurePosixPath(key).suffix)


def object_exists(label: str, patterns: Sequence[str]) -> bool:
    """Whether there is an object with this label. Only a store that a configured path names is asked.

    Raises:
        SourceError: the store does not answer or does not let it be read.
    """
    scheme, _, rest = label.partition("://")
    name, _, key = rest.partition("/")
    bucket = Bucket(scheme, name)
    if not any(pattern.strip().startswith(bucket.url) for pattern in patterns):
        return False
    try:
        _head(bucket, key)
    except SourceError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            return False
        raise
    return True


def _listed(bucket: Bucket, prefix: str) -> list[ObjectMeta]:
    """Every object below a folder. What fails on any page fails the listing, so that no file seems to be gone."""
    with _told(bucket.url + prefix):
        import obstore

        pages = obstore.list(bucket.store(), prefix.strip("/") or None, chunk_size=_PAGE)
        return [meta for page in pages for meta in page]


def _head(bucket: Bucket, key: str) -> ObjectMeta:
    with _told(bucket.url + key):
        import obstore

        return obstore.head(bucket.store(), key)


def _object(bucket: Bucket, meta: ObjectMeta, copies: Copies) -> ObjectFile:
    label = bucket.url + meta["path"]
    # The name of an object is never used as a path; only its endings are, of which a reader needs two.
    endings = "".join(PurePosixPath(meta["path"]).suffixes[-2:]).lower()
    ending = endings if endings.replace(".", "").isalnum() and endings.isascii() and len(endings) < 20 else ""
    copy = copies.folder / (hashlib.sha256(label.encode()).hexdigest()[:32] + ending)
    return ObjectFile(
        label=label,
        path=copy,
        bucket=bucket,
        key=meta["path"],
        size=meta["size"],
        etag=_etag(meta),
        written=meta["last_modified"],
        copies=copies,
    )


def _etag(meta: ObjectMeta) -> str:
    """The ETag. Some stores quote it in an answer and not in a listing."""
    return (meta["e_tag"] or "").strip('"')


def _matches(parts: Sequence[str], patterns: Sequence[str]) -> bool:
    """Whether a key matches a glob, both in parts. As in a folder on disk, a wildcard does not match a leading dot."""
    if not patterns:
        return not parts
    first, rest = patterns[0], patterns[1:]
    if first == "**":
        return any(
            _matches(parts[skipped:], rest or ["*"])
            for skipped in range(len(parts))
            if not any(part.startswith(".") for part in parts[:skipped])
        )
    if not parts or (parts[0].startswith(".") and not first.startswith(".")):
        return False
    return fnmatchcase(parts[0], first) and _matches(parts[1:], rest)


@contextmanager
def _told(url: str) -> Iterator[None]:
    """Turn the errors of a store into one that names the object and what to do.

    Raises:
        SourceError: the store did not give what it was asked for.
    """
    try:
        yield
    except SourceError:
        raise
    except ImportError as error:
        raise SourceError(
            f"{url}: object stores are read by the package obstore, which is not installed",
            to_do="`pip install 'clv_pipeline[lake]'`",
        ) from error
    except Exception as error:
        what, to_do = _reason(error)
        # The cause is not chained where its text may hold a signature of the request.
        cause = error if isinstance(error, FileNotFoundError) else None
        raise SourceError(f"{url}: {what}", quoted=without_secrets(first_line(error), url), to_do=to_do) from cause


def _reason(error: Exception) -> tuple[str, str]:
    """What went wrong, and what to do about it."""
    text = first_line(error)
    found = re.search(r"status code: ([45]\d\d)", text)
    status = found[1] if found else ""
    if _ADDRESS_OF_ROLES in text or "Account must be specified" in text:
        return "the environment holds no credentials for it", "set those of the store, see the how-to of object stores"
    if isinstance(error, FileNotFoundError) or status == "404":
        return "there is no such object or bucket (404)", "correct the path; that of a folder ends with a slash"
    if status == "403":
        return "access is denied (403)", "let the user whose credentials are in the environment list and read it"
    if status == "401":
        return "the credentials in the environment are wrong (401)", "correct them"
    if "region" in text:
        return "the bucket is in another region", "set AWS_REGION"
    if status:
        return f"the server answers with status {status}, after several tries", "run again later"
    return "cannot be fetched, after several tries", "look at the address and the network, and run again"
