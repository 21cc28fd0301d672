"""How a real broker is reached that asks for certificates or tokens, or is at an IPv6 address."""

import asyncio
import base64
import json
import select
import socket
import socketserver
import subprocess
import threading
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import pika
import pytest

from builders import pool, queue, secret, target
from scanpool.kube.secret import Secret
from scanpool.models.conditions import Reason
from scanpool.models.fields import SecretKeyRef
from scanpool.models.http_access import ClientCertificate
from scanpool.models.reading import Available, Reading, Unavailable
from scanpool.models.spec import PoolSpec, RabbitMQ
from scanpool.observe.observer import Observer
from scanpool.sources.http import HttpClients
from scanpool_sandbox.rabbitmq_files import Extras
from scanpool_sandbox.rabbitmq_server import VHOST, RabbitMQServer

RESOURCE = "scanpool"
HELD = 3
PATIENCE_SECONDS = 60
TOKEN_SECONDS = 12
REFS = {
    name: SecretKeyRef(name="broker", key=name)
    for name in ("http", "amqp", "ca", "cert", "key", "locked", "password", "token")
}
SHOWN = ClientCertificate(cert_secret_ref=REFS["cert"], key_secret_ref=REFS["key"])
LOCKED = ClientCertificate(
    cert_secret_ref=REFS["cert"],
    key_secret_ref=REFS["locked"],
    key_password_secret_ref=REFS["password"],
)


def openssl(*arguments: str | Path, given: bytes = b"") -> bytes:
    command = ["openssl", *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True, input=given).stdout


class Issuer:
    """Signs OAuth 2 tokens as an authorization server does."""

    def __init__(self, directory: Path) -> None:
        self._key = directory / "signing.key"
        self.public = directory / "signing.pem"
        openssl("genrsa", "-out", self._key, "2048")
        openssl("rsa", "-in", self._key, "-pubout", "-out", self.public)

    def token(self, seconds: float) -> str:
        claims = {
            "sub": "operator",
            "aud": [RESOURCE],
            "scope": [f"{RESOURCE}.tag:monitoring", f"{RESOURCE}.read:*/*"],
            "exp": int(time.time() + seconds),
        }
        head = {"alg": "RS256", "typ": "JWT", "kid": "main"}
        signed = b".".join(_encoded(json.dumps(part).encode()) for part in (head, claims))
        signature = openssl("dgst", "-sha256", "-sign", self._key, given=signed)
        return (signed + b"." + _encoded(signature)).decode()


def _encoded(text: bytes) -> bytes:
    return base64.urlsafe_b64encode(text).rstrip(b"=")


@pytest.fixture(scope="module")
def issuer(tmp_path_factory: pytest.TempPathFactory) -> Issuer:
    return Issuer(tmp_path_factory.mktemp("issuer"))


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory, issuer: Issuer) -> Iterator[RabbitMQServer]:
    """A broker whose TLS ports ask for a certificate, and that takes tokens."""
    settings = {
        "ssl_options.verify": "verify_peer",
        "ssl_options.fail_if_no_peer_cert": "true",
        "management.ssl.verify": "verify_peer",
        "management.ssl.fail_if_no_peer_cert": "true",
        "auth_mechanisms.1": "PLAIN",
        "auth_mechanisms.2": "EXTERNAL",
        "ssl_cert_login_from": "common_name",
        "auth_backends.1": "internal",
        "auth_backends.2": "rabbit_auth_backend_oauth2",
        "auth_oauth2.resource_server_id": RESOURCE,
        "auth_oauth2.default_key": "main",
        "auth_oauth2.signing_keys.main": str(issuer.public),
    }
    plugins = ("rabbitmq_auth_mechanism_ssl", "rabbitmq_auth_backend_oauth2")
    directory = tmp_path_factory.mktemp("guarded")
    with RabbitMQServer(directory, tls=True, extras=Extras(settings, plugins)) as server:
        connection = pika.BlockingConnection(pika.URLParameters(server.amqp_url()))
        channel = connection.channel()
        channel.confirm_delivery()
        channel.queue_declare("q", durable=True)
        for _ in range(HELD):
            channel.basic_publish("", "q", b"x")
        connection.close()
        yield server


class Cluster:
    """Holds the Secrets, which may be written anew."""

    def __init__(self, texts: dict[str, str]) -> None:
        self.texts = texts

    async def read_secret(self, _: str, name: str) -> Reading[Secret]:
        return secret({REFS[key]: text for key, text in self.texts.items()}, name)


@asynccontextmanager
async def observing(texts: dict[str, str]) -> AsyncIterator[Any]:
    """Yield what reads the queues of a pool with these Secrets, as an operator does."""
    cluster, clients = Cluster(texts), HttpClients()
    with ThreadPoolExecutor(1) as executor:
        fake = cast("Any", cluster)
        observer = Observer(fake, fake, clients, executor, lambda *_: None, time.time)

        async def look(**rabbitmq: Any) -> Reading[Any]:
            observation = await observer.observe("scan", spec(**rabbitmq), target(1), {})
            return observation.queues

        try:
            yield look
        finally:
            await observer.close()
            await clients.aclose()


def spec(**rabbitmq: Any) -> PoolSpec:
    named = RabbitMQ(**{"vhost": VHOST, "queues": (queue("q"),), **rabbitmq})
    return pool(rabbitmq=named, polling_interval_seconds=1)


def secrets(server: RabbitMQServer, **changes: str) -> dict[str, str]:
    files = server.certificates
    key = files.client_key.read_text()
    locked = openssl(
        "pkcs8", "-topk8", "-v2", "aes256", "-passout", "pass:open", given=key.encode()
    )
    return {
        "http": server.management_tls_url,
        "amqp": server.amqps_url(),
        "ca": files.authority.read_text(),
        "cert": files.client_certificate.read_text(),
        "key": key,
        "locked": locked.decode(),
        "password": "open",
        **changes,
    }


def without_user(url: str) -> str:
    return url.replace(f"{urlsplit(url).username}:{urlsplit(url).password}@", "")


BY_HTTP = {"management_url_secret_ref": REFS["http"], "ca_secret_ref": REFS["ca"]}
BY_AMQP = {"url_secret_ref": REFS["amqp"], "ca_secret_ref": REFS["ca"]}
WAYS = pytest.mark.parametrize("way", [BY_HTTP, BY_AMQP], ids=["http", "amqp"])


def reads(reading: Reading[Any]) -> None:
    assert isinstance(reading, Available), reading
    assert [(one.name, one.messages) for one in reading.value] == [("q", HELD)]


def refuses(reading: Reading[Any], reason: Reason, *words: str) -> None:
    assert isinstance(reading, Unavailable), reading
    assert reading.reason is reason
    assert all(word in reading.message for word in words), reading.message


@WAYS
@pytest.mark.parametrize("shown", [SHOWN, LOCKED], ids=["plain", "encrypted"])
async def test_a_certificate_is_shown_to_a_broker_that_asks_for_one(
    guarded: RabbitMQServer, way: dict[str, Any], shown: ClientCertificate
) -> None:
    async with observing(secrets(guarded)) as look:
        reads(await look(**way, client_certificate=shown))
        assert isinstance(await look(**way), Unavailable)


@WAYS
@pytest.mark.parametrize(
    "changes",
    [{"key": "no key"}, {"cert": "no certificate"}, {"cert": "ü"}],
    ids=["a-key-that-is-none", "no-certificate", "no-ascii"],
)
async def test_a_certificate_that_cannot_be_used_is_named(
    guarded: RabbitMQServer, way: dict[str, Any], changes: dict[str, str]
) -> None:
    async with observing(secrets(guarded, **changes)) as look:
        reading = await look(**way, client_certificate=SHOWN)
        refuses(reading, Reason.TLS_FAILED, "rabbitmq.clientCertificate")


@WAYS
async def test_a_key_whose_password_is_wrong_asks_nobody(
    guarded: RabbitMQServer, way: dict[str, Any]
) -> None:
    for changes, shown in (
        ({"password": "shut"}, LOCKED),
        ({}, LOCKED.model_copy(update={"key_password_secret_ref": None})),
    ):
        async with observing(secrets(guarded, **changes)) as look:
            reading = await look(**way, client_certificate=shown)
            refuses(reading, Reason.TLS_FAILED, "password")


async def test_by_amqp_a_certificate_logs_in_where_the_url_has_no_user(
    guarded: RabbitMQServer,
) -> None:
    texts = secrets(guarded, amqp=without_user(guarded.amqps_url()))
    async with observing(texts) as look:
        reads(await look(**BY_AMQP, client_certificate=SHOWN))


@WAYS
async def test_the_name_in_the_certificate_may_be_another_than_the_host(
    guarded: RabbitMQServer, way: dict[str, Any]
) -> None:
    elsewhere = {
        # Leads to 127.0.0.1, and stands in no certificate.
        "http": guarded.management_tls_url.replace("127.0.0.1", "127.1"),
        "amqp": guarded.amqps_url().replace("127.0.0.1", "127.1"),
    }
    async with observing(secrets(guarded, **elsewhere)) as look:
        way = {**way, "client_certificate": SHOWN}
        reads(await look(**way, server_name="localhost"))
        # A connection that was made for one name is not used for another.
        for name in (None, "elsewhere"):
            refuses(await look(**way, server_name=name), Reason.TLS_FAILED, "name")


class Passage(socketserver.ThreadingTCPServer):
    """A port of ::1 that leads to one of 127.0.0.1."""

    address_family = socket.AF_INET6

    def __init__(self, port: int) -> None:
        super().__init__(("::1", 0), PassOn)
        self.leads_to = port


class PassOn(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        with socket.create_connection(("127.0.0.1", self.server.leads_to)) as there:
            other = {self.request: there, there: self.request}
            while True:
                for each in select.select(list(other), [], [])[0]:
                    if not (data := each.recv(65_536)):
                        return
                    other[each].sendall(data)


@contextmanager
def by_ipv6(port: int) -> Iterator[int]:
    """Yield a port of ::1 that leads to one of 127.0.0.1; its connections end before it."""
    with Passage(port) as passage:
        serving = threading.Thread(target=passage.serve_forever, kwargs={"poll_interval": 0.05})
        serving.start()
        try:
            yield passage.server_address[1]
        finally:
            passage.shutdown()
            serving.join()


@pytest.mark.parametrize("is_tls", [False, True], ids=["plain", "tls"])
async def test_a_broker_at_an_ipv6_address(guarded: RabbitMQServer, is_tls: bool) -> None:
    urls = (
        (guarded.management_tls_url, guarded.amqps_url())
        if is_tls
        else (guarded.management_url, guarded.amqp_url())
    )
    ports = [urlsplit(url).port or 0 for url in urls]
    with by_ipv6(ports[0]) as http, by_ipv6(ports[1]) as amqp:
        at_ipv6 = [
            url.replace(f"127.0.0.1:{before}", f"[::1]:{now}")
            for url, before, now in zip(urls, ports, (http, amqp), strict=True)
        ]
        async with observing(secrets(guarded, http=at_ipv6[0], amqp=at_ipv6[1])) as look:
            for way in (BY_HTTP, BY_AMQP):
                reads(await look(**way, client_certificate=SHOWN))


@pytest.mark.long
@WAYS
async def test_a_token_that_ends_is_told_and_the_next_one_counts_at_once(
    guarded: RabbitMQServer, issuer: Issuer, way: dict[str, Any]
) -> None:
    texts = secrets(
        guarded,
        http=without_user(guarded.management_url),
        amqp=without_user(guarded.amqp_url()),
        token=issuer.token(TOKEN_SECONDS),
    )
    async with observing(texts) as look:

        async def until(is_read: bool) -> Reading[Any]:
            async with asyncio.timeout(PATIENCE_SECONDS):
                while isinstance(reading := await look(**way, **by_token), Available) != is_read:
                    await asyncio.sleep(0.2)
            return reading

        by_token = {"token_secret_ref": REFS["token"]}
        reads(await look(**way, **by_token))
        refuses(
            await until(is_read=False),
            Reason.BROKER_AUTHENTICATION_FAILED, "token", "rabbitmq.tokenSecretRef",
        )  # fmt: skip
        texts["token"] = issuer.token(3_600)
        reads(await until(is_read=True))
        texts["token"] = "no token\nat all"
        ended = await until(is_read=False)
        refuses(ended, Reason.BROKER_AUTHENTICATION_FAILED, "tokenSecretRef")


async def test_of_several_hosts_the_first_that_answers_by_amqp_counts(
    guarded: RabbitMQServer, unused_tcp_port: int
) -> None:
    url = guarded.amqp_url()
    gone = url.replace(f":{urlsplit(url).port}", f":{unused_tcp_port}")
    async with observing(secrets(guarded, amqp=f"{gone};{url}")) as look:
        reads(await look(url_secret_ref=REFS["amqp"]))
    async with observing(secrets(guarded, amqp=f"{gone};{gone}")) as look:
        reading = await look(url_secret_ref=REFS["amqp"])
        refuses(reading, Reason.BROKER_UNREACHABLE, str(unused_tcp_port))
