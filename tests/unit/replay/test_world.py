"""The rooms of the simulated world, each by itself."""

from random import Random

import pytest

from scanpool_replay.broker import Broker
from scanpool_replay.controllers import build
from scanpool_replay.cpu import Cpu
from scanpool_replay.engine import Engine
from scanpool_replay.pipeline import Scraped
from scanpool_replay.provider import Caller, LLMProvider
from scanpool_replay.scans import Scan, Task
from scanpool_replay.scenario import Scenario
from scanpool_replay.settings import Provider
from scanpool_replay.telemetry import Snapshots
from scanpool_replay.work import sdk_delay_seconds
from scanpool_replay.world import World
from scanpool_sandbox.limiter import Rejected


class Job:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.done_at: float | None = None

    def computed(self) -> None:
        self.done_at = self._engine.now


def test_calls_of_one_time_run_in_the_order_in_which_they_were_made() -> None:
    engine, order = Engine(), list[str]()
    engine.at(2.0, order.append, "late")
    engine.at(1.0, order.append, "first")
    engine.at(1.0, order.append, "second")
    engine.run(3.0)
    assert order == ["first", "second", "late"]
    assert engine.now == 3.0


def test_tasks_share_a_cpu_equally() -> None:
    engine = Engine()
    cpu = Cpu(engine, 1.0)
    short, long = Job(engine), Job(engine)
    cpu.add(1.0, short)
    cpu.add(2.0, long)
    engine.run(10.0)
    assert short.done_at == pytest.approx(2.0)  # at half speed
    assert long.done_at == pytest.approx(3.0)  # then alone
    assert cpu.used == pytest.approx(3.0)


def test_a_task_uses_no_more_than_one_core_and_a_latecomer_slows_it_down() -> None:
    engine = Engine()
    cpu = Cpu(engine, 2.0)
    jobs = [Job(engine) for _ in range(3)]
    cpu.add(1.0, jobs[0])
    engine.at(0.5, cpu.add, 1.0, jobs[1])
    engine.at(0.5, cpu.add, 1.0, jobs[2])
    engine.run(10.0)
    # Half done alone at full speed; then three on two cores, until the first leaves.
    assert jobs[0].done_at == pytest.approx(1.25)
    assert jobs[1].done_at == pytest.approx(1.75)


def test_a_smaller_capacity_holds_from_when_it_is_set() -> None:
    engine = Engine()
    cpu = Cpu(engine, 1.0)
    job = Job(engine)
    cpu.add(1.0, job)
    engine.at(0.5, cpu.set_capacity, 0.5)
    engine.run(10.0)
    assert job.done_at == pytest.approx(1.5)


class Taker:
    def __init__(self, room: int) -> None:
        self.free = room
        self.taken: list[Task] = []

    def deliver(self, task: Task) -> None:
        self.free -= 1
        self.taken.append(task)


def task(number: int = 1, stage: int = 0) -> Task:
    return Task(Scan(number, 0.0, ()), stage)


def test_a_broker_delivers_no_more_than_a_consumer_takes_and_redelivers_in_order() -> None:
    broker = Broker(Engine(), 1, Random(1))
    consumer = Taker(2)
    broker.subscribe(consumer)
    tasks = [task(number) for number in range(4)]
    for one in tasks:
        broker.publish(one)
    assert consumer.taken == tasks[:2]
    assert (broker.ready(0), broker.unacked[0], broker.depth(0)) == (2, 2, 4)

    broker.unsubscribe(consumer)
    broker.requeue(consumer.taken)
    other = Taker(4)
    broker.subscribe(other)
    assert other.taken == tasks


def test_consumers_take_turns() -> None:
    broker = Broker(Engine(), 1, Random(1))
    first, second = Taker(10), Taker(10)
    broker.subscribe(first)
    broker.subscribe(second)
    for number in range(10):
        broker.publish(task(number))
    assert (len(first.taken), len(second.taken)) == (5, 5)


def test_a_delayed_message_arrives_later() -> None:
    engine = Engine()
    broker = Broker(engine, 1, Random(1))
    broker.delay(task(), 2.0)
    engine.run(1.9)
    assert (broker.backlog(), broker.delayed) == (0, 1)
    engine.run(2.1)
    assert (broker.backlog(), broker.delayed) == (1, 0)


def test_the_provider_accounts_for_refusals_by_their_kind() -> None:
    engine = Engine()
    provider = LLMProvider(engine, Provider(tokens_per_minute=1_000, quota_tokens=1_500))
    pool, canary = provider.open(Caller.POOL), provider.open(Caller.CANARY)
    provider.call(pool, 900)
    provider.call(pool, 900)  # the bucket holds 100
    engine.run(60.0)
    provider.call(canary, 900)
    provider.call(canary, 10)  # the quota is overdrawn
    assert (pool.calls, pool.tokens, pool.rate_refusals, pool.quota_refusals) == (2, 900, 1, 0)
    assert (canary.tokens, canary.rate_refusals, canary.quota_refusals) == (900, 0, 1)
    assert provider.first_rate_refusal == 0.0


@pytest.mark.parametrize(
    ("retries", "wait", "least", "most"),
    [(0, 0.044, 0.044, 0.044), (0, None, 0.375, 0.5), (1, None, 0.75, 1.0), (0, 61.0, 0.375, 0.5)],
)
def test_the_sdk_waits_as_told_or_twice_as_long_each_time(
    retries: int, wait: float | None, least: float, most: float
) -> None:
    refusal = Rejected("rate_limit_exceeded", "tokens", 1, 1, 1, wait)
    assert least <= sdk_delay_seconds(retries, refusal, Random(1)) <= most


def test_one_failing_task_makes_nine_calls() -> None:
    scenario = Scenario.model_validate(
        {
            "name": "nine",
            "load": {"virtualUsers": 1, "rampUpSeconds": 1, "holdSeconds": 1, "rampDownSeconds": 1},
            "provider": {"quotaTokens": 0},
            "controllers": [{"kind": "fixed", "replicas": 1}],
        }
    )
    world = World(scenario, build(scenario.controllers[0], scenario.tenants), 1)
    (pipeline,) = world.pipelines
    while not pipeline.book.failed:
        world.engine.run(world.engine.now + 1)
    assert sum(one.calls for one in pipeline.workers) == 9
    assert pipeline.book.reasons == {"insufficient_quota": 1}


def test_snapshots_lag_and_average() -> None:
    engine = Engine()
    count = [0.0]
    snapshots = Snapshots(engine, 5.0, 1.0, 0.0, lambda: (count[0],))
    assert snapshots.latest() is None
    engine.run(0.5)
    assert snapshots.per_second(60.0) is None
    count[0] = 10.0
    engine.run(5.5)
    assert snapshots.latest() == (0.0, (0.0,))
    engine.run(6.0)
    assert snapshots.latest() == (5.0, (10.0,))
    assert snapshots.per_second(60.0) == (5.0, (2.0,))
    engine.run(11.0)
    assert snapshots.per_second(5.0) == (10.0, (0.0,))


@pytest.mark.parametrize(
    ("nodes", "room"),
    [
        pytest.param({"memoryMebibytes": 1_100, "cpuMillicores": 9_000}, 3, id="memory"),
        pytest.param({"memoryMebibytes": 9_000, "cpuMillicores": 600}, 3, id="CPU"),
        pytest.param({"memoryMebibytes": 9_000, "cpuMillicores": 9_000, "pods": 1}, 1, id="pods"),
    ],
)
def test_pods_that_fit_nowhere_wait(nodes: dict[str, int], room: int) -> None:
    scenario = Scenario.model_validate(
        {
            "name": "full",
            "load": {"virtualUsers": 1, "rampUpSeconds": 1, "holdSeconds": 1, "rampDownSeconds": 1},
            "nodes": {"count": 2, **nodes},
            "controllers": [{"kind": "fixed", "replicas": 1, "then": [[1, 9], [60, 1], [130, 2]]}],
        }
    )
    world = World(scenario, build(scenario.controllers[0], scenario.tenants), 1)
    (pipeline,) = world.pipelines
    world.engine.run(50.0)
    # One place on the nodes is the canary's.
    assert (pipeline.cluster.ready(), pipeline.cluster.capacity()) == (room, room)
    assert len(pipeline.cluster.members()) == 9
    world.engine.run(129.0)
    assert len(pipeline.cluster.pods) == 1
    world.engine.run(200.0)
    assert pipeline.cluster.ready() == min(2, room)


def key(events: list[dict[str, object]], pipelines: int = 1) -> World:
    scenario = Scenario.model_validate(
        {
            "name": "key",
            "load": {"arrivalsPerMinute": 1, "seconds": 1},
            "controllers": [{"kind": "fixed", "replicas": 0}],
            "worker": {"outsidePods": 0},
            "pipelines": [{"name": f"pipeline-{number}"} for number in range(pipelines)],
            "events": events,
        }
    )
    return World(scenario, build(scenario.controllers[0], scenario.tenants), 1)


def test_a_neighbors_burst_takes_its_share_within_seconds_and_comes_again() -> None:
    burst = {"kind": "neighborBursts", "atSeconds": 10, "seconds": 100, "share": 0.5}
    world = key([burst])
    limit = world.provider.limit()
    for until, tokens in ((10, 1_500), (15, limit / 2), (70, limit / 2 + 1_500), (300, limit)):
        world.engine.run(until)
        assert world.neighbors.tokens == pytest.approx(tokens, abs=1_500)
    assert world.neighbors.rate_refusals == 0


def test_a_neighbor_is_refused_what_the_bucket_does_not_hold() -> None:
    burst = {
        "kind": "neighborBursts",
        "atSeconds": 0,
        "seconds": 30,
        "everySeconds": 10,
        "share": 1,
    }
    world = key([burst])
    world.engine.run(30)
    assert world.neighbors.rate_refusals > 0
    assert world.neighbors.answered_tokens == world.neighbors.tokens


@pytest.mark.parametrize(
    ("whose", "own", "everyone"), [("own", 3_000, 6_000), ("others", 0, 3_000)]
)
def test_counters_jump_for_exporters_only(whose: str, own: int, everyone: int) -> None:
    jump = {"kind": "jumpCounters", "atSeconds": 1, "seconds": 40, "tokens": 1_000, "whose": whose}
    world = key([jump], pipelines=2)
    world.engine.run(120)
    for pipeline in world.pipelines:
        found = pipeline.scrapes.latest()
        assert found is not None
        scraped = Scraped(*found[1])
        assert (scraped.own_tokens, scraped.tokens) == (own, everyone)
    assert all(one.calls == one.tokens == 0 for one in world.provider.accounts)
    assert world.provider.level() == world.provider.limit()
