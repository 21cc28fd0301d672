import logging
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pika
import pytest

from scanpool.models.conditions import Reason
from scanpool.models.observation import QueueDepth
from scanpool.models.reading import Available, Reading, Unavailable
from scanpool.sources import amqp
from scanpool.sources.amqp import read_ready
from scanpool.sources.broker_access import Access


def read(url: str, *queues: str, vhost: str | None = None, ca: str | None = None) -> Reading:
    return read_ready(Access(url, vhost, ca_pem=ca), queues, clock=time.time)


@contextmanager
def channel(amqp_url: str) -> Iterator[pika.adapters.blocking_connection.BlockingChannel]:
    connection = pika.BlockingConnection(pika.URLParameters(amqp_url))
    try:
        yield connection.channel()
    finally:
        connection.close()


def test_ready_messages_only_and_missing_queues_absent(vhost) -> None:
    with channel(vhost.amqp_url) as broker:
        broker.confirm_delivery()
        for queue, count in (("scan.vision", 5), ("스캔/é", 1)):
            broker.queue_declare(queue)
            for _ in range(count):
                broker.basic_publish("", queue, b"x")
        for _ in range(3):
            broker.basic_get("scan.vision")

        reading = read(
            vhost.amqp_url, "gone", "scan.vision", "also gone", "스캔/é", "n" * 300, "é" * 200
        )

    assert isinstance(reading, Available)
    assert dict(reading.value) == {
        "scan.vision": QueueDepth("scan.vision", ready=2, unacked=None),
        "스캔/é": QueueDepth("스캔/é", ready=1, unacked=None),
    }
    assert reading.source == "amqp"


@pytest.mark.parametrize("name", ["a/b", "스캔 é", "%2F", "a?b#c"])
def test_a_vhost_of_any_name_is_found_by_field_and_by_path(rabbitmq, name) -> None:
    rabbitmq.create_vhost(name)
    try:
        with channel(rabbitmq.amqp_url(name)) as broker:
            broker.queue_declare("q")
            assert set(read(rabbitmq.amqp_url(name), "q").value) == {"q"}
            assert set(read(rabbitmq.amqp_url("elsewhere"), "q", vhost=name).value) == {"q"}
    finally:
        rabbitmq.delete_vhost(name)


@pytest.mark.parametrize("path", ["", "/", "//", "/%2F"])
def test_without_a_vhost_it_is_the_default_one(rabbitmq, path) -> None:
    base = rabbitmq.amqp_url("/").removesuffix("/%2F")
    with channel(rabbitmq.amqp_url("/")) as broker:
        broker.queue_declare("default-vhost")
        assert "default-vhost" in read(base + path, "default-vhost").value
        broker.queue_delete("default-vhost")


def test_no_connection_stays_open(vhost) -> None:
    with channel(vhost.amqp_url) as broker:
        broker.queue_declare("q")
        with socket.socket() as before:
            descriptor = before.fileno()
        for _ in range(3):
            read(vhost.amqp_url, "gone", "q")
            read(vhost.amqp_url, "q", vhost="missing")
        with socket.socket() as after:
            assert after.fileno() == descriptor


def test_an_exclusive_queue_of_another_is_an_error_and_not_missing(vhost) -> None:
    with channel(vhost.amqp_url) as broker:
        broker.queue_declare("mine", exclusive=True)
        reading = read(vhost.amqp_url, "mine")
    assert isinstance(reading, Unavailable)
    assert reading.reason is Reason.BROKER_ERROR
    assert "mine" in reading.message


def test_every_refusal_is_told_apart(rabbitmq, vhost, caplog) -> None:
    caplog.set_level(logging.DEBUG)
    rabbitmq.create_user("amqp-no-permission", "p")
    host = vhost.amqp_url.rpartition("@")[2]
    http_host = rabbitmq.management_url.rpartition("@")[2]
    cases = [
        (rabbitmq.amqp_url("missing"), Reason.VHOST_NOT_FOUND, "'missing'"),
        (rabbitmq.amqp_url("v" * 300), Reason.VHOST_NOT_FOUND, "'vvv"),
        (f"amqp://{rabbitmq.user}:wrong@{host}", Reason.BROKER_AUTHENTICATION_FAILED, "password"),
        (f"amqp://{host}", Reason.BROKER_AUTHENTICATION_FAILED, "password"),
        (f"amqp://amqp-no-permission:p@{host}", Reason.BROKER_FORBIDDEN, "permissions"),
        (f"amqp://u:p@{http_host}", Reason.BROKER_UNREACHABLE, "port"),
        (f"amqps://u:p@{host}", Reason.TLS_FAILED, "TLS"),
        ("amqp://u:p@nowhere.invalid", Reason.BROKER_UNREACHABLE, "DNS"),
        ("amqp://u:p@a..b", Reason.BROKER_UNREACHABLE, "DNS"),
        ("http://u:p@h", Reason.INVALID_URL, "amqp://"),
    ]
    for url, reason, words in cases:
        reading = read(url, "q")
        assert isinstance(reading, Unavailable), url
        assert reading.reason is reason, reading
        assert words in reading.message
        assert rabbitmq.password not in reading.message
        assert len(reading.message) < 600
    # What pika would log of a failed connection is a traceback, with names and addresses.
    assert [record for record in caplog.records if record.name.startswith("pika")] == []


def test_a_broker_that_is_down_is_unreachable(unused_tcp_port) -> None:
    reading = read(f"amqp://u:p@127.0.0.1:{unused_tcp_port}", "q")
    assert isinstance(reading, Unavailable)
    assert reading.reason is Reason.BROKER_UNREACHABLE
    assert "refuses connections" in reading.message


def test_a_silent_broker_is_given_up(monkeypatch) -> None:
    monkeypatch.setattr(amqp, "HANDSHAKE_TIMEOUT_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        reading = read(f"amqp://u:p@127.0.0.1:{silent.getsockname()[1]}", "q")
    assert isinstance(reading, Unavailable)
    assert reading.reason is Reason.BROKER_UNREACHABLE
    assert "in time" in reading.message


def test_tls_needs_the_authority_and_the_name_of_the_certificate(tls_rabbitmq) -> None:
    ca, url = tls_rabbitmq.ca_path.read_text(), tls_rabbitmq.amqps_url()
    assert isinstance(read(url, "q", ca=ca), Available)
    for given, bundle, words in (
        (url, None, "not trusted"),
        # Leads to 127.0.0.1, and stands in no certificate.
        (url.replace("127.0.0.1", "127.1"), ca, "not valid for"),
        (url, "not PEM", "PEM"),
    ):
        reading = read(given, "q", ca=bundle)
        assert isinstance(reading, Unavailable)
        assert reading.reason is Reason.TLS_FAILED
        assert words in reading.message
