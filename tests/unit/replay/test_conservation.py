"""What the replay may never lose or make up, watched through runs in which much goes wrong."""

from collections.abc import Iterator

import pytest

from scanpool_replay.controllers import build
from scanpool_replay.provider import LLMProvider
from scanpool_replay.scans import Book, Scan
from scanpool_replay.scenario import Scenario
from scanpool_replay.world import World
from scanpool_sandbox.limiter import Admitted, Rejected

TROUBLE = {
    "name": "trouble",
    "load": {"virtualUsers": 300, "holdSeconds": 60, "rampDownSeconds": 20},
    "provider": {"tokensPerMinute": 1_000_000},
    "worker": {"graceSeconds": 5},
    "controllers": [{"kind": "fixed", "replicas": 3, "then": [[70, 1], [90, 4]]}],
    "events": [
        {"kind": "neighbor", "atSeconds": 10, "seconds": 60, "tokensPerMinute": 600_000},
        {"kind": "killPod", "atSeconds": 50},
        {"kind": "setLimit", "atSeconds": 60, "tokensPerMinute": 500_000},
        {"kind": "setQuota", "atSeconds": 80, "tokens": 100_000},
        {"kind": "setQuota", "atSeconds": 110},
    ],
}
SMALL_NODE = {
    **TROUBLE,
    "name": "small-node",
    # Three pods fit by their requests; when all are full, they use more than the node has.
    "nodes": {"count": 1, "memoryMebibytes": 1_600, "cpuMillicores": 800},
    "provider": {"tokensPerMinute": 300_000},
    "controllers": [
        {"kind": "keda", "maxReplicas": 10},
        {"kind": "formula"},
        {"kind": "scanpool"},
    ],
}
SHARED_KEY = {
    **SMALL_NODE,
    "name": "shared-key",
    "pipelines": [
        {"name": "early", "weight": 2},
        {"name": "late", "load": {"arrivalsPerMinute": 300, "startSeconds": 40, "seconds": 100}},
    ],
    "controllers": [{"kind": "scanpool"}],
    "events": [
        *TROUBLE["events"],  # type: ignore[misc]
        {"kind": "setMix", "atSeconds": 40, "queue": "scan.answer", "share": 0.5},
        {"kind": "setReplicas", "atSeconds": 70, "replicas": 3, "pipeline": "late"},
    ],
}
WORLDS = [
    pytest.param(scenario, number, id=f"{scenario['name']}-{number}")
    for scenario, count in ((TROUBLE, 1), (SMALL_NODE, 3), (SHARED_KEY, 1))
    for number in range(count)
]


def begin(document: dict[str, object], number: int) -> World:
    scenario = Scenario.model_validate(document)
    return World(scenario, build(scenario.controllers[number], scenario.tenants), seed=7)


def moments(world: World) -> Iterator[float]:
    """Let the world go on, a little at a time, until two minutes after the load."""
    while world.engine.now < world.scenario.end_seconds + 120:
        world.engine.run(world.engine.now + 0.7)
        yield world.engine.now


@pytest.mark.parametrize(("document", "number"), WORLDS)
def test_every_scan_is_completed_or_failed_or_in_exactly_one_place(
    document: dict[str, object], number: int
) -> None:
    world = begin(document, number)
    for _ in moments(world):
        for pipeline in world.pipelines:
            book, broker = pipeline.book, pipeline.broker
            assert book.submitted == book.completed + book.failed + book.in_flight
            assert book.in_flight == broker.backlog() + broker.delayed
            nodes = pipeline.cluster.nodes.values()
            assert sum(broker.unacked) == sum(pod.in_hand for node in nodes for pod in node.pods)
    for pipeline in world.pipelines:
        assert pipeline.book.failed > 0
        assert pipeline.book.completed > 0


@pytest.mark.parametrize(("document", "number"), WORLDS)
def test_tokens_charged_are_the_sum_over_admitted_calls(
    document: dict[str, object], number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    admitted: list[int] = []
    scans: list[Scan] = []
    call, submit = LLMProvider.call, Book.submit

    def listed_call(self: LLMProvider, *given: object) -> Admitted | Rejected:
        answer = call(self, *given)  # type: ignore[arg-type]
        if isinstance(answer, Admitted):
            admitted.append(answer.tokens)
        return answer

    def listed_submit(self: Book, now: float, first_stage: int) -> Scan:
        scans.append(submit(self, now, first_stage))
        return scans[-1]

    monkeypatch.setattr(LLMProvider, "call", listed_call)
    monkeypatch.setattr(Book, "submit", listed_submit)
    world = begin(document, number)
    for _ in moments(world):
        assert sum(one.tokens for one in world.provider.accounts) == sum(admitted)
        assert world.provider.limiter.quota.spent == sum(admitted)
        workers = [account for one in world.pipelines for account in one.workers]
        assert sum(one.tokens for one in workers) == sum(one.charged for one in scans)
    ended = [one for one in scans if one.outcome is not None]
    assert len(ended) > 100
    books = [one.book for one in world.pipelines]
    booked = sum(one.useful_tokens + one.wasted_tokens for one in books)
    assert booked == sum(one.charged for one in ended)


@pytest.mark.parametrize(("document", "number"), WORLDS)
def test_the_bucket_is_never_negative_nor_above_its_limit(
    document: dict[str, object], number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    levels: list[float] = []
    call = LLMProvider.call

    def watched(self: LLMProvider, *given: object) -> Admitted | Rejected:
        answer = call(self, *given)  # type: ignore[arg-type]
        assert 0 <= self.level() <= self.limit()
        levels.append(self.level())
        return answer

    monkeypatch.setattr(LLMProvider, "call", watched)
    for _ in moments(begin(document, number)):
        pass
    assert min(levels) < 5_000


@pytest.mark.parametrize(("document", "number"), WORLDS)
def test_no_node_holds_more_pods_than_the_scheduler_has_room_for(
    document: dict[str, object], number: int
) -> None:
    world = begin(document, number)
    worker, room = world.scenario.worker, world.scenario.nodes
    for _ in moments(world):
        for cluster in (one.cluster for one in world.pipelines):
            placed = 0
            for node in cluster.nodes.values():
                count = len(node.pods)
                placed += count
                assert count * worker.memory_request_mebibytes <= room.memory_mebibytes
                assert count * worker.cpu_request_millicores <= room.cpu_millicores
            assert placed <= cluster.capacity() + worker.outside_pods
            assert cluster.ready() <= cluster.capacity()


@pytest.mark.parametrize("limit", [700, 1_024])
def test_neither_a_pod_nor_a_node_stays_above_its_memory(limit: int) -> None:
    world = begin({**SMALL_NODE, "worker": {"memoryLimitMebibytes": limit}}, 0)
    (cluster,) = (one.cluster for one in world.pipelines)
    for _ in moments(world):
        for node in cluster.nodes.values():
            assert node.memory() <= world.scenario.nodes.memory_mebibytes
            assert all(pod.memory <= limit for pod in node.pods)
    assert cluster.oom_kills > 0
