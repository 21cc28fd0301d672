"""Real scan workers: `at_work` is one for a whole file, `start_worker(amqp_url, server)` others.

Tests that take `at_work` run in the loop of their module, where the worker's provider answers.
"""

import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import pytest_asyncio

from celery_worker import READY, AtWork, StartWorker, said
from scanpool_sandbox.openai_server import OpenAIServer
from scanpool_sandbox.rabbitmq_server import RabbitMQServer


@pytest.fixture
def start_worker(tmp_path: Path) -> Iterator[StartWorker]:
    with ExitStack() as stack:
        yield StartWorker(tmp_path, stack)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def at_work(
    rabbitmq: RabbitMQServer, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[AtWork]:
    name = f"at-work/{secrets.token_hex(4)}"
    rabbitmq.create_vhost(name)
    async with OpenAIServer() as server:
        with ExitStack() as stack:
            start = StartWorker(tmp_path_factory.mktemp("at-work"), stack)
            shared = AtWork(rabbitmq.amqp_url(name), server, start(rabbitmq.amqp_url(name), server))
            await said(shared.worker, READY)
            yield shared
    rabbitmq.delete_vhost(name)
