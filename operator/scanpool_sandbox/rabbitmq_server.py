"""A private RabbitMQ: the real server, with everything it touches in one directory.

An already running broker is neither used nor disturbed: this one has its own node name, ports,
epmd, data, logs, cookie, plugins and configuration. Several can run at once.
"""

import secrets
import shutil
import socket
from pathlib import Path
from typing import Self
from urllib.parse import quote

import httpx

from scanpool_sandbox.processes import ChildProcess, StartError, free_port
from scanpool_sandbox.rabbitmq_files import (
    Account,
    Extras,
    Ports,
    environment,
    write_configuration,
)
from scanpool_sandbox.tls import Certificates, create_certificates

DEBIAN_SCRIPT = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
"""The server itself. The wrapper of the same name in PATH changes to the user rabbitmq and logs to
/var/log, neither of which a private broker wants."""

EPMD_START_SECONDS = 10.0
BROKER_START_SECONDS = 90.0
"""It takes 5-8 s on an idle machine of two cores; a shared one may be much slower."""
BROKER_STOP_SECONDS = 20.0

USER = "scanpool"
VHOST = "eco2"
"""The vhost of the workload that the sandbox stands in for."""


class RabbitMQServer:
    """A RabbitMQ with the management plugin, a user with a password, and a vhost.

    Args:
        directory: an existing directory for all its files; the caller removes it.
        tls: also listen with TLS, with a certificate of an authority made for it.
        extras: lines of its configuration and plugins beyond the usual.
        peer: a broker that runs, whose cluster this one joins at its first start; it has that
            one's user, and its vhosts and queues.

    Use as a context manager, or call `start` and `stop` or `kill`; all block.

    """

    def __init__(
        self,
        directory: Path,
        *,
        tls: bool = False,
        extras: Extras | None = None,
        peer: "RabbitMQServer | None" = None,
    ) -> None:
        self._directory = directory
        self._extras = extras or Extras()
        self._peer = peer
        self._ports = Ports(
            amqp=free_port(),
            management=free_port(),
            distribution=free_port(),
            epmd=free_port() if peer is None else peer.ports.epmd,
            amqps=free_port() if tls else 0,
            management_tls=free_port() if tls else 0,
        )
        self._certificates: Certificates | None = None
        self._tls = tls
        self._node = f"scanpool-{secrets.token_hex(4)}@localhost"
        self._password = secrets.token_urlsafe(12) if peer is None else peer.password
        self._cookie: str = secrets.token_hex(10) if peer is None else peer.cookie
        self._epmd: ChildProcess | None = None
        self._broker: ChildProcess | None = None

    @property
    def user(self) -> str:
        """The user, an administrator."""
        return USER

    @property
    def password(self) -> str:
        """The user's password, made for this broker."""
        return self._password

    @property
    def cookie(self) -> str:
        """The secret that the nodes of a cluster share."""
        return self._cookie

    @property
    def node(self) -> str:
        """The name of its node."""
        return self._node

    @property
    def ports(self) -> Ports:
        """The ports it listens on."""
        return self._ports

    @property
    def certificates(self) -> Certificates:
        """The files of its TLS listeners, and a certificate of its user.

        Raises:
            ValueError: if it was not started with TLS.

        """
        if self._certificates is None:
            message = "this RabbitMQ was not started with TLS"
            raise ValueError(message)
        return self._certificates

    @property
    def ca_path(self) -> Path:
        """The authority's certificate (PEM) that vouches for the TLS listeners."""
        return self.certificates.authority

    def amqp_url(self, vhost: str = VHOST) -> str:
        """Return amqp://user:password@host:port/vhost, percent-encoded."""
        return self._url("amqp", self._ports.amqp, "/" + quote(vhost, safe=""))

    def amqps_url(self, vhost: str = VHOST) -> str:
        """Return the same for the TLS listener."""
        return self._url("amqps", self._ports.amqps, "/" + quote(vhost, safe=""))

    @property
    def management_url(self) -> str:
        """http://user:password@host:port of the management API, without /api."""
        return self._url("http", self._ports.management)

    @property
    def management_tls_url(self) -> str:
        """The same for the TLS listener, https."""
        return self._url("https", self._ports.management_tls)

    def start(self) -> Self:
        """Start it and return once it accepts AMQP and the user and vhost exist.

        Raises:
            StartError: if rabbitmq-server is not installed or does not come up.

        """
        try:
            if self._tls:
                self._certificates = create_certificates(self._directory / "tls", USER)
            if self._peer is None:
                self._start_epmd()
            self._start_broker()
            self.create_vhost(VHOST)
        except BaseException:
            self.kill()
            raise
        return self

    def stop(self) -> None:
        """Stop the broker in order, then its epmd. A later `start` finds the same data."""
        if self._broker is not None:
            self._broker.stop(grace_seconds=BROKER_STOP_SECONDS)
            self._broker = None
        self.kill()

    def kill(self) -> None:
        """End it at once. In order it takes 6 s, which a broker that is done with need not."""
        for process in (self._broker, self._epmd):
            if process is not None:
                process.kill()
        self._broker = self._epmd = None

    def restart(self) -> None:
        """Stop and start it on the same ports; durable queues survive."""
        self.stop()
        self.start()

    def configure(self, extras: Extras) -> None:
        """Have other extras from its next start on."""
        self._extras = extras

    def create_vhost(self, name: str) -> None:
        """Create a vhost and give the user all rights in it."""
        self._put(f"/api/vhosts/{quote(name, safe='')}", {})
        self.permit(USER, name, configure=".*", write=".*", read=".*")

    def delete_vhost(self, name: str) -> None:
        """Delete a vhost with all its queues, closing its connections."""
        with self._client() as client:
            client.delete(f"/api/vhosts/{quote(name, safe='')}").raise_for_status()

    def create_user(self, name: str, password: str, *, tags: str = "") -> None:
        """Create another user, without permissions on any vhost.

        Args:
            name: the user.
            password: its password.
            tags: for example "monitoring"; without a tag the management API refuses it.

        """
        self._put(f"/api/users/{quote(name, safe='')}", {"password": password, "tags": tags})

    def permit(
        self, user: str, vhost: str, *, configure: str = "^$", write: str = "^$", read: str = "^$"
    ) -> None:
        """Give a user rights on the names in a vhost that these expressions match."""
        rights = {"configure": configure, "write": write, "read": read}
        self._put(f"/api/permissions/{quote(vhost, safe='')}/{quote(user, safe='')}", rights)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.kill()

    def _url(self, scheme: str, port: int, path: str = "") -> str:
        return f"{scheme}://{USER}:{quote(self._password, safe='')}@127.0.0.1:{port}{path}"

    def _client(self) -> httpx.Client:
        return httpx.Client(base_url=self.management_url, timeout=10.0, trust_env=False)

    def _put(self, path: str, body: dict[str, str]) -> None:
        with self._client() as client:
            client.put(path, json=body).raise_for_status()

    def _start_epmd(self) -> None:
        """Start the port mapper as our own child: Erlang would leave one behind."""
        self._epmd = ChildProcess(
            [_command("epmd"), "-address", "127.0.0.1", "-port", str(self._ports.epmd)],
            log_path=self._directory / "epmd.log",
            environment=environment(self._directory, self._ports, self._node),
        )
        self._epmd.wait_until_ready(
            lambda: _accepts(self._ports.epmd), timeout_seconds=EPMD_START_SECONDS
        )

    def _start_broker(self) -> None:
        account = Account(USER, self._password)
        write_configuration(
            self._directory, self._ports, account, self._certificates, self._clustered()
        )
        cookie = self._directory / ".erlang.cookie"
        cookie.unlink(missing_ok=True)
        cookie.write_text(self._cookie)
        cookie.chmod(0o400)
        script = DEBIAN_SCRIPT if DEBIAN_SCRIPT.exists() else _command("rabbitmq-server")
        self._broker = ChildProcess(
            [script],
            log_path=self._directory / "broker.log",
            environment=environment(self._directory, self._ports, self._node),
        )
        self._broker.wait_until_ready(self._is_ready, timeout_seconds=BROKER_START_SECONDS)

    def _clustered(self) -> Extras:
        """Return its extras with the nodes to look for at its first start."""
        if self._peer is None:
            return self._extras
        formation = {
            "cluster_formation.peer_discovery_backend": "classic_config",
            "cluster_formation.classic_config.nodes.1": self._peer.node,
            "cluster_formation.classic_config.nodes.2": self._node,
        }
        return Extras({**formation, **self._extras.settings}, self._extras.plugins)

    def _is_ready(self) -> bool:
        """Ask the broker itself: another process may hold the port."""
        ports = [self._ports.amqp, *([self._ports.amqps] if self._tls else [])]
        try:
            with self._client() as client:
                return all(
                    client.get(f"/api/health/checks/port-listener/{port}").is_success
                    for port in ports
                )
        except httpx.TransportError:
            return False


def _command(name: str) -> Path:
    found = shutil.which(name)
    if found is None:
        message = f"{name} is not installed (on Debian: apt-get install rabbitmq-server)"
        raise StartError(message)
    return Path(found)


def _accepts(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
