"""A Prometheus behind TLS, with an authority of its own."""

import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from prometheus_stub import NOW, Server, serving, vector
from scanpool.models.conditions import Reason
from scanpool.models.limit_names import limit_names
from scanpool.models.llm import Prometheus
from scanpool.models.reading import Available, Reading, Unavailable
from scanpool.sources.prometheus import read_usage
from scanpool.sources.prometheus_session import Credentials
from scanpool_sandbox.tls import create_certificates


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return create_certificates(tmp_path_factory.mktemp("tls")).authority


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return create_certificates(tmp_path_factory.mktemp("other-tls")).authority


@pytest.fixture
def server(authority: Path) -> Iterator[Server]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority.with_name("server.pem"), authority.with_name("server.key"))
    with serving(lambda _: (200, vector("7")), context) as started:
        yield started


def read(url: str, ca: Path | None) -> Reading[object]:
    config = Prometheus.model_validate({"url": url, "query": "tokens"})
    credentials = Credentials(ca_pem=None if ca is None else ca.read_text())
    limit = limit_names("openai", "gpt-5.2")
    return read_usage(config, limit, 60, credentials, clock=lambda: NOW)


def test_the_authority_of_the_secret_is_trusted(server: Server, authority: Path) -> None:
    assert isinstance(read(server.url, authority), Available)


def test_without_it_the_message_says_how_to_trust_it(server: Server) -> None:
    reading = read(server.url, None)
    assert isinstance(reading, Unavailable)
    assert reading.reason is Reason.TLS_FAILED
    assert "caSecretRef" in reading.message


def test_only_it_is_trusted_whatever_the_environment_says(
    server: Server, authority: Path, other: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority))
    assert isinstance(read(server.url, None), Available)
    reading = read(server.url, other)
    assert isinstance(reading, Unavailable)
    assert reading.reason is Reason.TLS_FAILED


def test_the_name_of_the_certificate_counts(server: Server, authority: Path) -> None:
    reading = read(server.url.replace("127.0.0.1", "127.1"), authority)
    assert isinstance(reading, Unavailable)
    assert reading.reason is Reason.TLS_FAILED
