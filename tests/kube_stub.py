"""A Kubernetes API that says what a test tells it to, whatever it is: for refusals and garbage.

What a healthy API server does is the emulator's part (`scanpool_sandbox.kube`).
"""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

TOKEN = "operator-token"


@dataclass(frozen=True)
class Request:
    """A request as it came in; `body` is None without one."""

    method: str
    path: str
    query: dict[str, str]
    content_type: str | None
    authorization: str | None
    body: Any


@dataclass(frozen=True)
class Answer:
    """What to answer; bytes are sent as they are, everything else as JSON."""

    body: Any
    status: int = 200

    @property
    def data(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


def refusal(status: int, message: str) -> Answer:
    """Build a refusal as an API server sends it."""
    body = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message}
    return Answer({**body, "code": status}, status)


@dataclass
class KubeStub:
    """Answers by (method, path); what it was not told about is a 404. `requests` is its log."""

    url: str = ""
    answers: dict[tuple[str, str], Answer | Callable[[], Answer]] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)

    def gets(self, path: str, answer: Answer | Callable[[], Answer]) -> None:
        """Answer a GET of `path` so."""
        self.answers["GET", path] = answer

    def writes(self) -> list[Request]:
        """Return the requests that could change something."""
        return [one for one in self.requests if one.method != "GET"]

    def answer(self, request: Request) -> Answer:
        """Log a request and say what is answered to it."""
        self.requests.append(request)
        found = self.answers.get((request.method, request.path))
        if found is None:
            return refusal(404, f"{request.path} not found")
        return found() if callable(found) else found


@contextmanager
def kube_stub() -> Iterator[KubeStub]:
    """Serve a stub on a free port of 127.0.0.1."""
    stub = KubeStub()

    class Handler(BaseHTTPRequestHandler):
        # So that connections are kept, as the real server does.
        protocol_version = "HTTP/1.1"

        def handle_one(self) -> None:
            parts = urlsplit(self.path)
            data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            answer = stub.answer(
                Request(
                    self.command,
                    parts.path,
                    dict(parse_qsl(parts.query, keep_blank_values=True)),
                    self.headers.get("Content-Type"),
                    self.headers.get("Authorization"),
                    json.loads(data) if data else None,
                )
            )
            self.send_response(answer.status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer.data)))
            self.end_headers()
            self.wfile.write(answer.data)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its signature
            """Say nothing: tests look at `requests`."""

    for method in ("GET", "PATCH", "POST", "PUT", "DELETE"):
        setattr(Handler, f"do_{method}", Handler.handle_one)

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        block_on_close = False

        def handle_error(self, request: Any, client_address: Any) -> None:
            """Say nothing of clients that have hung up."""

    with Server(("127.0.0.1", 0), Handler) as server:
        stub.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield stub
        finally:
            server.shutdown()
            thread.join()


def use_kubeconfig(monkeypatch: pytest.MonkeyPatch, directory: Path, url: str) -> Path:
    """Make `url` the cluster that this process talks to."""
    path = directory / "kubeconfig"
    path.write_text(
        json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [{"name": "stub", "cluster": {"server": url}}],
                "users": [{"name": "stub", "user": {"token": TOKEN}}],
                "contexts": [{"name": "stub", "context": {"cluster": "stub", "user": "stub"}}],
                "current-context": "stub",
            }
        )
    )
    # The client reads KUBECONFIG once, when it is imported.
    monkeypatch.setattr("kubernetes.config.KUBE_CONFIG_DEFAULT_LOCATION", str(path))
    monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(path))
    return path
