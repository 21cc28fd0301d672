"""The demo: the whole story of a pool on one machine, with real processes and a real broker."""

import argparse
import asyncio
import json
import signal
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from scanpool_sandbox.demo.screen import Screen
from scanpool_sandbox.demo.story import Story
from scanpool_sandbox.demo.world import ROOT, World
from scanpool_sandbox.picture.asking import Span, ask
from scanpool_sandbox.picture.drawing import draw

DASHBOARD = ROOT / "manifests" / "monitoring" / "dashboard.json"
INTERRUPTED = 130
"""What a shell reports of a program that ended with SIGINT."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the demo; the exit code is 0 only if every claim of the story held."""
    parser = argparse.ArgumentParser(prog="scanpool-sandbox demo", description=__doc__)
    parser.add_argument("--keep", action="store_true", help="leave everything up until Ctrl-C")
    parser.add_argument(
        "--picture", type=Path, metavar="SVG", help="draw the Grafana dashboard of the story"
    )
    arguments = parser.parse_args(argv)
    try:
        return asyncio.run(_run(arguments))
    except asyncio.CancelledError:
        return INTERRUPTED


async def _run(arguments: argparse.Namespace) -> int:
    task = asyncio.current_task()
    if task is not None:
        # By hand, for SIGINT too: a shell starts a background job with SIGINT ignored.
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    screen = Screen()
    with tempfile.TemporaryDirectory(prefix="scanpool-demo-") as directory:
        screen.say("Starting RabbitMQ, Prometheus, a Kubernetes API and an LLM provider ...")
        async with World(Path(directory)) as world:
            screen.say(f"For a second terminal:  export KUBECONFIG={world.kubeconfig}")
            began = time.time()
            held = await Story(world, screen).tell()
            if arguments.picture:
                span = Span(began, time.time())
                await asyncio.to_thread(_draw, world.prometheus.url, span, arguments.picture)
                screen.say(f"The dashboard of these minutes is in {arguments.picture}.")
            if arguments.keep:
                screen.say(
                    f"Everything is still up:  export KUBECONFIG={world.kubeconfig}\n"
                    "kubectl -n scan get swp -w   Ctrl-C here ends it."
                )
                with suppress(asyncio.CancelledError):
                    await asyncio.Event().wait()
    return 0 if held else 1


def _draw(prometheus_url: str, span: Span, path: Path) -> None:
    panels = ask(prometheus_url, json.loads(DASHBOARD.read_text()), span)
    title = "The Grafana dashboard of scanpool, with the demo's data"
    path.write_text(draw(title, panels, span.end - span.start))
