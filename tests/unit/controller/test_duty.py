"""Two processes on one pool: the one that leads acts, and the other knows all that it has to."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import inf
from typing import TYPE_CHECKING, Any, cast

import pytest
from prometheus_client import CollectorRegistry

from builders import API_KEY, NOW, WHOLE_KEY, llm, observe, pool, seen, target, unseen
from scanpool.controller.claims import Claims
from scanpool.controller.duty import Duty
from scanpool.controller.reconcile import FOLLOWING_PROBE_SECONDS, Reconciler, Shown
from scanpool.decide.breaker import Quota
from scanpool.keda.permits import Permits
from scanpool.kube.fence import Fence
from scanpool.models.llm import Llm
from scanpool.models.observation import KeyUsage, Observation, ProviderState, Target
from scanpool.models.pool import Pool
from scanpool.models.reading import Reading
from scanpool.models.rivals import Rival
from scanpool.models.spec import Behavior, PolicyType, PoolSpec, ScalingPolicy, ScalingRules
from scanpool.report.metrics import Metrics

if TYPE_CHECKING:
    from scanpool.decide import Memory

AT_ONCE = (ScalingPolicy(type=PolicyType.PODS, value=100, period_seconds=1),)
WINDOW_SECONDS = 100
SPEC = pool(
    behavior=Behavior(
        scale_up=ScalingRules(policies=AT_ONCE),
        scale_down=ScalingRules(policies=AT_ONCE, stabilization_window_seconds=WINDOW_SECONDS),
    )
)
BURNING = SPEC.model_copy(update={"llm": llm(usage=WHOLE_KEY, api_key_secret_ref=API_KEY)})
REFUSING = ProviderState(billing_code="insufficient_quota")


@dataclass
class World:
    """A cluster and its API server, which both processes share, and what was done in it."""

    spec: PoolSpec
    replicas: int = 2
    messages: int = 20
    refused: float = 0.0
    now: float = NOW
    did: list[str] = field(default_factory=list)
    body: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        spec = self.spec.model_dump(mode="json", by_alias=True, exclude_none=True)
        metadata = {"namespace": "scan", "name": "pool", "uid": "uid-1", "generation": 1}
        self.body = {"metadata": metadata, "spec": spec}


class Process:
    """One operator, with a view of the provider of its own: the answer of its last probe."""

    def __init__(self, name: str, world: World) -> None:
        self.name, self.world = name, world
        self.memory: Memory | None = None
        self.provider = ProviderState()
        self.answered_at, self.probe_ages = NOW, list[float]()
        self.fence = Fence(lambda: world.now, -inf, -inf)
        self.registry = CollectorRegistry()
        fake, metrics = cast("Any", self), Metrics(self.registry)
        shown = Shown(metrics, Permits(lambda: world.now), fake)
        reconciler = Reconciler(fake, fake, Claims(), shown, lambda: world.now)
        self.duty = Duty(reconciler, self.fence, metrics)

    def lead(self) -> None:
        self.fence.open_until(inf, inf)

    async def tick(self) -> None:
        pool = Pool.from_body(self.world.body)
        _, self.memory = await self.duty.tick(pool, self.memory)

    @property
    def shows_the_pool(self) -> bool:
        return self.registry.get_sample_value("scanpool_pool_replicas", POOL) is not None

    async def read_target(self, *_: Any) -> Reading[Target]:
        return seen(target(self.world.replicas))

    async def observe(
        self, _: str, spec: PoolSpec, there: Target, ages: Mapping[str, float]
    ) -> Observation:
        self.probe_ages += ages.values()
        seen_now = replace(observe(there.replicas, self.world.messages), target=there)
        if spec.llm is None:
            return seen_now
        use = KeyUsage(100_000.0, None, self.world.refused, 100_000.0)
        return replace(
            seen_now,
            usage=seen(use, self.world.now),
            provider=seen(self.provider, self.answered_at),
        )

    async def read_consuming(self, *_: object) -> Any:
        return seen(())

    async def read_rivals(self, *_: object) -> Reading[tuple[Rival, ...]]:
        return seen(())

    async def read_keys(self, _: str, __: Llm) -> Mapping[str, str]:
        return {}

    async def scale(self, *at: Any) -> None:
        *_, current, desired = at
        assert self.world.replicas == current
        self.world.did.append(f"{self.name}: {current} to {desired}")
        self.world.replicas = desired

    def scaled(self, *_: Any) -> None:
        """Nothing is watched here: the next tick reads the world."""

    async def write_status(self, _: str, __: str, status: Any) -> Reading[Any]:
        self.world.body["status"] = status()
        return seen(self.world.body)

    def tell(self, *_: object) -> None:
        """Nobody reads Events here."""


POOL = {"namespace": "scan", "pool": "pool"}


class Pair:
    """A leader and a standby, which tick one after the other."""

    def __init__(self, spec: PoolSpec = SPEC) -> None:
        self.world = World(spec)
        self.leader, self.standby = Process("leader", self.world), Process("standby", self.world)
        self.leader.lead()

    async def tick(self, times: int = 1) -> None:
        for _ in range(times):
            for process in (self.leader, self.standby):
                await process.tick()
            self.world.now += 10

    def take_over(self) -> Process:
        self.leader.fence.shut()
        self.standby.lead()
        return self.standby


@pytest.fixture
def pair() -> Pair:
    return Pair()


async def test_only_the_leader_acts_and_shows(pair: Pair) -> None:
    await pair.tick(2)
    pair.world.messages = 50
    await pair.tick(2)

    assert pair.world.did == ["leader: 2 to 5"]
    assert (pair.leader.shows_the_pool, pair.standby.shows_the_pool) == (True, False)


async def test_the_first_tick_after_a_takeover_acts(pair: Pair) -> None:
    await pair.tick(3)
    standby = pair.take_over()
    pair.world.messages = 50

    await standby.tick()

    assert pair.world.did == ["standby: 2 to 5"]
    assert standby.shows_the_pool


async def test_a_process_that_has_not_followed_yet_holds_at_first(pair: Pair) -> None:
    await pair.leader.tick()
    standby = pair.take_over()
    pair.world.messages = 50

    await standby.tick()

    assert pair.world.did == []


@pytest.mark.parametrize("killed_after", range(1, 15))
async def test_a_takeover_neither_delays_nor_hastens_fewer_replicas(
    pair: Pair, killed_after: int
) -> None:
    await pair.tick(2)
    pair.world.messages = 50
    await pair.tick(2)
    pair.world.messages = 10
    began = pair.world.now
    process: Process | None = None
    for count in range(1, 16):
        await (pair.tick() if process is None else process.tick())
        if process is not None:
            pair.world.now += 10
        if count == killed_after:
            process = pair.take_over()
        # The last recommendation of five was made ten seconds before `began`.
        due = pair.world.now - 10 > began - 10 + WINDOW_SECONDS
        assert pair.world.replicas == (1 if due else 5)


async def test_what_the_leader_was_told_for_billing_counts_at_once() -> None:
    pair = Pair(BURNING)
    await pair.tick(3)
    pair.leader.provider, pair.leader.answered_at = REFUSING, pair.world.now
    await pair.leader.tick()
    assert pair.world.replicas == 1
    standby = pair.take_over()
    pair.world.messages = 100

    await standby.tick()

    assert pair.world.replicas == 1
    assert standby.memory is not None
    assert standby.memory.llm.breaker.state is Quota.OPEN


async def test_a_standby_backs_off_as_the_leader_does() -> None:
    pair = Pair(BURNING)
    await pair.tick(3)
    pair.world.refused = 30.0
    await pair.tick()
    assert pair.leader.memory is not None
    learned = pair.leader.memory.llm.backoff
    assert learned.factor == pytest.approx(0.7)
    standby = pair.take_over()
    pair.world.refused = 0.0

    await standby.tick()

    assert standby.memory is not None
    assert standby.memory.llm.backoff.factor == pytest.approx(0.7)


async def test_a_standby_asks_the_provider_seldom_and_a_leader_by_need() -> None:
    pair = Pair(BURNING)
    await pair.tick(3)
    assert min(pair.standby.probe_ages) >= FOLLOWING_PROBE_SECONDS
    standby = pair.take_over()

    await standby.tick()

    assert standby.probe_ages[-1] < FOLLOWING_PROBE_SECONDS


async def test_changes_of_replicas_count_for_the_policies_of_the_next_leader(pair: Pair) -> None:
    await pair.tick(2)
    pair.world.messages = 50
    await pair.tick(3)

    for process in (pair.leader, pair.standby):
        assert process.memory is not None
        assert [one.change for one in process.memory.history.scalings] == [3]
    assert pair.standby.memory is not None
    # Nothing that another did looks as if this process's own were set back.
    assert pair.standby.memory.history.reverts == ()


async def test_a_leader_that_lapses_shows_what_it_last_saw_until_another_leads(pair: Pair) -> None:
    await pair.tick(2)
    pair.leader.fence.open_until(pair.world.now - 1, pair.world.now)
    await pair.leader.tick()
    assert pair.leader.shows_the_pool

    pair.leader.fence.shut()
    await pair.leader.tick()
    assert not pair.leader.shows_the_pool


@pytest.mark.parametrize("broken", ["spec", "target"])
async def test_what_cannot_be_decided_on_cannot_be_followed(
    pair: Pair, broken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await pair.tick(2)
    known = pair.standby.memory
    if broken == "spec":
        pair.world.body["spec"] = {"minReplicas": 5}
    else:

        async def gone(*_: str) -> Any:
            return unseen()

        monkeypatch.setattr(pair.standby, "read_target", gone)

    await pair.standby.tick()

    assert pair.standby.memory is known


async def test_only_the_leader_says_that_a_pool_was_stuck(pair: Pair) -> None:
    await pair.tick(2)
    before = pair.world.body["status"]

    await pair.standby.duty.report_stuck(Pool.from_body(pair.world.body))
    assert pair.world.body["status"] is before
    assert not pair.standby.shows_the_pool

    await pair.leader.duty.report_stuck(Pool.from_body(pair.world.body))
    (ready,) = (one for one in pair.world.body["status"]["conditions"] if one["type"] == "Ready")
    assert (ready["status"], ready["reason"]) == ("False", "TicksStuck")
