"""The configuration and the environment that keep a private RabbitMQ to one directory."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from scanpool_sandbox.tls import Certificates

ERLANG_ARGUMENTS = " ".join(
    [
        "+S 2:2 +SDio 2",
        "+sbwt none +sbwtdcpu none +sbwtdio none",
        "-kernel inet_dist_use_interface {127,0,0,1}",
    ]
)
"""Few schedulers which never spin while idle, as the machine is shared; nothing but loopback."""


@dataclass(frozen=True, slots=True)
class Ports:
    """Ports of 127.0.0.1; the TLS ones are 0 without TLS."""

    amqp: int
    management: int
    distribution: int
    epmd: int
    amqps: int = 0
    management_tls: int = 0


@dataclass(frozen=True, slots=True)
class Extras:
    """What a broker has beyond the usual: lines of its rabbitmq.conf, and more plugins."""

    settings: Mapping[str, str] = field(default_factory=dict)
    plugins: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Account:
    """The broker's first user, an administrator."""

    user: str
    password: str


def write_configuration(
    directory: Path,
    ports: Ports,
    account: Account,
    certificates: Certificates | None,
    extras: Extras,
) -> None:
    """Write the configuration files that `environment` names."""
    plugins = ", ".join(("rabbitmq_management", *extras.plugins))
    (directory / "enabled_plugins").write_text(f"[{plugins}].\n")
    # A machine's own /etc/rabbitmq/rabbitmq-env.conf would override the environment.
    (directory / "env.conf").write_text("")
    settings = {
        "listeners.tcp.local": f"127.0.0.1:{ports.amqp}",
        "management.tcp.ip": "127.0.0.1",
        "management.tcp.port": str(ports.management),
        "default_user": account.user,
        "default_pass": account.password,
        "log.console": "false",
        "log.file.level": "warning",
        # By default it stops taking messages below 50 MB, on a disk that is not its to guard.
        "disk_free_limit.absolute": "10MB",
    }
    if certificates is not None:
        settings |= _tls_settings(ports, certificates)
    settings |= extras.settings
    lines = [f"{name} = {value}\n" for name, value in settings.items()]
    (directory / "rabbitmq.conf").write_text("".join(lines))


def _tls_settings(ports: Ports, certificates: Certificates) -> dict[str, str]:
    settings = {
        "listeners.ssl.local": f"127.0.0.1:{ports.amqps}",
        "management.ssl.ip": "127.0.0.1",
        "management.ssl.port": str(ports.management_tls),
    }
    for listener in ("ssl_options", "management.ssl"):
        settings[f"{listener}.cacertfile"] = str(certificates.authority)
        settings[f"{listener}.certfile"] = str(certificates.server_certificate)
        settings[f"{listener}.keyfile"] = str(certificates.server_key)
    return settings


def environment(directory: Path, ports: Ports, node: str) -> dict[str, str]:
    """Return the whole environment for the broker and its epmd.

    Args:
        directory: for all files.
        ports: which to use.
        node: the Erlang node's name, unique on the machine.

    """
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("RABBITMQ_", "ERL_"))
    }
    return inherited | {
        "HOME": str(directory),  # for the Erlang cookie
        "ERL_EPMD_PORT": str(ports.epmd),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODENAME": node,
        "RABBITMQ_DIST_PORT": str(ports.distribution),
        "RABBITMQ_MNESIA_BASE": str(directory / "data"),
        "RABBITMQ_LOG_BASE": str(directory / "log"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(directory / "enabled_plugins"),
        "RABBITMQ_CONF_ENV_FILE": str(directory / "env.conf"),
        "RABBITMQ_CONFIG_FILE": str(directory / "rabbitmq.conf"),
        "RABBITMQ_CONFIG_FILES": str(directory / "conf.d"),
        "RABBITMQ_ADVANCED_CONFIG_FILE": str(directory / "advanced.config"),
        "RABBITMQ_PID_FILE": str(directory / "broker.pid"),
        "RABBITMQ_SCHEDULER_BIND_TYPE": "u",
        # Makes the start script become the server, rather than its parent: one id to stop.
        "RUNNING_UNDER_SYSTEMD": "true",
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": ERLANG_ARGUMENTS,
    }
