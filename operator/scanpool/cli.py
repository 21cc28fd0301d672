"""The commands: run the operator, print its CRD, look at pools, come over from KEDA."""

import argparse
import asyncio
import os
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, cast

from scanpool import settings
from scanpool.convert import command as convert_command
from scanpool.crd import custom_resource_definition_yaml
from scanpool.dashboard.grafana import dashboard_json
from scanpool.models.names import RELEASE
from scanpool.models.reading import Unavailable
from scanpool.top import command as top_command

# Entry points that add a command: each is called with the subparsers, and sets `run`.
COMMANDS = "scanpool.commands"
# The program's name as a plugin of kubectl, which runs it for `kubectl scanpool`.
PLUGIN = "kubectl-scanpool"
# What a shell reports of a program that SIGPIPE has ended.
BROKEN_PIPE = 141


def main(argv: Sequence[str] | None = None) -> int:
    """Carry out a command, and return its exit code."""
    arguments = _parser().parse_args(argv)
    try:
        return _carry_out(arguments)
    except BrokenPipeError:
        # The reader, such as `head`, has seen enough. Python would complain again at its exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE


def _carry_out(arguments: argparse.Namespace) -> int:
    command: str = arguments.command
    if "run" in arguments:
        code: int = arguments.run(arguments)
        return code
    if command == "crd":
        sys.stdout.write(custom_resource_definition_yaml())
        return 0
    if command == "dashboard":
        sys.stdout.write(dashboard_json())
        return 0
    if command == "explain":
        return _explain(arguments.namespace, arguments.name)
    # Where rich is installed, the HTTP client would load a command line of its own with it: 4 MiB.
    sys.modules["httpx._main"] = cast("Any", None)
    # kopf takes half a second to import: only `run` waits for it.
    from scanpool.controller import handlers  # noqa: PLC0415

    handlers.run(settings.from_arguments(arguments))
    return 0


def _explain(namespace: str | None, name: str) -> int:
    from scanpool.kube.api import KubeApi, NoClusterError  # noqa: PLC0415 - as above: kubernetes
    from scanpool.kube.cluster import Cluster  # noqa: PLC0415
    from scanpool.report.explain import explain  # noqa: PLC0415

    with ThreadPoolExecutor(1) as executor:
        try:
            api = KubeApi(executor, 1)
        except NoClusterError as error:
            print(f"scanpool: {error}", file=sys.stderr)
            return 1
        pool = asyncio.run(Cluster(api, time.time).read_pool(namespace or api.namespace, name))
        api.close()
    if isinstance(pool, Unavailable):
        print(f"scanpool: {pool.message}", file=sys.stderr)
        return 1
    print(explain(pool.value))
    return 0


def _parser() -> argparse.ArgumentParser:
    called = Path(sys.argv[0]).stem
    prog = "kubectl scanpool" if called == PLUGIN else "scanpool"
    parser = argparse.ArgumentParser(prog=prog, description=__doc__)
    parser.add_argument("--version", action="version", version=f"scanpool {RELEASE}")
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="run the operator")
    settings.add_arguments(run)
    for point in entry_points(group=COMMANDS):
        # The operator's image has the declaration, and not the package that it names.
        with suppress(ModuleNotFoundError):
            point.load()(commands)
    convert_command.register(commands)
    top_command.register(commands)
    commands.add_parser("crd", help="print the CustomResourceDefinition")
    commands.add_parser("dashboard", help="print the Grafana dashboard as JSON")
    explained = commands.add_parser("explain", help="say in words why a pool has its replicas")
    explained.add_argument(
        "-n", "--namespace", metavar="NS", help="default: the kubeconfig's"
    )  # fmt: skip
    explained.add_argument("name", help="name of a ScanWorkerPool")
    return parser
