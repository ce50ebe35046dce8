"""Objects behind HTTP or HTTPS on loopback: as a bucket of S3, with pages of a listing, or as a plain web server.

What goes wrong is told to it: a status for the next requests of a key, or a body that ends early.
"""

from __future__ import annotations

import datetime
import hashlib
import re
import ssl
import threading
from collections import defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import IPv4Address
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

PAGE = 1_000


class ObjectServer:
    """A server of `objects`, by key."""

    def __init__(self, bucket: str = "", certificate: Path | None = None) -> None:
        self.objects: dict[str, bytes] = {}
        self.page = PAGE
        self.has_etags = True
        self.has_ranges = True
        self.failures: dict[str, list[int]] = defaultdict(list)
        """Statuses of the next answers (200: as it should be) about a key, or about the listing ('')."""
        self.cut: dict[str, int] = defaultdict(int)
        """How many of the next bodies of a key end early."""
        self.requests: list[tuple[str, str]] = []
        """Method and key of each request; '' is the listing."""
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_HEAD(self) -> None:
                owner._answer(self, has_body=False)

            def do_GET(self) -> None:
                owner._answer(self, has_body=True)

            def log_message(self, *_: object) -> None:
                pass

        self._root = f"/{bucket}/" if bucket else "/"
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def fetched(self) -> list[str]:
        """The keys whose bytes were asked for since the last call."""
        keys = [key for method, key in self.requests if method == "GET" and key]
        self.requests.clear()
        return keys

    def _answer(self, handler: BaseHTTPRequestHandler, *, has_body: bool) -> None:
        address = urlsplit(handler.path)
        key = unquote(address.path).removeprefix(self._root)
        if "list-type=2" in address.query:
            key = ""
        self.requests.append((handler.command, key))
        status = self.failures[key].pop(0) if self.failures[key] else 200
        body = self._body(key, address.query) if status == 200 else b""
        if body is None:
            status, body = 404, b""
        whole, etag = body, _etag(body)
        if has_body and status == 200 and self.has_ranges and (first := _first_byte(handler)) is not None:
            status, body = 206, whole[first:]
        handler.send_response(status)
        if status == 206:
            handler.send_header("Content-Range", f"bytes {first}-{len(whole) - 1}/{len(whole)}")
        handler.send_header("Content-Length", str(len(body)))
        handler.send_header("Last-Modified", "Wed, 21 Oct 2015 07:28:00 GMT")
        if key and self.has_etags:
            handler.send_header("ETag", etag)
        handler.end_headers()
        if has_body and self.cut[key] and status in (200, 206):
            self.cut[key] -= 1
            handler.wfile.write(body[: len(body) // 2])
            handler.wfile.flush()
            handler.connection.shutdown(2)
            handler.close_connection = True
        elif has_body:
            handler.wfile.write(body)

    def _body(self, key: str, query: str) -> bytes | None:
        if key:
            return self.objects.get(key)
        asked = {name: values[0] for name, values in parse_qs(query).items()}
        after = asked.get("continuation-token", "")
        keys = sorted(key for key in self.objects if key.startswith(asked.get("prefix", "")) and key > after)
        shown = keys[: self.page]
        entries = "".join(
            f"<Contents><Key>{escape(name)}</Key><LastModified>2015-10-21T07:28:00.000Z</LastModified>"
            f"<ETag>{escape(_etag(self.objects[name]))}</ETag><Size>{len(self.objects[name])}</Size></Contents>"
            for name in shown
        )
        is_cut = len(shown) < len(keys)
        more = f"<NextContinuationToken>{escape(shown[-1])}</NextContinuationToken>" if is_cut else ""
        head = f"<IsTruncated>{str(is_cut).lower()}</IsTruncated>{more}"
        return f"<ListBucketResult>{head}{entries}</ListBucketResult>".encode()


def _first_byte(handler: BaseHTTPRequestHandler) -> int | None:
    """Where the range begins that is asked for; None if the whole object is."""
    asked = re.fullmatch(r"bytes=(\d+)-\d*", handler.headers.get("Range", ""))
    return int(asked[1]) if asked else None


def _etag(body: bytes) -> str:
    return f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"'


def self_signed(path: Path) -> Path:
    """Write key and certificate of 127.0.0.1 into one file, valid for a day."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "loopback")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(secret + certificate.public_bytes(serialization.Encoding.PEM))
    return path
