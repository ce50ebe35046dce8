"""Receivers of alerts on loopback: a webhook and a mail server that keep what they get."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

from aiosmtpd.controller import Controller

from clv_pipeline.config.alerts import Email


class Webhook:
    """A receiver on loopback that keeps what it got and answers with `status`, or by what a message says."""

    def __init__(self) -> None:
        self.status = 200
        self.status_for: Callable[[Any], int] = lambda _: self.status
        self.headers: dict[str, str] = {}
        self.requests: list[tuple[str, str, Any]] = []
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._answer()

            def do_POST(self) -> None:
                self._answer()

            def _answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                message = json.loads(body) if body else None
                hook.requests.append((self.command, self.path, message))
                self.send_response(hook.status_for(message))
                for name, value in hook.headers.items():
                    self.send_header(name, value)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/services/SECRET"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    @property
    def messages(self) -> list[Any]:
        """The bodies of what was posted."""
        return [body for command, _, body in self.requests if command == "POST"]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class DrippingWebhook:
    """A receiver on loopback that answers every connection drop by drop, and never to the end."""

    def __init__(self) -> None:
        self._server = socket.create_server(("127.0.0.1", 0))
        self._closed = threading.Event()
        self.url = f"http://127.0.0.1:{self._server.getsockname()[1]}/services/SECRET"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:  # closed
                return
            threading.Thread(target=self._drip, args=(connection,), daemon=True).start()

    def _drip(self, connection: socket.socket) -> None:
        with connection:
            try:
                connection.sendall(b"HTTP/1.1 200 OK\r\nX-Drop: ")
                while not self._closed.wait(0.1):
                    connection.sendall(b".")
            except OSError:  # the other side has had enough
                return

    def close(self) -> None:
        self._closed.set()
        self._server.close()


class Mailbox:
    """A mail server on loopback that keeps what it got."""

    def __init__(self) -> None:
        self.envelopes: list[Any] = []
        self.answer = "250 taken"
        self._controller = Controller(self, hostname="127.0.0.1", port=free_port())
        self._controller.start()
        self.port = int(self._controller.port)

    async def handle_DATA(self, _server: object, _session: object, envelope: Any) -> str:  # noqa: N802
        if self.answer.startswith("250"):
            self.envelopes.append(envelope)
        return self.answer

    def settings(self, **changes: Any) -> Email:
        """How to reach it."""
        return Email.model_validate(
            {
                "to": ["data@example.com", "night@example.com"],
                "from": "clv@example.com",
                "host": "127.0.0.1",
                "port": self.port,
                "encryption": "none",
                **changes,
            }
        )

    def close(self) -> None:
        self._controller.stop()


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
