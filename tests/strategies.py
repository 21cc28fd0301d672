"""Hypothesis strategies for pools, what they see and what they remember."""

from collections.abc import Mapping
from dataclasses import replace
from math import inf
from typing import Any, NamedTuple, TypeVar

from hypothesis import strategies as st

from builders import API_KEY, NOW, WHOLE_KEY, pool, rates, target, unseen
from scanpool.decide import Memory
from scanpool.decide.backoff import Backoff
from scanpool.decide.behavior import Recommendation, Scaling
from scanpool.decide.breaker import Breaker, Quota
from scanpool.decide.cost import Learned
from scanpool.decide.history import History
from scanpool.decide.memory import LlmMemory
from scanpool.decide.working_sets import WorkingSet, WorkingSets
from scanpool.models.claims import Claim, Need, Unit
from scanpool.models.conditions import Reason
from scanpool.models.fallback import Fallback
from scanpool.models.llm import ONLY, Llm, OnQuotaExhausted, Usage
from scanpool.models.observation import (
    KeyUsage,
    Node,
    Observation,
    Pod,
    ProviderState,
    QueueDepth,
    QueueRates,
)
from scanpool.models.reading import Available, Reading
from scanpool.models.spec import (
    Behavior,
    MemoryTarget,
    PolicyType,
    PoolSpec,
    Queue,
    ScalingPolicy,
    ScalingRules,
    SelectPolicy,
)
from scanpool.models.units import MEBIBYTE

T = TypeVar("T")


class Scenario(NamedTuple):
    """The arguments of one decision; the time is NOW."""

    spec: PoolSpec
    observation: Observation
    memory: Memory


MOST_REPLICAS = 30
names = st.sampled_from(["scan.vision", "scan.rule", "scan.answer", "scan.reward"])
replicas = st.integers(0, MOST_REPLICAS)
tokens_per_minute = st.integers(1, 4_000_000)
ages = st.floats(0, 2_000)
past = ages.map(lambda age: NOW - age)
costs = st.floats(1, 2e6)
quotas = st.sampled_from(Quota)
working_sets = st.builds(WorkingSet, past, st.integers(0, 2_048 * MEBIBYTE))
recommended = st.lists(st.builds(Recommendation, past, replicas), min_size=1, max_size=6).map(
    lambda drawn: tuple(sorted(drawn))
)
# At zero replicas a key that shows no use yet is not a failure: see awaits_first_call.
failures = st.sampled_from([one for one in Reason if one is not Reason.USAGE_NOT_FOUND]).map(unseen)

policies = st.builds(
    ScalingPolicy,
    type=st.sampled_from(PolicyType),
    value=st.integers(1, 200),
    # By its name outside: of a required field `builds` would draw that too, and it would count.
    periodSeconds=st.integers(1, 120),
)
scaling_rules = st.builds(
    ScalingRules,
    stabilization_window_seconds=st.none() | st.integers(0, 600),
    select_policy=st.sampled_from(SelectPolicy),
    policies=st.lists(policies, max_size=3).map(tuple),
    tolerance=st.sampled_from([0.0, 0.1, 0.5]),
)
behaviors = st.builds(Behavior, scale_up=scaling_rules, scale_down=scaling_rules)
queue_lists = st.lists(
    st.builds(
        Queue,
        name=names,
        messages_per_replica=st.integers(1, 50),
        tokens_per_message=st.sampled_from([0, 500, 1_500, 3_000]),
    ),
    min_size=1,
    max_size=4,
    unique_by=lambda one: one.name,
)
llms = st.builds(
    Llm,
    model=st.just("gpt-5.2"),
    api_key_secret_ref=st.just(API_KEY),
    tokens_per_minute=st.none() | tokens_per_minute,
    requests_per_minute=st.none() | st.integers(1, 10_000),
    target_utilization_percent=st.integers(1, 100),
    tokens_per_replica_minute=st.none() | st.integers(1, 1_000_000),
    on_quota_exhausted=st.sampled_from(OnQuotaExhausted),
    usage=st.sampled_from([Usage(), WHOLE_KEY]),
)


@st.composite
def _specs(
    draw: st.DrawFn, /, providers: st.SearchStrategy[Llm | None], has_nodes: st.SearchStrategy[bool]
) -> PoolSpec:
    most = draw(st.integers(1, MOST_REPLICAS))
    return pool(
        *draw(queue_lists),
        min_replicas=draw(st.integers(0, most)),
        max_replicas=most,
        llm=draw(providers),
        memory=MemoryTarget(
            enabled=draw(has_nodes),
            target_utilization_percent=draw(st.integers(1, 100)),
        ),
        fallback=draw(
            st.none() | st.builds(Fallback, failure_threshold=st.integers(1, 2), replicas=replicas)
        ),
        behavior=draw(behaviors),
    )


specs = _specs(st.none() | llms, st.booleans())
paying_specs = _specs(llms, st.booleans())
# Pools whose ceilings rest on all that there is to read.
watched_specs = _specs(
    llms.map(lambda one: one.model_copy(update={"usage": WHOLE_KEY})), st.just(value=True)
)
uncapped_specs = _specs(st.none(), st.just(value=False))

nodes = st.lists(
    st.builds(
        Node,
        name=st.sampled_from(["node-a", "node-b"]),
        memory_allocatable=st.integers(0, 16_384).map(lambda mebi: mebi * MEBIBYTE),
        cpu_allocatable=st.integers(0, 8_000),
        pods_allocatable=st.integers(0, 110),
        memory_requested=st.integers(0, 16_384).map(lambda mebi: mebi * MEBIBYTE),
        cpu_requested=st.integers(0, 8_000),
        pods_running=st.integers(0, 110),
        ready=st.booleans(),
        memory_pressure=st.booleans(),
        memory_used=st.none() | st.integers(0, 16_384 * MEBIBYTE),
    ),
    max_size=3,
).map(tuple)
provider_states = st.builds(
    ProviderState,
    tokens_per_minute=st.none() | tokens_per_minute,
    requests_per_minute=st.none() | st.integers(1, 10_000),
    billing_code=st.none() | st.just("insufficient_quota"),
    rate_limited=st.booleans(),
    slow_down=st.booleans(),
)
usages = st.builds(
    KeyUsage,
    tokens_per_minute=st.floats(0, 4e6),
    requests_per_minute=st.none() | st.floats(0, 10_000),
    rate_limited_per_minute=st.none() | st.sampled_from([0.0, 5.0]),
    own_tokens_per_minute=st.none() | st.floats(0, 4e6),
)


@st.composite
def _needs(draw: st.DrawFn) -> Need:
    plan = draw(st.floats(-1e6, 4e6))
    return Need(
        per_replica=draw(costs),
        own=draw(st.floats(0, 4e6)),
        plan=plan,
        keep=plan + draw(st.floats(0, 1e6)),
        others=draw(st.just(0.0) | st.floats(0, 4e6)),
        factor=draw(st.floats(0.2, 1.0)),
        most=draw(st.just(inf) | st.floats(0, 4e6)),
    )


claims = st.builds(
    Claim,
    pool=st.sampled_from([f"scan/peer-{number}" for number in range(6)]),
    weight=st.integers(1, 5) | st.integers(1, 1_000),
    floor=st.integers(0, 3),
    wanted=replicas,
    held=replicas,
    needs=st.dictionaries(st.sampled_from(Unit), _needs(), max_size=4),
)
all_pods = st.lists(
    st.builds(
        Pod,
        name=st.just("scan-worker"),
        node=st.none() | st.just("node-a"),
        ready=st.booleans(),
        created_at=ages.map(lambda age: NOW - 2_000 - age),
        ready_at=st.none() | past,
        unschedulable=st.none() | st.just("0/2 nodes are available"),
        oom_killed_at=st.none() | past,
        memory_used=st.none() | st.integers(0, 2_048 * MEBIBYTE),
    ),
    max_size=5,
).map(tuple)


def readings(values: st.SearchStrategy[T]) -> st.SearchStrategy[Reading[T]]:
    """Draw a reading of at most 2,000 s ago."""
    return st.builds(Available, values, past, st.just("test"))


def depths_of(spec: PoolSpec) -> st.SearchStrategy[tuple[QueueDepth, ...]]:
    """Draw the depth of every queue of the pool."""
    messages = st.integers(0, 1_000)
    return st.tuples(
        *(
            st.builds(QueueDepth, st.just(one.name), messages, st.none() | messages)
            for one in spec.rabbitmq.queues
        )
    )


def rates_of(spec: PoolSpec) -> st.SearchStrategy[tuple[QueueRates, ...]]:
    """Draw the rates of every queue of the pool."""
    return st.tuples(
        *(st.builds(rates, st.floats(0, 100), st.just(one.name)) for one in spec.rabbitmq.queues)
    )


@st.composite
def observations(
    draw: st.DrawFn, /, spec: PoolSpec, parts: Mapping[str, st.SearchStrategy[Any]] | None = None
) -> Observation:
    """Draw what a tick of the pool sees, all readings that it asks for; `parts` replace some."""
    provider = provider_states
    if spec.llm is not None and spec.llm.tokens_per_minute is None:
        provider = provider.filter(lambda one: bool(one.tokens_per_minute or one.billing_code))
    asks_usage = spec.llm is not None and spec.llm.usage.prometheus is not None
    usual: dict[str, st.SearchStrategy[Any]] = {
        "target": st.builds(target, replicas, st.none() | all_pods),
        "queues": readings(depths_of(spec)),
        "rates": readings(rates_of(spec)) if spec.llm else st.none(),
        "provider": readings(provider) if spec.llm else st.none(),
        "usage": readings(usages) if asks_usage else st.none(),
        "nodes": readings(nodes) if spec.memory.enabled else st.none(),
    }
    return draw(st.builds(Observation, **{**usual, **(parts or {})}))


@st.composite
def memories(
    draw: st.DrawFn,
    /,
    recommendations: st.SearchStrategy[tuple[Recommendation, ...]] = recommended,
    quotas: st.SearchStrategy[Quota] = quotas,
) -> Memory:
    """Draw what a process remembers at NOW."""
    history = History(
        recommendations=draw(recommendations),
        scalings=tuple(draw(st.lists(st.builds(Scaling, past, st.integers(-5, 5)), max_size=4))),
        failed_depth_readings=draw(st.integers(0, 2)),
        last_desired=draw(st.none() | replicas),
    )
    learned = Learned(busy_since=draw(st.none() | past), busy_replicas=draw(st.integers(0, 5)))
    if draw(st.booleans()):
        learned = replace(learned, tokens=draw(costs), at=draw(past))
    backoff = Backoff(growth_stopped_until=draw(st.none() | st.floats(NOW - 900, NOW + 900)))
    if draw(st.booleans()):
        at = draw(past)
        factor = draw(st.floats(0.2, 1.0, exclude_max=True))
        backoff = replace(backoff, at=at, refused_at=draw(st.floats(at, NOW)), factor=factor)
    sets = WorkingSets(tuple(draw(st.lists(working_sets, max_size=4))))
    known = LlmMemory(breaker=draw(_breakers(quotas)), backoff=backoff, cost=learned)
    return Memory(history, sets, {ONLY: known})


@st.composite
def _breakers(draw: st.DrawFn, /, quotas: st.SearchStrategy[Quota]) -> Breaker:
    state = draw(quotas)
    if state is not Quota.CLOSED:
        since, refusals = draw(past), draw(st.integers(1, 20))
        return Breaker(state, "insufficient_quota", since, refusals)
    if draw(st.booleans()):
        return Breaker(state, closed_at=draw(past), refusals=draw(st.integers(0, 5)))
    return Breaker(state)


def answering(spec: PoolSpec) -> dict[str, st.SearchStrategy[Any]]:
    """Return the part of an observation in which no probe met a billing error."""
    if spec.llm is None:
        return {}
    paid = provider_states.filter(lambda one: one.billing_code is None)
    if spec.llm.tokens_per_minute is None:
        paid = paid.filter(lambda one: one.tokens_per_minute is not None)
    return {"provider": readings(paid)}


@st.composite
def scenarios(
    draw: st.DrawFn, /, specs: st.SearchStrategy[PoolSpec] = specs, *, is_paid: bool = False
) -> Scenario:
    """Draw a decision for which every reading is there; if it is paid, with the breaker closed."""
    spec = draw(specs)
    if not is_paid:
        return Scenario(spec, draw(observations(spec)), draw(memories()))
    observation = draw(observations(spec, answering(spec)))
    return Scenario(spec, observation, draw(memories(quotas=st.just(Quota.CLOSED))))


@st.composite
def scenarios_with_gaps(draw: st.DrawFn, /, specs: st.SearchStrategy[PoolSpec] = specs) -> Scenario:
    """Draw a decision with the breaker closed, and at least one reading missing."""
    spec, observation, memory = draw(scenarios(specs, is_paid=True))
    asked = [
        name
        for name in ("queues", "rates", "provider", "usage", "nodes")
        if getattr(observation, name) is not None
    ]
    missing = draw(st.lists(st.sampled_from(asked), min_size=1, unique=True))
    gone: dict[str, Any] = {name: draw(failures) for name in missing}
    return Scenario(spec, replace(observation, **gone), memory)
