import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, cast

import pytest
from prometheus_client import CollectorRegistry

from builders import (
    API_KEY,
    NOW,
    WHOLE_KEY,
    depth,
    follow,
    llm,
    node,
    observe,
    pods,
    pool,
    rates,
    seen,
    settled,
    target,
    unseen,
)
from scanpool.controller.claims import Claims
from scanpool.controller.reconcile import Reconciler, Shown
from scanpool.decide import Memory
from scanpool.decide.breaker import Quota
from scanpool.decide.permit import Permit
from scanpool.keda.permits import Permits
from scanpool.kube.cluster import Happening, Object
from scanpool.models.conditions import ConditionType, LimitedBy, Reason
from scanpool.models.deliveries import Consuming
from scanpool.models.fallback import Fallback
from scanpool.models.llm import ONLY, Llm
from scanpool.models.observation import KeyUsage, Observation, ProviderState, Target
from scanpool.models.pool import Pool
from scanpool.models.reading import Available, Reading, Unavailable
from scanpool.models.resource import Resource
from scanpool.models.rivals import Rival, RivalKind, Writer
from scanpool.models.schedule import Schedule
from scanpool.models.spec import (
    Behavior,
    MemoryTarget,
    Mode,
    PoolSpec,
    ScaleTargetRef,
    ScalingRules,
)
from scanpool.models.spend import Prices, Spend
from scanpool.report.metrics import Metrics
from scanpool.report.pool_status import PoolStatus

LIMIT = 2_000_000
AT_ONCE = Behavior(scale_down=ScalingRules(stabilization_window_seconds=0))
# Begun every minute, and ended with the year.
ALWAYS = {"name": "always", "start": "* * * * *", "end": "0 0 1 1 *"}


@dataclass
class World:
    """Cluster and observer in one: what is to be seen, and what was done, in order."""

    observation: Observation
    found: Reading[Target] | None = None
    refusal: Unavailable | None = None
    status_refusal: Unavailable | None = None
    cost_refusal: Unavailable | None = None
    unknown_fields: frozenset[str] = frozenset()
    consuming: Reading[tuple[Consuming, ...]] = field(default_factory=lambda: seen(()))
    rivals: Reading[tuple[Rival, ...]] = field(default_factory=lambda: seen(()))
    did: list[str] = field(default_factory=list)
    probe_ages: list[float] = field(default_factory=list)
    scalings: list[tuple[str, str, int, int]] = field(default_factory=list)
    told: list[tuple[str, str, int]] = field(default_factory=list)
    statuses: list[Mapping[str, Any]] = field(default_factory=list)
    events: list[Happening] = field(default_factory=list)
    body: dict[str, Any] = field(default_factory=dict)

    async def read_target(self, namespace: str, ref: ScaleTargetRef) -> Reading[Target]:
        self.did.append(f"read_target {namespace}/{ref.name}")
        return seen(self.observation.target) if self.found is None else self.found

    async def observe(
        self, namespace: str, spec: PoolSpec, target: Target, probe_ages: dict[str, float]
    ) -> Observation:
        self.did.append(f"observe {namespace}")
        self.probe_ages += probe_ages.values()
        assert target is self.observation.target
        assert isinstance(spec, PoolSpec)
        return self.observation

    async def read_rivals(
        self, namespace: str, pool: str, ref: ScaleTargetRef
    ) -> Reading[tuple[Rival, ...]]:
        assert (namespace, pool, ref.name) == ("scan", "pool", "scan-worker")
        return self.rivals

    async def read_consuming(self, namespace: str, _: PoolSpec) -> Reading[tuple[Consuming, ...]]:
        self.did.append(f"read_consuming {namespace}")
        return self.consuming

    async def set_deletion_cost(
        self, namespace: str, pod: str, cost: str | None
    ) -> Unavailable | None:
        assert namespace == "scan"
        self.did.append(f"set_deletion_cost {pod} {cost}")
        return self.cost_refusal

    async def read_keys(self, namespace: str, _: Llm) -> dict[str, str]:
        assert namespace == "scan"
        return {}

    async def scale(
        self, of: Resource, namespace: str, name: str, current: int, desired: int
    ) -> Unavailable | None:
        assert of == self.observation.target.resource
        self.did.append("scale")
        self.scalings.append((namespace, name, current, desired))
        return self.refusal

    async def write_status(
        self, namespace: str, name: str, status: Callable[[], Mapping[str, Any]]
    ) -> Reading[dict[str, Any]]:
        self.did.append(f"write_status {namespace}/{name}")
        if self.status_refusal is not None:
            return self.status_refusal
        written = status()
        self.statuses.append(written)
        self.body["status"] = {k: v for k, v in written.items() if k not in self.unknown_fields}
        return seen(self.body)

    def scaled(self, namespace: str, ref: ScaleTargetRef, replicas: int) -> None:
        self.told.append((namespace, ref.name, replicas))

    def tell(self, about: Object, event: Happening) -> None:
        assert about == ("scan", "pool", "uid-1")
        self.did.append("tell")
        self.events.append(event)

    @property
    def status(self) -> PoolStatus:
        """The status that the API server has."""
        return PoolStatus.model_validate(self.body.get("status", {}))

    def condition(self, kind: ConditionType) -> tuple[str, str]:
        (found,) = [one for one in self.status.conditions if one.type is kind]
        return found.status, found.reason


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


class Operator:
    """A reconciler with the memory that a loop keeps for it."""

    memory: Memory | None = None

    def __init__(self, world: World, spec: PoolSpec | Mapping[str, Any]) -> None:
        self.world = world
        self.clock = Clock()
        self.registry = CollectorRegistry()
        written = (
            spec.model_dump(mode="json", by_alias=True, exclude_none=True)
            if isinstance(spec, PoolSpec)
            else dict(spec)
        )
        world.body = {
            "metadata": {"namespace": "scan", "name": "pool", "uid": "uid-1", "generation": 3},
            "spec": written,
        }
        self.pool = Pool.from_body(world.body)
        fake = cast("Any", world)
        self.permits = Permits(self.clock)
        shown = Shown(Metrics(self.registry), self.permits, fake)
        self.reconciler = Reconciler(fake, fake, Claims(), shown, self.clock)

    def change_spec(self) -> None:
        """Let the API server tell of a new generation, whatever is new in it."""
        self.world.body["metadata"]["generation"] += 1
        self.pool = Pool.from_body(self.world.body)

    async def tick(self, observation: Observation | None = None) -> None:
        """Carry out a tick, ten seconds after the last."""
        if observation is not None:
            self.world.observation = observation
        self.world.did.clear()
        self.pool, self.memory = await self.reconciler.tick(self.pool, self.memory)
        self.clock.now += 10


def started(operator: Operator, replicas: int) -> Operator:
    """Return the operator as it is long after its first tick."""
    operator.memory = settled(replicas)
    return operator


# --- the order of things ---


async def test_a_tick_goes_from_top_to_bottom() -> None:
    operator = started(Operator(World(observe(2, 50)), pool()), 2)

    await operator.tick()

    assert operator.world.did == [
        "read_target scan/scan-worker",
        "observe scan",
        "scale",
        "tell",
        "write_status scan/pool",
    ]
    assert operator.world.scalings == [("scan", "scan-worker", 2, 5)]


async def test_the_idlest_pods_are_marked_before_replicas_are_taken_away() -> None:
    there = [replace(pod, address=f"10.0.0.{one}") for one, pod in enumerate(pods(4))]
    holding = (Consuming("10.0.0.0", (), 1), Consuming("10.0.0.2", (), 3))
    world = World(observe(4, 20, target=target(4, there)), consuming=seen(holding))
    operator = started(Operator(world, pool(behavior=AT_ONCE)), 2)

    await operator.tick()

    assert world.did[2:5] == [
        "read_consuming scan",
        "set_deletion_cost scan-worker-1 -100",
        "set_deletion_cost scan-worker-3 -100",
    ]
    assert world.did[5] == "scale"
    assert world.scalings == [("scan", "scan-worker", 4, 2)]


@pytest.mark.parametrize("marks_are_refused", [True, False])
async def test_replicas_are_taken_away_all_the_same_where_idle_pods_cannot_be_told_or_marked(
    caplog: pytest.LogCaptureFixture, *, marks_are_refused: bool
) -> None:
    there = [replace(pod, address=f"10.0.0.{one}") for one, pod in enumerate(pods(4))]
    told = seen((Consuming("10.0.0.0", (), 1),)) if marks_are_refused else unseen()
    world = World(observe(4, 20, target=target(4, there)), consuming=told, cost_refusal=unseen())
    operator = started(Operator(world, pool(behavior=AT_ONCE)), 2)

    await operator.tick()

    assert world.scalings == [("scan", "scan-worker", 4, 2)]
    words = "cost of scan/pool was not written" if marks_are_refused else "Idle pods of scan"
    assert words in caplog.text


async def test_whoever_grows_or_gives_up_everything_asks_for_no_idle_pods() -> None:
    growing = World(observe(2, 50))
    await started(Operator(growing, pool()), 2).tick()
    emptied = World(observe(2, 0))
    await started(Operator(emptied, pool(min_replicas=0, behavior=AT_ONCE)), 0).tick()

    assert [one[3] for one in (*growing.scalings, *emptied.scalings)] == [5, 0]
    assert not [one for one in (*growing.did, *emptied.did) if one.startswith("read_consuming")]


async def test_a_schedule_in_force_has_the_bounds() -> None:
    always = Schedule.model_validate({**ALWAYS, "maxReplicas": 3})
    operator = started(Operator(World(observe(2, 50)), pool(schedules=(always,))), 2)

    await operator.tick()

    assert operator.world.scalings == [("scan", "scan-worker", 2, 3)]
    assert operator.world.status.schedule == "always"
    assert operator.world.status.limited_by is LimitedBy.MAX_REPLICAS


async def test_the_first_tick_of_a_process_changes_nothing() -> None:
    operator = Operator(World(observe(2, 50)), pool())

    await operator.tick()

    assert operator.world.scalings == []
    assert operator.world.status.limited_by is LimitedBy.HOLD
    assert operator.memory is not None


async def test_a_pool_at_its_size_is_not_scaled() -> None:
    operator = started(Operator(World(observe(2, 20)), pool()), 2)

    await operator.tick()

    assert operator.world.scalings == []
    assert operator.world.condition(ConditionType.READY) == ("True", "Reconciled")
    assert operator.world.events == []


# --- what stops a tick before anything is decided ---

INVALID = {"scaleTargetRef": {"name": "scan-worker"}, "minReplicas": 5, "maxReplicas": 2}
GONE = Unavailable(Reason.TARGET_NOT_FOUND, "Deployment scan/scan-worker does not exist")


@pytest.mark.parametrize(
    ("spec", "found", "reason", "did"),
    [
        pytest.param(INVALID, None, "InvalidSpec", [], id="invalid-spec"),
        pytest.param(
            pool(), GONE, "TargetNotFound", ["read_target scan/scan-worker"], id="no-target"
        ),
        pytest.param(
            pool(),
            Unavailable(Reason.KUBERNETES_FORBIDDEN, "deployments is forbidden"),
            "KubernetesForbidden",
            ["read_target scan/scan-worker"],
            id="not-allowed-to-read-it",
        ),
    ],
)
async def test_a_pool_that_cannot_be_decided_on_says_so_once_and_is_left_alone(
    spec: Any, found: Any, reason: str, did: list[str]
) -> None:
    world = World(observe(2, 50), found=found)
    operator = Operator(world, spec)

    await operator.tick()

    assert world.did == [*did, "write_status scan/pool", "tell"]
    assert world.condition(ConditionType.READY) == ("False", reason)
    assert world.condition(ConditionType.SCALING_ACTIVE) == ("False", reason)
    assert [(event.is_warning, event.reason) for event in world.events] == [(True, reason)]

    for _ in range(20):
        await operator.tick()
    assert world.scalings == []
    assert (len(world.statuses), len(world.events)) == (1, 1)


async def test_an_invalid_spec_says_where_and_how() -> None:
    world = World(observe(2))
    await Operator(world, INVALID).tick()

    (ready, *_) = world.status.conditions
    assert "spec.rabbitmq: Field required" in ready.message


def test_a_rule_over_several_fields_is_told_in_its_own_words() -> None:
    spec = pool().model_dump(mode="json", by_alias=True, exclude_none=True)
    body = {
        "metadata": {"namespace": "scan", "name": "pool", "uid": "u"},
        "spec": {**spec, "minReplicas": 11},
    }

    assert Pool.from_body(body).spec == Unavailable(
        Reason.INVALID_SPEC, "spec: minReplicas must not be larger than maxReplicas"
    )


async def test_a_target_that_comes_back_is_scaled_again() -> None:
    world = World(observe(2, 50), found=GONE)
    operator = started(Operator(world, pool()), 2)
    await operator.tick()
    world.found = None

    await operator.tick()

    assert world.scalings == [("scan", "scan-worker", 2, 5)]
    assert world.condition(ConditionType.READY) == ("True", "Reconciled")
    assert [(event.is_warning, event.reason) for event in world.events] == [
        (True, "TargetNotFound"),
        (False, "SuccessfulRescale"),
        (False, "Reconciled"),
    ]


async def test_what_was_last_shown_stays_while_nothing_can_be_decided() -> None:
    world = World(observe(2, 20))
    operator = started(Operator(world, pool()), 2)
    await operator.tick()
    world.found = GONE

    await operator.tick()

    assert (world.status.replicas, world.status.backlog) == (2, 20)
    assert world.status.limited_by is LimitedBy.HOLD


# --- acting ---


async def test_observe_mode_decides_and_never_scales() -> None:
    world = World(observe(2, 50))
    operator = started(Operator(world, pool(mode=Mode.OBSERVE)), 2)

    for _ in range(3):
        await operator.tick()

    assert world.scalings == []
    assert world.status.desired_replicas == 5
    assert world.condition(ConditionType.SCALING_ACTIVE) == ("False", "ObserveMode")
    assert world.condition(ConditionType.READY) == ("True", "Reconciled")
    assert world.events == []
    assert operator.memory is not None
    assert operator.memory.history.scalings == ()


async def test_observe_mode_shows_what_it_would_have_done_within_the_hour() -> None:
    world = World(observe(6, 70))
    operator = started(Operator(world, pool(mode=Mode.OBSERVE, max_replicas=20)), 6)

    for _ in range(3):
        await operator.tick()
    found = world.status.observed
    assert found is not None
    assert (found.changes, len(world.statuses)) == (1, 1)
    assert [(one.from_replicas, one.to_replicas) for one in found.last] == [(6, 7)]

    for messages in range(80, 130, 10):
        await operator.tick(observe(6, messages))
    found = world.status.observed
    assert found is not None
    assert (found.changes, [one.to_replicas for one in found.last]) == (6, [12, 11, 10, 9, 8])

    operator.clock.now += 3600
    await operator.tick()
    assert world.status.observed is not None
    assert (world.status.observed.changes, world.status.observed.last) == (0, ())

    operator.world.body["spec"]["mode"] = "Enforce"
    operator.change_spec()
    await operator.tick()
    assert world.status.observed is None


@pytest.mark.parametrize(
    "refusal",
    [
        Unavailable(Reason.SCALE_CONFLICT, "Deployment went from 2 to 7 replicas"),
        Unavailable(Reason.KUBERNETES_FORBIDDEN, "deployments/scale is forbidden"),
        Unavailable(Reason.KUBERNETES_UNAVAILABLE, "the Kubernetes API does not answer"),
    ],
)
async def test_a_scaling_that_is_refused_is_told_and_not_remembered_as_made(
    refusal: Unavailable,
) -> None:
    world = World(observe(2, 50), refusal=refusal)
    operator = started(Operator(world, pool()), 2)

    await operator.tick()

    assert (world.status.replicas, world.status.desired_replicas) == (2, 5)
    assert world.status.scalings == ()
    assert world.status.last_scale_time is None
    assert world.condition(ConditionType.READY) == ("False", refusal.reason)
    assert world.condition(ConditionType.SCALING_ACTIVE) == ("False", refusal.reason)
    assert "SuccessfulRescale" not in {event.reason for event in world.events}
    assert operator.memory is not None
    history = operator.memory.history
    assert (history.scalings, history.last_desired) == ((), None)

    world.refusal = None
    await operator.tick()
    assert world.scalings[-1] == ("scan", "scan-worker", 2, 5)
    assert world.condition(ConditionType.READY) == ("True", "Reconciled")


async def test_a_scaling_is_in_the_status_with_its_reason_and_told_once() -> None:
    world = World(observe(2, 50))
    operator = started(Operator(world, pool()), 2)

    await operator.tick()

    (scaling,) = world.status.scalings
    assert (scaling.from_replicas, scaling.to_replicas) == (2, 5)
    assert scaling.time == world.status.last_scale_time == "2027-01-15T08:00:00Z"
    assert scaling.limited_by is LimitedBy.NONE
    assert "50 messages" in scaling.reason
    (event,) = world.events
    assert (event.is_warning, event.reason) == (False, "SuccessfulRescale")
    assert "from 2 to 5" in event.message

    for _ in range(3):
        await operator.tick(follow(world.observation, 5))
    assert len(world.events) == 1
    assert world.status.last_scale_time == "2027-01-15T08:00:00Z"


async def test_the_status_keeps_the_last_five_scalings() -> None:
    world = World(observe(1))
    operator = started(Operator(world, pool()), 1)

    for replicas in range(1, 9):
        await operator.tick(observe(replicas, 10 * (replicas + 1)))

    assert [one.to_replicas for one in world.status.scalings] == [9, 8, 7, 6, 5]


async def test_replicas_that_are_set_back_again_and_again_are_contested() -> None:
    world = World(observe(2, 50))
    operator = started(Operator(world, pool()), 2)

    for _ in range(12):
        await operator.tick()

    assert world.condition(ConditionType.CONTESTED) == ("True", "ReplicasChangedElsewhere")
    told = [event for event in world.events if event.reason == "ReplicasChangedElsewhere"]
    # Contested, and Ready for each time that the replicas are left alone.
    assert [event.is_warning for event in told] == [True, True, True]
    # Two that were set back, and the next try a minute later: no fight.
    assert len(world.scalings) == 3


async def test_a_gitops_controller_is_named_at_the_tick_after_its_first_revert() -> None:
    world = World(observe(2, 50))
    operator = started(Operator(world, pool()), 2)

    await operator.tick()
    back = replace(target(2), writers=(Writer("argocd-controller", "", NOW + 5),))
    await operator.tick(observe(target=back, queues=world.observation.queues))

    assert world.condition(ConditionType.CONTESTED) == ("True", "ContestedByGitOps")
    assert world.condition(ConditionType.READY) == ("False", "ContestedByGitOps")
    assert len(world.scalings) == 1


async def test_an_autoscaler_on_the_same_target_is_left_alone_from_the_first_tick_on() -> None:
    hpa = Rival(RivalKind.AUTOSCALER, "HorizontalPodAutoscaler scan/workers", NOW - 50)
    world = World(observe(2, 50), rivals=seen((hpa,)))
    operator = started(Operator(world, pool()), 2)

    await operator.tick()

    assert world.condition(ConditionType.CONTESTED) == ("True", "ContestedByAutoscaler")
    assert (world.scalings, world.status.limited_by) == ([], LimitedBy.CONTESTED)


async def test_a_pool_that_only_observes_contests_nothing() -> None:
    hpa = Rival(RivalKind.AUTOSCALER, "HorizontalPodAutoscaler scan/workers", NOW - 50)
    world = World(observe(2, 50), rivals=seen((hpa,)))

    await started(Operator(world, pool(mode=Mode.OBSERVE)), 2).tick()

    assert world.condition(ConditionType.CONTESTED) == ("False", "NotContested")


async def test_autoscalers_that_cannot_be_listed_hold_nothing_and_are_told() -> None:
    world = World(observe(2, 50), rivals=unseen(Reason.KUBERNETES_FORBIDDEN))

    await started(Operator(world, pool()), 2).tick()

    assert world.condition(ConditionType.CONTESTED) == ("Unknown", "KubernetesForbidden")
    assert len(world.scalings) == 1


# --- the status ---


async def test_a_status_that_is_not_written_is_written_by_the_next_tick(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = World(observe(2, 20), status_refusal=unseen(Reason.KUBERNETES_UNAVAILABLE))
    operator = started(Operator(world, pool()), 2)
    await operator.tick()
    assert "was not written" in caplog.text
    world.status_refusal = None

    await operator.tick()

    assert len(world.statuses) == 1


async def test_what_an_older_crd_takes_away_is_told_once_and_not_written_again_and_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = World(observe(2, 20), unknown_fields=frozenset({"steps", "checkpoint"}))
    operator = started(Operator(world, pool()), 2)

    for backlog in (20, 20, 20, 15, 15):
        await operator.tick(observe(2, backlog))

    assert [status["backlog"] for status in world.statuses] == [20, 15]
    (told,) = caplog.messages
    assert "lacks checkpoint, steps" in told
    assert "apply crds/ anew" in told


async def test_a_pool_that_is_gone_is_no_matter_for_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING)
    world = World(observe(2, 20), status_refusal=unseen(Reason.NOT_FOUND))

    await started(Operator(world, pool()), 2).tick()

    assert caplog.text == ""
    assert world.events == []


async def test_a_status_by_another_hand_is_replaced() -> None:
    world = World(observe(2, 20))
    operator = Operator(world, pool())
    operator.pool = replace(operator.pool, status={"replicas": "many", "conditions": [{}]})

    await operator.tick()

    assert world.status.replicas == 2


async def test_the_first_tick_takes_up_what_the_last_process_left() -> None:
    world = World(observe(2, 20, provider=unseen(Reason.PROVIDER_UNREACHABLE)))
    operator = Operator(world, pool(llm=llm(api_key_secret_ref=API_KEY)))
    checkpoint = {
        "tokensPerReplicaMinute": 400_000,
        "quota": "Open",
        "quotaCode": "insufficient_quota",
        "quotaSince": NOW - 60,
    }
    operator.pool = replace(operator.pool, status={"checkpoint": checkpoint})

    await operator.tick()

    assert operator.memory is not None
    assert operator.memory.llm.cost.tokens == 400_000
    assert operator.memory.llm.breaker.state is Quota.OPEN
    assert world.status.checkpoint is not None
    assert world.status.checkpoint.tokens_per_replica_minute == 400_000
    assert world.condition(ConditionType.QUOTA_EXHAUSTED)[0] == "True"


# --- shards ---


class Elsewhere:
    """The account of the shards: who else uses each key."""

    def __init__(self, *shards: str) -> None:
        self.shards, self.asked = shards, list[tuple[str, list[str]]]()

    def elsewhere(
        self, pool: str, keys: Mapping[str, tuple[str, str]]
    ) -> Mapping[str, tuple[str, ...]]:
        self.asked.append((pool, [api_key for _, api_key in keys.values()]))
        return dict.fromkeys(keys, self.shards)

    def forget(self, pool: str) -> None:
        assert pool == "scan/pool"


def burning(monkeypatch: pytest.MonkeyPatch) -> World:
    """A world whose pool's key can be read."""

    async def read_keys(*_: Any) -> dict[str, str]:
        return {ONLY: "sk-the-key"}

    world = World(observe(2, 20, provider=seen(ProviderState())))
    monkeypatch.setattr(world, "read_keys", read_keys)
    return world


async def ticked_in_a_shard(world: World, *elsewhere: str) -> Elsewhere:
    operator = started(Operator(world, pool(llm=llm(api_key_secret_ref=API_KEY))), 2)
    shards, fake = Elsewhere(*elsewhere), cast("Any", world)
    claims, metrics = Claims(cast("Any", shards)), Metrics(CollectorRegistry())
    shown = Shown(metrics, operator.permits, cast("Any", operator.world))
    operator.reconciler = Reconciler(fake, fake, claims, shown, operator.clock)
    await operator.tick()
    return shards


async def test_a_key_that_another_shard_uses_is_named_and_never_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = burning(monkeypatch)

    shards = await ticked_in_a_shard(world, "scanpool-b", "scanpool-c")

    assert shards.asked == [("scan/pool", ["sk-the-key"])]
    assert world.condition(ConditionType.KEY_SPLIT) == ("True", "KeyInOtherShards")
    (told,) = (one for one in world.status.conditions if one.type is ConditionType.KEY_SPLIT)
    assert f"the key {API_KEY.key} of Secret {API_KEY.name} is used by pools of" in told.message
    assert "scanpool-b, scanpool-c" in told.message
    assert "sk-the-key" not in str(world.statuses)
    assert [one.reason for one in world.events if one.is_warning][-1] == "KeyInOtherShards"

    await ticked_in_a_shard(world)
    assert world.condition(ConditionType.KEY_SPLIT) == ("False", "KeyInOneShard")


async def test_where_there_are_no_shards_there_is_no_condition_of_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = burning(monkeypatch)
    await ticked_in_a_shard(world, "scanpool-b")
    before = world.body["status"]

    operator = started(Operator(world, pool(llm=llm(api_key_secret_ref=API_KEY))), 2)
    operator.pool = replace(operator.pool, status=before)
    await operator.tick()

    kinds = {one.type for one in world.status.conditions}
    assert kinds == set(ConditionType) - {ConditionType.KEY_SPLIT, ConditionType.BUDGET_EXHAUSTED}


# --- money ---


async def test_what_a_pool_with_prices_spends_is_told_measured_and_kept() -> None:
    used = KeyUsage(1_000_000.0, own_tokens_per_minute=1_000_000.0)
    world = World(observe(2, 20, usage=seen(used)))
    spec = pool(
        llm=llm(prices=Prices(input=2, output=2), usage=WHOLE_KEY), spend=Spend(per_day=100)
    )
    operator = started(Operator(world, spec), 2)

    await operator.tick()
    await operator.tick()
    found = world.status.spend
    assert found is not None
    assert (found.per_hour, found.per_day) == (120.0, 100.0)
    assert world.condition(ConditionType.BUDGET_EXHAUSTED) == ("False", "BudgetAvailable")
    assert operator.memory is not None
    assert operator.memory.spent is not None
    assert operator.memory.spent.amount == pytest.approx(2.0 / 6)
    labels = {"namespace": "scan", "pool": "pool"}
    assert operator.registry.get_sample_value("scanpool_pool_spend_per_hour", labels) == 120.0


# --- the probe ---

REFUSING = ProviderState(billing_code="insufficient_quota")


async def test_the_probe_backs_off_and_a_changed_spec_is_tried_at_once() -> None:
    world = World(observe(2, 20, provider=seen(REFUSING)))
    operator = Operator(world, pool(llm=llm(api_key_secret_ref=API_KEY)))

    await operator.tick()
    for seconds in (60, 180):
        await operator.tick(observe(2, 20, provider=seen(REFUSING, NOW + seconds)))
    assert world.probe_ages == [10, 60, 120]

    operator.change_spec()
    await operator.tick()
    await operator.tick()
    assert world.probe_ages[3:] == [0, 240]


async def test_a_changed_spec_costs_no_probe_while_the_provider_is_paid() -> None:
    world = World(observe(2, 20, provider=seen(ProviderState(tokens_per_minute=1))))
    operator = Operator(world, pool(llm=llm(api_key_secret_ref=API_KEY)))

    await operator.tick()
    operator.change_spec()
    await operator.tick()

    assert world.probe_ages == [10, 60]


async def test_the_first_tick_of_a_process_goes_on_with_the_back_off() -> None:
    world = World(observe(2, 20, provider=seen(REFUSING)))
    operator = Operator(world, pool(llm=llm(api_key_secret_ref=API_KEY)))
    left = {"quota": "Open", "quotaSince": NOW - 600, "quotaRefusals": 4}
    status = {"observedGeneration": operator.pool.generation, "checkpoint": left}
    operator.pool = replace(operator.pool, status=status)

    await operator.tick()

    assert world.probe_ages == [480]
    assert operator.memory is not None
    assert operator.memory.llm.breaker.refusals == 5


async def test_what_a_tick_shows_is_in_the_metrics() -> None:
    operator = started(Operator(World(observe(2, 50)), pool()), 2)
    labels = {"namespace": "scan", "pool": "pool"}

    await operator.tick()

    assert operator.registry.get_sample_value("scanpool_pool_desired_replicas", labels) == 5


# --- a steady pool costs the API server nothing ---

BUSY_TOKENS = 1_500_000


def busy(jitter: float) -> Observation:
    """Build what a pool of three busy replicas sees; `jitter` is a share of the limit."""
    used = BUSY_TOKENS + jitter * LIMIT
    own = used - 200_000
    return observe(
        3,
        target=target(3, pods(3, memory_used=400 * 2**20)),
        queues=seen((depth(ready=10, unacked=round(20 + 100 * jitter)),)),
        rates=seen((rates(own / 60 / 3_000),)),
        usage=seen(KeyUsage(used, used / 3_000, 0.0)),
        nodes=seen((node(memory_requested=1_500 * 2**20),)),
    )


JITTER = (0.0, 0.01, -0.01, 0.005, -0.007)


@pytest.mark.parametrize(
    ("spec", "observations"),
    [
        pytest.param(
            pool(llm=llm(), memory=MemoryTarget()),
            [
                observe(
                    1,
                    0,
                    rates=seen((rates(0.0),)),
                    nodes=seen((node(),)),
                )
            ],
            id="idle",
        ),
        pytest.param(
            pool(
                llm=llm(usage=WHOLE_KEY, tokens_per_replica_minute=430_000),
                memory=MemoryTarget(),
            ),
            [busy(jitter) for jitter in JITTER],
            id="busy-with-jittering-rates",
        ),
        pytest.param(pool(), [observe(2)], id="blind"),
        pytest.param(
            pool(fallback=Fallback(failure_threshold=1, replicas=2)),
            [observe(2)],
            id="blind-with-a-fallback",
        ),
    ],
)
async def test_a_steady_pool_is_not_written_to(
    spec: PoolSpec, observations: list[Observation]
) -> None:
    world = World(observations[0])
    operator = Operator(world, spec)
    # The first tick holds, a busy pool learns its cost in the first minutes, and the window for
    # fewer replicas is full after five.
    for tick in range(40):
        await operator.tick(observations[tick % len(observations)])
    writes, events = len(world.statuses), len(world.events)
    assert writes > 0

    for tick in range(20):
        await operator.tick(observations[tick % len(observations)])

    assert len(world.statuses) - writes == 0
    assert len(world.events) - events == 0
    assert world.scalings == []


async def test_a_jitter_across_the_edge_of_a_zone_is_not_written() -> None:
    # 75% of the limit is the edge between Yellow and Orange.
    observations = [
        observe(3, 30, usage=seen(KeyUsage(used, None, 0.0)), rates=seen((rates(8.0),)))
        for used in (1_495_000.0, 1_505_000.0)
    ]
    world = World(observations[0])
    operator = Operator(world, pool(llm=llm(usage=WHOLE_KEY)))
    for tick in range(30):
        await operator.tick(observations[tick % 2])
    writes = len(world.statuses)

    for tick in range(20):
        await operator.tick(observations[tick % 2])

    assert len(world.statuses) == writes


def test_a_pool_is_what_the_api_sends_of_it() -> None:
    metadata = {"namespace": "scan", "name": "pool", "uid": "u"}

    found = Pool.from_body({"metadata": metadata, "status": None})

    assert (found.namespace, found.name, found.uid) == ("scan", "pool", "u")
    assert (found.generation, found.status) == (0, {})
    assert isinstance(found.spec, Unavailable)
    assert found.spec.reason is Reason.INVALID_SPEC
    assert isinstance(seen(1), Available)


async def test_a_pool_whose_ticks_did_not_end_says_so_until_the_next_one_has() -> None:
    operator = started(Operator(World(observe(2, 20)), pool()), 2)
    await operator.tick()

    await operator.reconciler.report_stuck(operator.pool)

    assert operator.world.condition(ConditionType.READY) == ("False", "TicksStuck")
    assert operator.world.events[-1].is_warning
    operator.pool = Pool.from_body(operator.world.body)
    await operator.tick()
    assert operator.world.condition(ConditionType.READY) == ("True", "Reconciled")


async def test_what_was_scaled_is_known_before_the_watch_tells_it() -> None:
    operator = started(Operator(World(observe(2, 50)), pool()), 2)

    await operator.tick()

    assert operator.world.told == [("scan", "scan-worker", 5)]


# --- what a ScaledObject may have ---


def told(operator: Operator) -> Permit | Unavailable | None:
    found = operator.permits.told("scan", "pool")
    return None if found is None else found.found


OBSERVING = pool(mode=Mode.OBSERVE, llm=llm())


async def test_a_pool_that_observes_tells_what_it_would_let_others_have() -> None:
    operator = started(Operator(World(observe(2, 50)), OBSERVING), 2)
    assert told(operator) is None

    await operator.tick()

    assert told(operator) == Permit(3, would_have_any=True)
    assert operator.world.scalings == []


async def test_a_pool_that_scales_by_itself_lets_nobody_else() -> None:
    operator = started(Operator(World(observe(2, 50)), pool(llm=llm())), 2)

    await operator.tick()

    found = told(operator)
    assert isinstance(found, Unavailable)
    assert found.reason is Reason.SCALING_ENABLED


@pytest.mark.parametrize(("spec", "found", "reason"), [
    (INVALID, None, Reason.INVALID_SPEC), (OBSERVING, GONE, Reason.TARGET_NOT_FOUND),
])  # fmt: skip
async def test_a_pool_that_cannot_be_decided_on_tells_why(
    spec: Any, found: Any, reason: Reason
) -> None:
    operator = Operator(World(observe(2, 50), found=found), spec)

    await operator.tick()

    why = told(operator)
    assert isinstance(why, Unavailable)
    assert why.reason is reason


async def test_what_a_pool_told_lasts_some_missed_ticks_and_no_longer() -> None:
    operator = started(Operator(World(observe(2, 50)), OBSERVING), 2)
    await operator.tick()

    operator.clock.now += 30
    assert isinstance(told(operator), Permit)
    operator.clock.now += 90
    assert isinstance(told(operator), Unavailable)


async def test_a_pool_that_is_gone_tells_nothing() -> None:
    operator = started(Operator(World(observe(2, 50)), OBSERVING), 2)
    await operator.tick()

    operator.reconciler.forget("scan", "pool")

    assert told(operator) is None


async def test_a_process_that_follows_tells_nothing() -> None:
    operator = started(Operator(World(observe(2, 50)), OBSERVING), 2)

    await operator.reconciler.follow(operator.pool, operator.memory)

    assert told(operator) is None
