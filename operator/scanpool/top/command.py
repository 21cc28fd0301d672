"""`top`: the pools of a namespace, or of all, again and again."""

import argparse
import asyncio
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from scanpool.models.conditions import Reason
from scanpool.models.names import GROUP, PLURAL
from scanpool.models.reading import Reading, Unavailable
from scanpool.top.rows import History, remember, row

if TYPE_CHECKING:
    from rich.console import RenderableType

DEFAULT_INTERVAL_SECONDS = 5.0
LEAST_INTERVAL_SECONDS = 1.0
"""Pools tick every second at most, and their status is written less often than that."""
PLAIN_COLUMNS = 1_000
"""Width where the output is no terminal: wider than any table, as kubectl cuts nothing off there.
A COLUMNS of the shell is the width of its terminal, and says nothing about a pipe."""

Body = Mapping[str, Any]
Read = Callable[[], Awaitable[Reading[tuple[Body, ...]]]]
Show = Callable[["RenderableType"], None]
Pause = Callable[[], Awaitable[None]]


def register(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command; `run(arguments)` carries it out and returns the exit code."""
    parser = commands.add_parser(
        "top",
        help="show pools in the terminal, as they change",
        epilog="exit code: 0, also if there are no pools; 1 if they cannot be read",
    )
    chosen = parser.add_mutually_exclusive_group()
    chosen.add_argument("-n", "--namespace", metavar="NS", help="default: the kubeconfig's")
    chosen.add_argument("-A", "--all-namespaces", action="store_true")
    parser.add_argument(
        "--once", action="store_true", help="print one table and end; so does a pipe"
    )
    parser.add_argument(
        "--interval", type=_interval, default=DEFAULT_INTERVAL_SECONDS, metavar="SECONDS",
        help=f"from one look to the next ({DEFAULT_INTERVAL_SECONDS:g})",
    )  # fmt: skip
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Show the pools until Ctrl-C, or once."""
    # Both take a while to import: no other command waits for them.
    from rich.console import Console  # noqa: PLC0415
    from rich.live import Live  # noqa: PLC0415

    from scanpool.kube.api import KubeApi, NoClusterError  # noqa: PLC0415
    from scanpool.kube.cluster import Cluster  # noqa: PLC0415

    console = Console(highlight=False)
    is_once = arguments.once or not console.is_terminal
    if not console.is_terminal:
        console = Console(highlight=False, width=PLAIN_COLUMNS)
    with ThreadPoolExecutor(1) as executor:
        try:
            api = KubeApi(executor, 1)
        except NoClusterError as error:
            return _fail(str(error))
        namespace = None if arguments.all_namespaces else arguments.namespace or api.namespace
        cluster = Cluster(api, time.time)

        async def read() -> Reading[tuple[Body, ...]]:
            return await cluster.read_pools(namespace)

        async def pause() -> None:
            await asyncio.sleep(arguments.interval)

        try:
            if is_once:
                return asyncio.run(_once(read, namespace, console.print))
            with Live(console=console, screen=True, auto_refresh=False) as live:
                told = asyncio.run(
                    watch(read, namespace, lambda table: live.update(table, refresh=True), pause)
                )
            return _fail(told)
        except KeyboardInterrupt:
            return 0
        finally:
            api.close()


async def _once(read: Read, namespace: str | None, show: Show) -> int:
    from scanpool.top.table import PoolTable  # noqa: PLC0415 - as above: rich

    found = await read()
    if isinstance(found, Unavailable):
        return _fail(refusal(found, namespace))
    if found.value:
        show(PoolTable([row(body) for body in found.value], {}))
    else:
        _say(_none(namespace))
    return 0


async def watch(read: Read, namespace: str | None, show: Show, pause: Pause) -> str:
    """Show the pools after each pause; return why that cannot go on.

    An API server that goes away is waited for, with what it said last on show. One that never
    answered, or refuses, is not.
    """
    from scanpool.top.table import PoolTable  # noqa: PLC0415 - as above: rich

    history: History = {}
    shown: list[Body] | None = None
    while True:
        found = await read()
        caption = ""
        if not isinstance(found, Unavailable):
            shown = list(found.value)
            rows = [row(body) for body in shown]
            history = remember(history, rows)
            caption = "" if shown else _none(namespace)
        elif shown is None or found.reason is not Reason.KUBERNETES_UNAVAILABLE:
            return refusal(found, namespace)
        else:
            rows = [row(body) for body in shown]
            caption = f"{refusal(found, namespace)}. This is how it was; trying again"
        show(PoolTable(rows, history, caption))
        await pause()


def refusal(why: Unavailable, namespace: str | None) -> str:
    """Say why pools cannot be read, to the person whose kubeconfig it is."""
    match why.reason:
        case Reason.NOT_FOUND:
            return (
                f"the cluster knows no {PLURAL}.{GROUP}: apply crds/ there, or choose another "
                "cluster with KUBECONFIG"
            )
        case Reason.KUBERNETES_FORBIDDEN:
            where = "all namespaces" if namespace is None else f"namespace {namespace}"
            return (
                f"the Kubernetes API does not let you list {PLURAL}.{GROUP} in {where}: log in "
                "again, ask for that right, or name another namespace with -n"
            )
    return why.message.partition(";")[0]


def _none(namespace: str | None) -> str:
    where = "any namespace" if namespace is None else f"namespace {namespace}"
    return f"there are no pools in {where}"


def _interval(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is no number of seconds") from None
    if not LEAST_INTERVAL_SECONDS <= seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"it has to be {LEAST_INTERVAL_SECONDS:g} at least")
    return seconds


def _fail(why: str) -> int:
    _say(why)
    return 1


def _say(line: str) -> None:
    sys.stderr.write(f"scanpool: {line}\n")
