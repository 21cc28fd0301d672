"""The real workers, as processes of a test, and what a test asks of it and of its broker."""

import asyncio
import os
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pika

from scanpool_sandbox.openai_provider import OpenAISettings, Provider
from scanpool_sandbox.openai_server import OpenAIServer
from scanpool_sandbox.pipeline import DEAD_LETTER_QUEUE, RESULTS_QUEUE, SCANS, STEPS, Pipeline
from scanpool_sandbox.processes import ChildProcess

DONE_SECONDS = 60
"""For a worker to start and to work off some scans: seconds, on a busy machine some more."""
POLL_SECONDS = 0.02
CONCURRENCY = 4
READY = b"ready."
"""What a worker logs once it consumes."""


class StartWorker:
    """Starts workers that end with the stack; whatever they hold then is of no interest."""

    def __init__(self, directory: Path, stack: ExitStack) -> None:
        self._directory = directory
        self._stack = stack
        self._started = 0

    def __call__(
        self,
        amqp_url: str,
        server: OpenAIServer,
        *,
        concurrency: int = CONCURRENCY,
        pipeline: Pipeline = SCANS,
        **environment: str,
    ) -> ChildProcess:
        """Start one, without waiting for it."""
        name = f"worker-{self._started}"
        self._started += 1
        command = [
            sys.executable, "-m", "celery",
            f"--app=scanpool_sandbox.workers.{pipeline.name}", "worker",
            "--pool=gevent", f"--concurrency={concurrency}", f"--hostname={name}",
            "--loglevel=INFO", "--without-gossip", "--without-mingle",
        ]  # fmt: skip
        settings = {
            "CELERY_BROKER_URL": amqp_url,
            "OPENAI_API_KEY": "sk-sandbox",
            "OPENAI_BASE_URL": server.base_url,
        }
        worker = ChildProcess(
            command,
            log_path=self._directory / f"{name}.log",
            environment=os.environ | settings | environment,
        )
        self._stack.callback(worker.kill)
        return worker


@dataclass(frozen=True)
class AtWork:
    """A worker that all tests of a file share, with the broker and the provider that it knows."""

    amqp_url: str
    server: OpenAIServer
    worker: ChildProcess

    def grant(self, settings: OpenAISettings) -> Provider:
        """Put a fresh account in the place of the provider's, with nothing counted yet."""
        self.server.provider = Provider(settings)
        return self.server.provider


async def until(condition: Callable[[], bool]) -> None:
    """Await what nobody announces."""
    async with asyncio.timeout(DONE_SECONDS):
        while not condition():
            await asyncio.sleep(POLL_SECONDS)


async def said(worker: ChildProcess, words: bytes) -> None:
    """Await a line of a worker's log."""
    await until(lambda: words in worker.log_path.read_bytes())


def depths(amqp_url: str) -> dict[str, int]:
    """Ready messages of every queue of the pipeline, dead letters and results included."""
    connection = pika.BlockingConnection(pika.URLParameters(amqp_url))
    channel = connection.channel()
    queues = [*(step.queue for step in STEPS), RESULTS_QUEUE, DEAD_LETTER_QUEUE]
    counts = {
        queue: channel.queue_declare(queue, passive=True).method.message_count for queue in queues
    }
    connection.close()
    return counts


def publish(amqp_url: str, queue: str, body: bytes) -> None:
    """Put a message into a queue; the broker has it when this returns."""
    connection = pika.BlockingConnection(pika.URLParameters(amqp_url))
    channel = connection.channel()
    channel.confirm_delivery()
    channel.basic_publish("", queue, body, pika.BasicProperties(content_type="application/json"))
    connection.close()
