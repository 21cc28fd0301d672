"""A Prometheus that answers as told, over real HTTP, and the answers that it gives."""

import json
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

NOW = 1_000.0
"""When all answers are of, unless they say otherwise."""


class Server(ThreadingHTTPServer):
    """Answers every query as told, and remembers what it was asked."""

    daemon_threads = True

    def __init__(self, answer: Callable[[str], tuple[int, str]]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answer = answer
        self.queries: list[str] = []
        self.authorizations: list[str | None] = []
        self.headers: list[Mapping[str, str]] = []
        self.parameters: list[dict[str, list[str]]] = []
        self.scheme = "http"

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        form = self.rfile.read(int(self.headers["Content-Length"])).decode()
        query = parse_qs(form)["query"][0]
        self.server.queries.append(query)
        self.server.authorizations.append(self.headers["Authorization"])
        self.server.headers.append(self.headers)
        path, _, parameters = self.path.partition("?")
        self.server.parameters.append(parse_qs(parameters))
        found = path == "/api/v1/query"
        status, body = self.server.answer(query) if found else (404, "")
        self.send_response(status)
        self.send_header("Content-Length", str(len(body.encode())))
        if status == 302:
            self.send_header("Location", "/elsewhere")
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serving(
    answer: Callable[[str], tuple[int, str]], context: ssl.SSLContext | None = None
) -> Iterator[Server]:
    """Serve on a free port; `answer` returns the status and the body for a query."""
    with Server(answer) as server:
        if context is not None:
            server.scheme = "https"
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def vector(*values: object, at: float = NOW) -> str:
    """Return an answer of several series."""
    return data([{"metric": {"i": str(i)}, "value": [at, v]} for i, v in enumerate(values)])


def labeled(label: str, values: Mapping[str, object]) -> str:
    """Return an answer of several series that one label tells apart."""
    return data([{"metric": {label: name}, "value": [NOW, str(v)]} for name, v in values.items()])


def data(result: object) -> str:
    """Return an answer with any result."""
    return json.dumps({"status": "success", "data": {"resultType": "any", "result": result}})
