"""A Prometheus that answers a byte at a time: it holds a thread for the time of a reading only."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from prometheus_stub import NOW
from scanpool.models.conditions import Reason
from scanpool.models.limit_names import limit_names
from scanpool.models.llm import Prometheus
from scanpool.models.reading import Unavailable
from scanpool.sources import prometheus_session
from scanpool.sources.prometheus import read_usage
from scanpool.sources.prometheus_session import Credentials

PAUSE_SECONDS = 0.01
MOST_PIECES = 500
"""So that a reader with all the time in the world comes to an end too."""
HEAD = b"HTTP/1.1 200 OK\r\n"
WHOLE, CHUNKED = b"Content-Length: 1000000\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n"


@contextmanager
def trickling(head: bytes, piece: bytes) -> Iterator[str]:
    """Answer one request with `head` and then a piece now and then, until the reader has gone."""
    ended = threading.Event()

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.sendall(head)
            with suppress(OSError):
                for _ in range(MOST_PIECES):
                    if ended.wait(PAUSE_SECONDS):
                        return
                    connection.sendall(piece)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            ended.set()
            thread.join()


@pytest.mark.parametrize(
    ("head", "piece"),
    [
        pytest.param(HEAD + WHOLE, b" ", id="of-a-length"),
        pytest.param(HEAD + CHUNKED, b"1\r\n \r\n", id="in-chunks"),
    ],
)
def test_an_answer_without_an_end_is_given_up(
    monkeypatch: pytest.MonkeyPatch, head: bytes, piece: bytes
) -> None:
    monkeypatch.setattr(prometheus_session, "READING_SECONDS", 0.3)
    limit = limit_names("openai", "gpt-5.2")
    with trickling(head, piece) as url:
        config = Prometheus(url=url, query="tokens")
        found = read_usage(config, limit, 60, Credentials(), clock=lambda: NOW)
    assert isinstance(found, Unavailable)
    assert found.reason is Reason.PROMETHEUS_UNREACHABLE
    assert "did not answer in time" in found.message
