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

    No namespaces: all of them. `host` is the address that health and metrics are served on.
    """

    namespaces: tuple[str, ...] = ()
    host: str = HOST
    health_port: int = HEALTH_PORT
    metrics_port: int = METRICS_PORT
    json_logs: bool = True
    verbose: bool = False


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `scanpool run`; SCANPOOL_NAMESPACES is their default in a manifest."""
    parser.add_argument(
        "-n", "--namespace", action="append", default=[], metavar="NS",
        help="watch this namespace only, and ask for no rights beyond it; may be given several "
        "times (default: $SCANPOOL_NAMESPACES, separated by commas, else all)",
    )  # fmt: skip
    parser.add_argument("--host", default=HOST, help="address to serve on (%(default)s)")
    parser.add_argument("--health-port", type=int, default=HEALTH_PORT, help="(%(default)s)")
    parser.add_argument("--metrics-port", type=int, default=METRICS_PORT, help="(%(default)s)")
    parser.add_argument("--log-format", choices=("json", "text"), default="json")
    parser.add_argument("--verbose", action="store_true", help="log what is decided, too")


def from_arguments(arguments: argparse.Namespace) -> Settings:
    """Return the settings that the parsed options and the environment say."""
    listed = arguments.namespace or os.environ.get("SCANPOOL_NAMESPACES", "").split(",")
    return Settings(
        namespaces=tuple(name.strip() for name in listed if name.strip()),
        host=arguments.host,
        health_port=arguments.health_port,
        metrics_port=arguments.metrics_port,
        json_logs=arguments.log_format == "json",
        verbose=arguments.verbose,
    )
