"""The real scan worker, as a process of a test."""

import os
import sys
from contextlib import ExitStack
from pathlib import Path

from scanpool_sandbox.openai_server import OpenAIServer
from scanpool_sandbox.processes import ChildProcess


class StartWorker:
    """Starts workers that end with the test."""

    def __init__(self, directory: Path, stack: ExitStack) -> None:
        self._directory = directory
        self._stack = stack
        self._started = 0

    def __call__(
        self, amqp_url: str, server: OpenAIServer, *, concurrency: int = 4, **environment: str
    ) -> ChildProcess:
        """Start one, without waiting for it."""
        name = f"worker-{self._started}"
        self._started += 1
        command = [
            sys.executable, "-m", "celery", "--app=scanpool_sandbox.workers.scan", "worker",
            "--pool=gevent", f"--concurrency={concurrency}", f"--hostname={name}",
            "--loglevel=INFO", "--without-gossip", "--without-mingle",
        ]  # fmt: skip
        settings = {
            "CELERY_BROKER_URL": amqp_url,
            "OPENAI_API_KEY": "sk-sandbox",
            "OPENAI_BASE_URL": server.base_url,
        }
        return self._stack.enter_context(
            ChildProcess(
                command,
                log_path=self._directory / f"{name}.log",
                environment=os.environ | settings | environment,
            )
        )
