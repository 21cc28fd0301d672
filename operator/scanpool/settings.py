"""How the process is to run: read once, from the command line or its environment."""

import argparse
import os
from dataclasses import dataclass, field
from pathlib import Path

from scanpool.lead.election import LEASE_SECONDS
from scanpool.models.label_selector import LabelSelector, SelectorError, parse

LEASE = "scanpool"
HEALTH_PORT = 8080
METRICS_PORT = 9090
# The kubelet and Prometheus come from other addresses.
HOST = "0.0.0.0"  # noqa: S104


@dataclass(frozen=True, slots=True)
class Election:
    """The Lease that tells who leads, by its name, and how many seconds it lasts."""

    lease: str = LEASE
    seconds: int = LEASE_SECONDS


@dataclass(frozen=True, slots=True)
class Shard:
    """One operator of several in a cluster, by the name of its Lease, and which pools it works."""

    name: str
    selector: LabelSelector


@dataclass(frozen=True, slots=True)
class KedaScaler:
    """The port on which KEDA is answered as an external scaler.

    `tls` is a directory with tls.crt and tls.key; without, there is no TLS. `client_ca` is the
    authority that has signed the certificates of those who may ask; without, anybody may.
    """

    port: int
    tls: Path | None = None
    client_ca: Path | None = None


@dataclass(frozen=True, slots=True)
class Settings:
    """What `scanpool run` is told.

    No namespaces: all of them. No election: this process leads, and there must be no other. No
    shard: no other operator works other pools. No allowed hosts: any that a pool's URLs name. No
    keda: KEDA is not answered. `host` is the address that all of it is served on.
    """

    namespaces: tuple[str, ...] = ()
    host: str = HOST
    health_port: int = HEALTH_PORT
    metrics_port: int = METRICS_PORT
    json_logs: bool = True
    verbose: bool = False
    allowed_hosts: tuple[str, ...] = ()
    election: Election | None = field(default_factory=Election)
    shard: Shard | None = None
    keda: KedaScaler | None = None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `scanpool run`; in a manifest the environment may hold the lists."""
    parser.add_argument(
        "-n", "--namespace", action="append", default=[], metavar="NS",
        help="watch this namespace only, and ask for no rights beyond it; may be given several "
        "times (default: $SCANPOOL_NAMESPACES, separated by commas, else all)",
    )  # fmt: skip
    parser.add_argument(
        "--allow-host", action="append", default=[], metavar="HOST",
        help="send what pools ask for to this host only, such as api.openai.com, *.svc, or "
        "rabbitmq.broker:15672; may be given several times (default: $SCANPOOL_ALLOWED_HOSTS, "
        "separated by commas, else to any)",
    )  # fmt: skip
    parser.add_argument(
        "-l", "--selector", type=_selector, metavar="SELECTOR",
        help="work only the pools with these labels, as one of several operators; each needs a "
        "--lease of its own, and the pools of one key belong to one ('' selects all)",
    )  # fmt: skip
    parser.add_argument("--host", default=HOST, help="address to serve on (%(default)s)")
    parser.add_argument("--health-port", type=int, default=HEALTH_PORT, help="(%(default)s)")
    parser.add_argument("--metrics-port", type=int, default=METRICS_PORT, help="(%(default)s)")
    parser.add_argument(
        "--keda-port", type=int, metavar="PORT",
        help="be an external scaler of KEDA on this port, whose ScaledObjects may have the "
        "ceilings of pools in mode Observe (default: do not)",
    )  # fmt: skip
    parser.add_argument(
        "--keda-tls", type=Path, metavar="DIR",
        help="by TLS, with tls.crt and tls.key of this directory (default: without)",
    )  # fmt: skip
    parser.add_argument(
        "--keda-client-ca", type=Path, metavar="FILE",
        help="and only for clients whose certificate this authority has signed (default: for any)",
    )  # fmt: skip
    parser.add_argument(
        "--leader-elect", choices=("true", "false"), default="true",
        help="work the pools only while holding a Lease, so that another replica can stand by; "
        "false for a single one (%(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--lease", default=LEASE, metavar="NAME",
        help="the Lease, in the namespace that the operator is in (%(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--lease-seconds", type=_positive, default=LEASE_SECONDS, metavar="N",
        help="how long a Lease lasts; its holder acts for two thirds of it without a renewal, and "
        "renews it 7.5 times in it (%(default)s)",
    )  # fmt: skip
    parser.add_argument("--log-format", choices=("json", "text"), default="json")
    parser.add_argument("--verbose", action="store_true", help="log what is decided, too")


def from_arguments(arguments: argparse.Namespace) -> Settings:
    """Return the settings that the parsed options and the environment say.

    Raises:
        SystemExit: if an option is of no effect without another one that is missing.

    """
    return Settings(
        namespaces=_listed(arguments.namespace, "SCANPOOL_NAMESPACES"),
        host=arguments.host,
        health_port=arguments.health_port,
        metrics_port=arguments.metrics_port,
        json_logs=arguments.log_format == "json",
        verbose=arguments.verbose,
        allowed_hosts=_listed(arguments.allow_host, "SCANPOOL_ALLOWED_HOSTS"),
        election=Election(arguments.lease, arguments.lease_seconds)
        if arguments.leader_elect == "true"
        else None,
        shard=None if arguments.selector is None else Shard(arguments.lease, arguments.selector),
        keda=_keda(arguments.keda_port, arguments.keda_tls, arguments.keda_client_ca),
    )


def _keda(port: int | None, tls: Path | None, client_ca: Path | None) -> KedaScaler | None:
    if port is None and tls is not None:
        raise SystemExit("scanpool run: --keda-tls needs --keda-port")
    if tls is None and client_ca is not None:
        raise SystemExit("scanpool run: --keda-client-ca needs --keda-tls")
    return None if port is None else KedaScaler(port, tls, client_ca)


def _listed(told: list[str], variable: str) -> tuple[str, ...]:
    """Return what options tell, else what a variable of the environment lists."""
    listed = told or os.environ.get(variable, "").split(",")
    return tuple(name.strip() for name in listed if name.strip())


def _selector(text: str) -> LabelSelector:
    try:
        return parse(text)
    except SelectorError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _positive(text: str) -> int:
    if (number := int(text)) < 1:
        raise ValueError(text)
    return number
