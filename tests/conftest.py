"""Real servers for the component and sandbox tests.

- `named_kubeconfig`: the cluster that SCANPOOL_TEST_KUBECONFIG names, for tests of the Kubernetes
  API and of the operator on it (marked `any_cluster`).
- `rabbitmq`: one real broker for the whole session; take `vhost` for a fresh one per test.
- `tls_rabbitmq`: a second real broker that also listens with TLS.
- `openai_server`: a factory of LLM providers, in the test's own event loop.
- `prometheus`: a factory of real Prometheus servers.
"""

import os
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from scanpool_sandbox.openai_provider import OpenAISettings
from scanpool_sandbox.openai_server import OpenAIServer
from scanpool_sandbox.prometheus_server import PrometheusServer
from scanpool_sandbox.rabbitmq_server import RabbitMQServer

# A machine that is busy with something else is no defect of the code, and a test that has passed
# must not fail the next time for what it happens to try: `make fuzz` looks further. What is tried
# the same each time need not be much.
settings.register_profile(
    "unhurried",
    deadline=None,
    derandomize=True,
    max_examples=25,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("unhurried")

OpenAIServerFactory = Callable[[OpenAISettings], Awaitable[OpenAIServer]]
PrometheusFactory = Callable[[Mapping[str, Sequence[str]]], PrometheusServer]


@dataclass(frozen=True)
class Vhost:
    """A fresh vhost: its name and the URLs that lead to it."""

    name: str
    amqp_url: str
    management_url: str


@pytest.fixture(scope="session")
def named_kubeconfig() -> Path | None:
    """The kubeconfig of the cluster to test on; None for the stand-in."""
    named = os.environ.get("SCANPOOL_TEST_KUBECONFIG")
    return Path(named).resolve() if named else None


@pytest.fixture(scope="session")
def rabbitmq(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitMQServer]:
    """One real broker for all tests. Do not stop it: take one of your own for that."""
    with RabbitMQServer(tmp_path_factory.mktemp("rabbitmq")) as server:
        yield server


@pytest.fixture(scope="session")
def tls_rabbitmq(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitMQServer]:
    """A broker with `amqps_url`, `management_tls_url` and `ca_path`, started on first use."""
    with RabbitMQServer(tmp_path_factory.mktemp("rabbitmq-tls"), tls=True) as server:
        yield server


@pytest.fixture
def vhost(rabbitmq: RabbitMQServer) -> Iterator[Vhost]:
    """A vhost with nothing in it, whose name needs percent-encoding; deleted afterwards."""
    name = f"test/{secrets.token_hex(4)}"
    rabbitmq.create_vhost(name)
    yield Vhost(name, rabbitmq.amqp_url(name), rabbitmq.management_url)
    rabbitmq.delete_vhost(name)


@pytest.fixture
async def openai_server() -> AsyncIterator[OpenAIServerFactory]:
    """`await openai_server(OpenAISettings(...))` starts a provider until the test ends.

    Its `base_url` is what clients take; `provider` is its account and its controls.
    """
    async with AsyncExitStack() as stack:

        async def start(settings: OpenAISettings) -> OpenAIServer:
            return await stack.enter_async_context(OpenAIServer(settings))

        yield start


@pytest.fixture
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrometheusFactory]:
    """`prometheus({"job": [server.address]})` starts a real Prometheus until the test ends.

    It scrapes every second. Called from a coroutine it blocks the loop while it starts: use
    `asyncio.to_thread` where a target in the same loop must answer meanwhile.
    """
    with ExitStack() as stack:

        def start(targets: Mapping[str, Sequence[str]]) -> PrometheusServer:
            directory = tmp_path_factory.mktemp("prometheus")
            return stack.enter_context(PrometheusServer(directory, targets))

        yield start
