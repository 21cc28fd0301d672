"""Run the emulator as a process: `python -m scanpool_sandbox.kube --directory DIR`."""

from __future__ import annotations

import argparse
import asyncio
import gc
import shlex
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from scanpool_sandbox.kube import KubeEmulator, Node
from scanpool_sandbox.kube.kubelet.images import Program

if TYPE_CHECKING:
    from collections.abc import Sequence


def _node(text: str) -> Node:
    values = dict(part.partition("=")[::2] for part in text.split(","))
    unknown = set(values) - {"name", "cpu", "memory"}
    if unknown or "name" not in values:
        raise argparse.ArgumentTypeError("expected name=NAME[,cpu=CORES][,memory=QUANTITY]")
    default = Node(values["name"])
    return Node(
        values["name"], values.get("cpu", default.cpu), values.get("memory", default.memory)
    )


def _image(text: str) -> tuple[str, Program]:
    repository, equals, command = text.partition("=")
    if not equals or not command:
        raise argparse.ArgumentTypeError("expected REPOSITORY=COMMAND")
    return repository, Program(tuple(shlex.split(command)))


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m scanpool_sandbox.kube", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="port of 127.0.0.1 (default: any)")
    parser.add_argument(
        "--directory", type=Path, required=True, help="where kubeconfig and pods' logs go"
    )
    parser.add_argument(
        "--node", type=_node, action="append", default=[], metavar="name=N,cpu=2,memory=3826Mi"
    )
    parser.add_argument(
        "--image",
        type=_image,
        action="append",
        metavar="REPOSITORY=COMMAND",
        help="run this image as a local process; without any, all images are simulated",
    )
    return parser.parse_args(argv)


# A look for garbage among all objects stops the server for up to a second with 1,000 Deployments,
# and finds next to nothing: what is stored is in no cycle. By Python's own thresholds there is one
# every few seconds.
_COLLECTIONS = (1_000, 10, 1_000)


async def _run(arguments: argparse.Namespace) -> None:
    gc.set_threshold(*_COLLECTIONS)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    emulator = KubeEmulator(
        arguments.node,
        dict(arguments.image) if arguments.image else None,
        arguments.directory,
        arguments.port,
    )
    async with emulator as kube:
        path = kube.write_kubeconfig(arguments.directory.resolve() / "kubeconfig")
        print(f"ready: {kube.url} KUBECONFIG={path}", flush=True)
        await stop.wait()


def main(argv: Sequence[str] | None = None) -> int:
    """Run until SIGINT or SIGTERM."""
    asyncio.run(_run(_arguments(argv)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
