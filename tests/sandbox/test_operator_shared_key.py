"""Two pools that burn one key, each by a Secret of its own in a namespace of its own."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from sandbox.kube_client import Obj
from sandbox.patience import until
from sandbox.scene import API_KEY, KEY, MODEL, Scene, llm, open_scene
from sandbox.stage import DEPLOYMENTS, Stage
from scanpool_sandbox.kube.objects import namespace_of
from scanpool_sandbox.kube.store import Change
from scanpool_sandbox.openai_provider import OpenAISettings
from scanpool_sandbox.openai_server import OpenAIServer

NAME = "scan-worker"
QUEUE = "scan.vision"
OTHER_SECRET = "team-b-openai"
PROVIDER = OpenAISettings(api_keys=(KEY,), models=(MODEL,), tokens_per_minute=2_400_000)
BUDGET = 2_040_000
"""The target share of the limit, 85%."""
COST = 500_000
"""Of a replica, by the specs: four fit into the budget."""
BACKLOG = 80
"""Messages for eight replicas, more than there are for both."""


@pytest.fixture
def pair(stage, rabbitmq) -> Iterator[tuple[Scene, Scene]]:
    with open_scene(stage, rabbitmq) as first, open_scene(stage, rabbitmq) as second:
        yield first, second


@contextmanager
def most_together(stage: Stage) -> Iterator[list[int]]:
    """The most replicas that all Deployments were ever set to at once, as a list of one."""
    replicas: dict[str, int] = {}
    most = [0]

    def note(change: Change) -> None:
        replicas[namespace_of(change.object)] = change.object["spec"]["replicas"]
        most[0] = max(most[0], sum(replicas.values()))

    stop = stage.emulator.store.listen(DEPLOYMENTS, note)
    yield most
    stop()


def start(scene: Scene, openai_url: str, secret: str, replicas: int) -> None:
    scene.queues.publish(QUEUE, BACKLOG)
    scene.create_deployment(NAME, replicas)
    scene.create_pool(NAME, QUEUE, minReplicas=0, llm=llm(openai_url, secret=secret))


def wait_replicas(*expected: tuple[Scene, int]) -> None:
    """Wait until each pool has its replicas, all at the same time."""
    until(
        f"the pools have {[replicas for _, replicas in expected]} replicas",
        lambda: all(
            scene.status(NAME).get("readyReplicas") == scene.replicas(NAME) == replicas
            for scene, replicas in expected
        ),
        lambda: [scene.status(NAME) for scene, _ in expected],
    )


def wait_budget(scene: Scene, other: Scene, own: int, others: int) -> Obj:
    """Wait until a pool shows the grants of both, in replicas, and the other by its name."""

    def shown() -> Obj | None:
        budget = dict(scene.status(NAME).get("llm", {}).get("budget") or {})
        grants = {one["pool"]: one["grantTokensPerMinute"] for one in budget.get("others", [])}
        wanted = {f"{other.namespace}/{NAME}": others * COST}
        return budget if grants == wanted and budget["grantTokensPerMinute"] == own * COST else None

    return until(f"{own} and {others} are granted", shown, lambda: scene.status(NAME)) or {}


def test_pools_of_one_key_share_its_limit_and_lend_what_is_idle(pair, background) -> None:
    first, second = pair
    server = OpenAIServer(PROVIDER)
    with background.running(server), most_together(first.stage) as most:
        start(first, server.base_url, "scan-secret", replicas=1)
        first.wait_status(NAME, replicas=4, readyReplicas=4, limitedBy="Tokens")
        assert "budget" not in first.status(NAME)["llm"]

        second.create_secret(OTHER_SECRET, **{API_KEY: KEY})
        start(second, server.base_url, OTHER_SECRET, replicas=0)
        wait_replicas((first, 2), (second, 2))
        for scene, other in (pair, reversed(pair)):
            budget = wait_budget(scene, other, own=2, others=2)
            assert budget["tokensPerMinute"] == BUDGET
            assert budget["claimTokensPerMinute"] == BACKLOG // 10 * COST
            assert budget["others"][0]["weight"] == 1
            scene.wait_status(NAME, limitedBy="Tokens")

        second.queues.purge(QUEUE)
        wait_replicas((first, 4), (second, 0))
        wait_budget(first, second, own=4, others=0)

        second.queues.publish(QUEUE, BACKLOG)
        wait_replicas((first, 2), (second, 2))

    # A share is handed over only once it was given back.
    assert most == [4]
