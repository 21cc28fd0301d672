"""How the process is to run: read once, from the command line or its environment."""

import argparse
import os
from dataclasses import dataclass

HEALTH_PORT = 8080
METRICS_PORT = 9090
# The kubelet and Prometheus come from other addresses.
HOST = "0.0.0.0"  # noqa: S104


@dataclass(frozen=True, slots=True)
class Settings:
    """What `scanpool run` is told.

    No namespaces: all of them. No allowed hosts: any that a pool's URLs name. `host` is the address
    that health and metrics are served on.
    """

    namespaces: tuple[str, ...] = ()
    host: str = HOST
    health_port: int = HEALTH_PORT
    metrics_port: int = METRICS_PORT
    json_logs: bool = True
    verbose: bool = False
    allowed_hosts: tuple[str, ...] = ()


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
    parser.add_argument("--host", default=HOST, help="address to serve on (%(default)s)")
    parser.add_argument("--health-port", type=int, default=HEALTH_PORT, help="(%(default)s)")
    parser.add_argument("--metrics-port", type=int, default=METRICS_PORT, help="(%(default)s)")
    parser.add_argument("--log-format", choices=("json", "text"), default="json")
    parser.add_argument("--verbose", action="store_true", help="log what is decided, too")


def from_arguments(arguments: argparse.Namespace) -> Settings:
    """Return the settings that the parsed options and the environment say."""
    return Settings(
        namespaces=_listed(arguments.namespace, "SCANPOOL_NAMESPACES"),
        host=arguments.host,
        health_port=arguments.health_port,
        metrics_port=arguments.metrics_port,
        json_logs=arguments.log_format == "json",
        verbose=arguments.verbose,
        allowed_hosts=_listed(arguments.allow_host, "SCANPOOL_ALLOWED_HOSTS"),
    )


def _listed(told: list[str], variable: str) -> tuple[str, ...]:
    """Return what options tell, else what a variable of the environment lists."""
    listed = told or os.environ.get(variable, "").split(",")
    return tuple(name.strip() for name in listed if name.strip())
