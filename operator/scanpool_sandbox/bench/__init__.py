"""The bench: many pools under the real operator, and what they cost."""

import argparse
import asyncio
import json
import os
import signal
import tempfile
from collections.abc import Sequence
from pathlib import Path

from scanpool_sandbox.bench.objects import Plan
from scanpool_sandbox.bench.report import as_json, table
from scanpool_sandbox.bench.run import run
from scanpool_sandbox.bench.servers import Servers

INTERRUPTED = 130
"""What a shell reports of a program that ended with SIGINT."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the bench, print its table and write its figures; the exit code is 0 if it could."""
    parser = argparse.ArgumentParser(prog="scanpool-sandbox bench", description=__doc__)
    parser.add_argument("--pools", type=int, default=100)
    parser.add_argument("--keys", type=int, default=20, help="API keys that they share")
    parser.add_argument("--seconds", type=float, default=120.0, help="of steady loads")
    parser.add_argument("--waves", type=int, default=2, help="bursts of messages after that")
    parser.add_argument(
        "--json", type=Path, metavar="FILE", default=Path("bench.json"), help="%(default)s"
    )
    parser.add_argument(
        "--keep-logs", type=Path, metavar="DIR", help="keep the logs of all processes there"
    )
    arguments = parser.parse_args(argv)
    try:
        return asyncio.run(_bench(arguments))
    except asyncio.CancelledError:
        return INTERRUPTED


async def _bench(arguments: argparse.Namespace) -> int:
    task = asyncio.current_task()
    if task is not None:
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    plan = Plan(arguments.pools, arguments.keys)
    with tempfile.TemporaryDirectory(prefix="scanpool-bench-") as made:
        directory = arguments.keep_logs or Path(made)
        directory.mkdir(parents=True, exist_ok=True)
        async with Servers(directory, plan, os.environ.get("KUBECONFIG")) as servers:
            figures = await run(servers, plan, arguments.seconds, arguments.waves)
    print(table(figures))
    arguments.json.write_text(json.dumps(as_json(figures), indent=2) + "\n")
    print(f"The same as JSON: {arguments.json}")
    return 0
