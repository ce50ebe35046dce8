"""Object stores on loopback, and the libraries of Delta and Iceberg, for the tests of lakes.

S3 is moto, Azure is Azurite, Google Cloud Storage is fake-gcs-server. Python packages come from an environment below
.cache/ that is made from lakes.lock, which agrees with requirements.lock about every package in both.
"""

from __future__ import annotations

import base64
import email.utils
import fcntl
import hashlib
import hmac
import json
import os
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlencode

import pytest

from clv_pipeline_tests.acceptance.dagster_site import stop, wait_until_it_listens
from clv_pipeline_tests.acceptance.locked_programs import CACHE, installed_once
from clv_pipeline_tests.helpers.receivers import free_port

LOCK = Path(__file__).with_name("lakes.lock")
AZURITE = "azurite@3.35.0"
FAKE_GCS = "github.com/fsouza/fake-gcs-server@v1.56.1"
BUCKET = "shop-lake"

_ACCOUNT = "devstoreaccount1"
_ACCOUNT_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
"""The account that every Azurite has, as its documentation states it."""


def lake_packages() -> Path:
    """The folder of the packages of lakes.lock."""
    [packages] = installed_once("lakes", LOCK).glob("venv/lib/python*/site-packages")
    return packages


def lake_packages_at_hand() -> None:
    """Make sure that the packages of lakes.lock can be imported in this process, behind ours."""
    if str(lake_packages()) not in sys.path:
        sys.path.append(str(lake_packages()))


@contextmanager
def s3_server(folder: Path) -> Iterator[dict[str, str]]:
    """moto with an empty bucket; the environment that leads to it."""
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "--host", "127.0.0.1", "--port", str(port)]
    with _started(command, folder, port, {"PYTHONPATH": str(lake_packages())}):
        _send("PUT", f"http://127.0.0.1:{port}/{BUCKET}", _LOCATION, {})
        yield {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
            "AWS_ALLOW_HTTP": "true",
            "AWS_REGION": "eu-central-1",
            "AWS_ACCESS_KEY_ID": "reader",
            "AWS_SECRET_ACCESS_KEY": "of-no-importance",
        }


@contextmanager
def azure_server(folder: Path) -> Iterator[dict[str, str]]:
    """Azurite with an empty container; the environment that leads to it. Skips where it cannot be installed."""
    port = free_port()
    command = [str(_azurite()), "--location", str(folder / "azurite"), "--blobPort", str(port)]
    with _started([*command, "--skipApiVersionCheck", "--disableTelemetry"], folder, port, {}):
        at = email.utils.formatdate(usegmt=True)
        path = f"/{_ACCOUNT}/{BUCKET}"
        headers = f"x-ms-date:{at}\nx-ms-version:2021-12-02"
        fields = ["PUT", *[""] * 4, "text/plain", *[""] * 6]
        signed = "\n".join([*fields, headers, f"/{_ACCOUNT}{path}", "restype:container"])
        digest = hmac.new(base64.b64decode(_ACCOUNT_KEY), signed.encode(), hashlib.sha256).digest()
        _send(
            "PUT",
            f"http://127.0.0.1:{port}{path}?restype=container",
            b"",
            {
                "Content-Type": "text/plain",
                "x-ms-date": at,
                "x-ms-version": "2021-12-02",
                "Authorization": f"SharedKey {_ACCOUNT}:{base64.b64encode(digest).decode()}",
            },
        )
        yield {
            "AZURE_STORAGE_ACCOUNT_NAME": _ACCOUNT,
            "AZURE_STORAGE_ACCOUNT_KEY": _ACCOUNT_KEY,
            "AZURE_STORAGE_ENDPOINT": f"http://127.0.0.1:{port}/{_ACCOUNT}",
            "AZURE_ALLOW_HTTP": "true",
        }


@contextmanager
def google_server(folder: Path) -> Iterator[dict[str, str]]:
    """fake-gcs-server with an empty bucket; the environment that leads to it. Skips where Go is missing."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [str(_fake_gcs()), "-scheme", "http", "-host", "127.0.0.1", "-port", str(port), "-backend", "memory"]
    with _started([*command, "-external-url", url, "-public-host", f"127.0.0.1:{port}"], folder, port, {}):
        _send(
            "POST", f"{url}/storage/v1/b", json.dumps({"name": BUCKET}).encode(), {"Content-Type": "application/json"}
        )
        account = folder / "account.json"
        nobody = {
            "gcs_base_url": url,
            "disable_oauth": True,
            "client_email": "",
            "private_key": "",
            "private_key_id": "",
        }
        account.write_text(json.dumps(nobody), encoding="utf-8")
        yield {"GOOGLE_SERVICE_ACCOUNT": str(account), "GOOGLE_ALLOW_HTTP": "true"}


def put_google(key: str, body: bytes) -> None:
    """Write an object into the bucket of fake-gcs-server to which the environment leads."""
    url = json.loads(Path(os.environ["GOOGLE_SERVICE_ACCOUNT"]).read_text(encoding="utf-8"))["gcs_base_url"]
    asked = urlencode({"uploadType": "media", "name": key})
    _send("POST", f"{url}/upload/storage/v1/b/{BUCKET}/o?{asked}", body, {"Content-Type": "text/csv"})


_LOCATION = (
    b'<CreateBucketConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
    b"<LocationConstraint>eu-central-1</LocationConstraint></CreateBucketConfiguration>"
)


@contextmanager
def _started(command: list[str], folder: Path, port: int, environment: dict[str, str]) -> Iterator[None]:
    log = folder / "server.log"
    with log.open("wb") as said:
        server = subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, **environment},
            stdout=said,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        wait_until_it_listens(server, port, log)
        yield
    finally:
        stop(server)


def _send(method: str, url: str, body: bytes, headers: dict[str, str]) -> None:
    request = urllib.request.Request(url, data=body, method=method, headers=headers)  # noqa: S310
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
        answer.read()


def _azurite() -> Path:
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("Azurite needs npm")
    install = [npm, "install", "--no-audit", "--no-fund", "--no-save", "--ignore-scripts", AZURITE]
    return _installed(AZURITE, install, {}) / "node_modules" / ".bin" / "azurite-blob"


def _fake_gcs() -> Path:
    go = shutil.which("go")
    if go is None:
        pytest.skip("fake-gcs-server needs Go")
    folder = CACHE / "programs" / hashlib.sha256(FAKE_GCS.encode()).hexdigest()[:16]
    return _installed(FAKE_GCS, [go, "install", FAKE_GCS], {"GOBIN": str(folder)}) / "fake-gcs-server"


def _installed(name: str, command: list[str], environment: dict[str, str]) -> Path:
    """The folder that a command fills once, by itself."""
    folder = CACHE / "programs" / hashlib.sha256(name.encode()).hexdigest()[:16]
    folder.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        if not (folder / "ready").exists():
            made = subprocess.run(
                command, cwd=folder, env={**os.environ, **environment}, capture_output=True, text=True, timeout=900
            )
            if made.returncode:
                pytest.skip(f"{name} cannot be installed: {made.stderr[-300:]}")
            (folder / "ready").touch()
    return folder
