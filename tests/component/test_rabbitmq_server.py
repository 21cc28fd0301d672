import socket
import ssl
from pathlib import Path

import httpx
import pika
import pytest
from pika.exceptions import ProbableAuthenticationError

from scanpool_sandbox.processes import StartError
from scanpool_sandbox.rabbitmq_files import Extras
from scanpool_sandbox.rabbitmq_server import RabbitMQServer


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_a_vhost_takes_messages_and_counts_them(vhost) -> None:
    connection = pika.BlockingConnection(pika.URLParameters(vhost.amqp_url))
    channel = connection.channel()
    channel.queue_declare("scan.vision", durable=True)
    channel.confirm_delivery()
    channel.basic_publish("", "scan.vision", b"{}")

    assert channel.queue_declare("scan.vision", passive=True).method.message_count == 1
    connection.close()
    with httpx.Client(base_url=vhost.management_url, trust_env=False) as client:
        answer = client.get(f"/api/queues/{vhost.name.replace('/', '%2F')}")
    assert [queue["name"] for queue in answer.json()] == ["scan.vision"]


def test_a_wrong_password_is_refused(rabbitmq, vhost) -> None:
    parameters = pika.URLParameters(vhost.amqp_url)
    parameters.credentials = pika.PlainCredentials(rabbitmq.user, "wrong")

    with pytest.raises(ProbableAuthenticationError):
        pika.BlockingConnection(parameters)


def test_tls_listeners_are_vouched_for_by_the_authority(tls_rabbitmq) -> None:
    trusted = ssl.create_default_context(cafile=str(tls_rabbitmq.ca_path))

    parameters = pika.URLParameters(tls_rabbitmq.amqps_url())
    parameters.ssl_options = pika.SSLOptions(trusted, "127.0.0.1")
    pika.BlockingConnection(parameters).close()

    url = f"{tls_rabbitmq.management_tls_url}/api/overview"
    with httpx.Client(verify=trusted, trust_env=False) as client:
        assert client.get(url).is_success
    with httpx.Client(trust_env=False) as client, pytest.raises(httpx.ConnectError):
        client.get(url)


def test_it_leaves_nothing_behind_and_keeps_its_queues_over_a_restart(
    rabbitmq, tmp_path: Path
) -> None:
    """Beside a broker that already runs, which it leaves alone."""
    server = RabbitMQServer(tmp_path)
    with server:
        connection = pika.BlockingConnection(pika.URLParameters(server.amqp_url()))
        connection.channel().queue_declare("scan.vision", durable=True)
        connection.close()

        server.restart()

        connection = pika.BlockingConnection(pika.URLParameters(server.amqp_url()))
        connection.channel().queue_declare("scan.vision", passive=True)
        connection.close()

    ports = server.ports
    for port in (ports.amqp, ports.management, ports.distribution, ports.epmd):
        assert not listens(port)
    assert listens(rabbitmq.ports.amqp)


def test_a_broker_that_cannot_start_shows_its_log(tmp_path: Path) -> None:
    server = RabbitMQServer(tmp_path)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", server.ports.amqp))
        taken.listen()
        with pytest.raises(StartError, match="rabbitmq-server exited with"):
            server.start()

    assert not listens(server.ports.epmd)


def test_a_second_node_joins_and_settings_count(tmp_path: Path) -> None:
    directories = [tmp_path / name for name in ("first", "second")]
    for directory in directories:
        directory.mkdir()
    extras = Extras({"management.rates_mode": "none"}, ("rabbitmq_top",))
    with (
        RabbitMQServer(directories[0], extras=extras) as first,
        RabbitMQServer(directories[1], peer=first) as second,
        httpx.Client(base_url=first.management_url, trust_env=False) as client,
    ):
        nodes = {node["name"]: node for node in client.get("/api/nodes").json()}
        assert nodes.keys() == {first.node, second.node}
        assert client.get("/api/overview").json()["rates_mode"] == "none"
        assert client.get(f"/api/top/{first.node}").is_success

        connection = pika.BlockingConnection(pika.URLParameters(second.amqp_url()))
        connection.channel().queue_declare("shared")
        queues = client.get("/api/queues/eco2").json()
        assert [(queue["name"], queue["node"]) for queue in queues] == [("shared", second.node)]
        connection.close()
