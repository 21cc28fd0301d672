"""The demo: the whole story of a pool on one machine, with real processes and a real broker."""

import argparse
import asyncio
import signal
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from scanpool_sandbox.demo.screen import Screen
from scanpool_sandbox.demo.story import Story
from scanpool_sandbox.demo.world import World

INTERRUPTED = 130
"""What a shell reports of a program that ended with SIGINT."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the demo; the exit code is 0 only if every claim of the story held."""
    parser = argparse.ArgumentParser(prog="scanpool-sandbox demo", description=__doc__)
    parser.add_argument("--keep", action="store_true", help="leave everything up until Ctrl-C")
    arguments = parser.parse_args(argv)
    try:
        return asyncio.run(_run(keep=arguments.keep))
    except asyncio.CancelledError:
        return INTERRUPTED


async def _run(*, keep: bool) -> int:
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
            held = await Story(world, screen).tell()
            if keep:
                screen.say(
                    f"Everything is still up:  export KUBECONFIG={world.kubeconfig}\n"
                    "kubectl -n scan get swp -w   Ctrl-C here ends it."
                )
                with suppress(asyncio.CancelledError):
                    await asyncio.Event().wait()
    return 0 if held else 1
