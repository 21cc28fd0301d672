"""Faults of RabbitMQ's management API, and of the queue: unknown is never zero."""

from functools import partial
from typing import Any
from urllib.parse import quote

import pika

from faults.case import Case, behind
from faults.expired import ExpiredServer, create_expired
from faults.gateway import Fault
from faults.injected import (
    answers,
    at,
    cuts,
    explodes,
    floods,
    is_late,
    redirects,
    rewrites,
    trickles,
)
from faults.world import MESSAGES, Part, World, key
from sandbox.scene import MANAGEMENT_URL
from scanpool.models.conditions import Reason
from scanpool_sandbox.rabbitmq_server import VHOST, RabbitMQServer

case = partial(behind, Part.BROKER)

AUTHORITY = "CA"
WRONG_PASSWORD = "wr0ng/pass word@%?#[]é"
COUNTS = r'"(messages_ready|messages)":\d+'


def has_wrong_password(w: World, name: str) -> None:
    url = w.management_url(name, password=WRONG_PASSWORD)
    w.scene.change_secret(name, **{MANAGEMENT_URL: url})


def has_the_right_password(w: World, name: str) -> None:
    w.scene.change_secret(name, **{MANAGEMENT_URL: w.management_url(name)})


def has_its_own(w: World, name: str) -> None:
    """Start a broker for this case, whose queue outlives it."""
    directory = w.scene.stage.kubeconfig.parent / name
    directory.mkdir()
    server = w.brokers[name] = RabbitMQServer(directory)
    server.start()
    w.closing.callback(server.stop)
    w.secrets[name] = server.password
    with pika.BlockingConnection(pika.URLParameters(server.amqp_url())) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        channel.queue_declare(name, durable=True)
        for _ in range(MESSAGES):
            channel.basic_publish("", name, b"scan", pika.BasicProperties(delivery_mode=2))


def at_its_own(w: World, name: str) -> dict[str, Any]:
    url = f"{w.brokers[name].management_url}/{VHOST}"
    w.scene.change_secret(name, **{MANAGEMENT_URL: url})
    return w.spec(name)


def has_a_certificate(w: World, name: str) -> None:
    """Start a server whose certificate has expired, and that the pool would trust but for that."""
    certificate, key_file = create_expired(w.scene.stage.kubeconfig.parent / name)
    server = w.closing.enter_context(w.background.running(ExpiredServer(certificate, key_file)))
    w.ports[name] = server.port
    w.scene.create_secret(f"{name}-ca", **{AUTHORITY: certificate.read_text()})


def with_an_authority(w: World, name: str) -> dict[str, Any]:
    spec = w.spec(name)
    spec["rabbitmq"]["caSecretRef"] = {"name": f"{name}-ca", "key": AUTHORITY}
    return spec


def is_behind_the_certificate(w: World, name: str) -> None:
    url = f"https://{w.rabbitmq.user}:{quote(key(name), safe='')}@127.0.0.1:{w.ports[name]}/eco2"
    w.scene.change_secret(name, **{MANAGEMENT_URL: url})


def said(status: int, reason: str) -> Fault:
    return answers(status, {"error": "no", "reason": reason})


UNREACHABLE, ERROR = Reason.BROKER_UNREACHABLE, Reason.BROKER_ERROR
AUTHENTICATION = Reason.BROKER_AUTHENTICATION_FAILED

ALARMS = {"status": "failed", "alarms": [{"node": "rabbit@a", "resource": "memory"}]}

CASES = (
    Case(
        "broker-killed", Part.BROKER, "killed, and started again",
        lambda w, name: w.brokers[name].kill(), lambda w, name: w.brokers[name].start(),
        3, reason=str(UNREACHABLE), spec=at_its_own, prepare=has_its_own,
    ),
    Case(
        "broker-expired", Part.BROKER, "a certificate that has expired",
        is_behind_the_certificate, has_the_right_password, 3, reason=str(Reason.TLS_FAILED),
        spec=with_an_authority, prepare=has_a_certificate,
    ),
    case("alarm", "an alarm, since a node is short of memory",
         at(r"GET .*/health/checks/alarms", answers(503, ALARMS)), Reason.BROKER_ALARM),
    Case(
        "broker-wrong-password", Part.BROKER, "a wrong password in the Secret",
        has_wrong_password, has_the_right_password, 3, reason=str(AUTHENTICATION),
    ),
    Case(
        "broker-queue-gone", Part.BROKER, "the queue deleted, and declared anew",
        lambda w, name: w.scene.queues.delete(name),
        lambda w, name: w.scene.queues.publish(name, MESSAGES),
        # It fills one message after the other.
        3, reason=str(Reason.QUEUE_NOT_FOUND), is_known=True,
    ),
    case("login-failed", "status 401 to the right password", said(401, "Login failed"),
         AUTHENTICATION),
    case("forbidden", "status 401, not a management user", said(401, "Not management user"),
         Reason.BROKER_FORBIDDEN),
    case("plugin-off", "the management plugin off: 404 without a reason", answers(404), ERROR),
    case("vhost-gone", "the virtual host deleted: 404 with a reason", said(404, "Not Found"),
         Reason.VHOST_NOT_FOUND),
    case("500", "status 500", answers(500), ERROR),
    case("503", "status 503 with a page", answers(503, "<html>away</html>"), ERROR),
    case("page", "200 with a page for a body", answers(200, "<html>log in</html>"), ERROR),
    case("redirect", "a redirect to another server", redirects("http://127.0.0.1:9/"), ERROR),
    case("slow", "an answer after 12 s", is_late(12.0), UNREACHABLE),
    case("trickle", "an answer of a byte a second that never ends", trickles(), UNREACHABLE),
    case("reset", "a reset in the middle of a body", cuts(), UNREACHABLE),
    case("flood", "a body of 2 GB", floods(), UNREACHABLE),
    case("bomb", "a body of 1 MB that unpacks to 1 GB", explodes(), UNREACHABLE),
    case("empty", "200 with an empty list for everything", answers(200, []), ERROR),
    case("counts-gone", "queues without counts",
         rewrites(COUNTS, r'"\1_":0'), Reason.QUEUE_DOWN),
    case("counts-negative", "counts below zero", rewrites(COUNTS, r'"\1":-1'), Reason.QUEUE_DOWN),
    case("counts-text", "counts that are no numbers",
         rewrites(COUNTS, r'"\1":"many"'), Reason.QUEUE_DOWN),
)  # fmt: skip
