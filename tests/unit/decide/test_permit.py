"""The most replicas that a pool may have, for somebody else who scales its target."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given

from builders import (
    API_KEY,
    NOW,
    WHOLE_KEY,
    blinded,
    llm,
    node,
    observe,
    pool,
    rates,
    seen,
    settled,
    think,
)
from scanpool.decide import Memory
from scanpool.decide.breaker import Breaker, Quota
from scanpool.decide.bucket import Bucket, OthersUse
from scanpool.decide.cost import Learned
from scanpool.decide.looks import Look
from scanpool.decide.permit import FIRST_LOOK, Permit, permit
from scanpool.models.conditions import Reason
from scanpool.models.llm import OnQuotaExhausted
from scanpool.models.observation import KeyUsage, Observation, ProviderState
from scanpool.models.reading import Unavailable
from scanpool.models.spec import (
    Behavior,
    MemoryTarget,
    Mode,
    PolicyType,
    PoolSpec,
    ScalingPolicy,
    ScalingRules,
)
from strategies import Scenario, scenarios_with_gaps

LIMIT = 2_000_000
ALL_AT_ONCE = ScalingRules(
    policies=(ScalingPolicy(type=PolicyType.PODS, value=1_000, period_seconds=1),),
    stabilization_window_seconds=0,
)
GREEDY = 10**9
"""Messages: more than any pool has replicas for."""


def burning(**changes: Any) -> PoolSpec:
    """Build the spec of a pool that observes: up to 30 replicas, of which the key feeds three."""
    usual: dict[str, Any] = {"mode": Mode.OBSERVE, "min_replicas": 0, "max_replicas": 30}
    found = llm(
        usage=WHOLE_KEY,
        api_key_secret_ref=API_KEY,
        on_quota_exhausted=OnQuotaExhausted.SCALE_TO_ZERO,
    )
    return pool(**{**usual, "llm": found, **changes})


def world(replicas: int, used: float = 0, messages: int = 200, **changes: Any) -> Observation:
    usual: dict[str, Any] = {
        "rates": seen((rates(0),)),
        "provider": seen(ProviderState(LIMIT)),
        "usage": seen(KeyUsage(used)),
    }
    return observe(replicas, messages, **{**usual, **changes})


def permitted(
    spec: PoolSpec, observation: Observation, memory: Memory | None = None
) -> Permit | Unavailable:
    known = settled(observation.target.replicas) if memory is None else memory
    found, _, decision = think(spec, observation, known)
    return permit(spec, found, decision)


def tripped(state: Quota, replicas: int) -> Memory:
    return settled(replicas, breaker=Breaker(state, "insufficient_quota", NOW - 5, 1, NOW - 5))


@pytest.mark.parametrize(
    ("spec", "observation", "most"),
    [
        pytest.param(burning(), world(1), 3, id="what-the-tokens-feed"),
        pytest.param(burning(), world(1, messages=0), 3, id="whatever-waits"),
        pytest.param(burning(), world(1, used=1_000_000), 1, id="less-what-others-use"),
        pytest.param(burning(), world(3, used=1_800_000), 0, id="all-of-it-theirs"),
        pytest.param(
            burning(min_replicas=2), world(3, used=1_800_000), 2, id="never-below-min-replicas"
        ),
        pytest.param(burning(max_replicas=2), world(1), 2, id="never-above-max-replicas"),
        pytest.param(
            pool(mode=Mode.OBSERVE, max_replicas=7), observe(2, 20), 7, id="no-limit-but-its-own"
        ),
        pytest.param(
            burning(memory=MemoryTarget()),
            world(1, nodes=seen((node(memory_allocatable=2**30, memory_requested=2**29),))),
            1,
            id="what-the-nodes-hold",
        ),
    ],
)
def test_the_smallest_of_all_limits_counts(
    spec: PoolSpec, observation: Observation, most: int
) -> None:
    found = permitted(spec, observation)

    assert isinstance(found, Permit)
    assert found.replicas == most


@pytest.mark.parametrize(
    ("messages", "used", "has_any"), [(200, 0, True), (0, 0, False), (200, 1_800_000, False)]
)
def test_a_ceiling_asks_for_no_replica_by_itself(messages: int, used: float, has_any: bool) -> None:
    found = permitted(burning(), world(0, used, messages))

    assert isinstance(found, Permit)
    assert found.would_have_any is has_any


@pytest.mark.parametrize("missing", ["queues", "rates", "usage", "nodes"])
@pytest.mark.parametrize("replicas", [0, 3])
def test_what_the_pool_does_not_act_on_is_told_nobody(missing: str, replicas: int) -> None:
    spec = burning(memory=MemoryTarget())
    whole = world(replicas, nodes=seen((node(),)))
    assert isinstance(permitted(spec, whole), Permit)

    found = permitted(spec, blinded(whole, missing))

    assert isinstance(found, Unavailable)
    assert found.reason is Reason.LIMIT_UNKNOWN
    assert "look there" in found.message


def test_a_limit_that_nobody_told_is_unknown_and_named() -> None:
    spec = burning(llm=llm(usage=WHOLE_KEY, tokens_per_minute=None, api_key_secret_ref=API_KEY))

    found = permitted(spec, world(1, provider=seen(ProviderState())))

    assert isinstance(found, Unavailable)
    assert "tokens ceiling: the TPM limit is unknown" in found.message


def test_the_first_look_of_a_process_tells_nothing() -> None:
    found = permitted(burning(), world(2), Memory())

    assert isinstance(found, Unavailable)
    assert found.message == FIRST_LOOK


@pytest.mark.parametrize(
    ("state", "replicas", "missing", "most"),
    [
        (Quota.OPEN, 3, (), 0),
        (Quota.OPEN, 3, ("usage",), 0),
        (Quota.OPEN, 0, ("usage",), 0),
        (Quota.HALF_OPEN, 0, (), 1),
        (Quota.HALF_OPEN, 3, ("usage",), 1),
        (Quota.HALF_OPEN, 0, ("usage",), None),
    ],
)
def test_what_the_breaker_takes_is_known_whatever_is_not(
    state: Quota, replicas: int, missing: tuple[str, ...], most: int | None
) -> None:
    # The answer is older than what the breaker was told last: it moves nothing.
    answer = seen(ProviderState(LIMIT), NOW - 60)
    observation = blinded(world(replicas, provider=answer), *missing)

    found = permitted(burning(), observation, tripped(state, replicas))

    assert (found.replicas if isinstance(found, Permit) else None) == most


@pytest.mark.parametrize(
    ("level", "missing", "most"),
    [
        pytest.param(0.05, (), 2, id="empty"),
        pytest.param(0.05, ("nodes",), 2, id="empty-and-unread"),
        pytest.param(0.5, ("nodes",), None, id="half-full-and-unread"),
    ],
)
def test_what_an_empty_bucket_takes_is_known_whatever_is_not(
    level: float, missing: tuple[str, ...], most: int | None
) -> None:
    then, nobody = NOW - 10, OthersUse(NOW - 10, 0.0)
    cost = 600_000.0
    bucket = Bucket(
        (Look(then, int(level * LIMIT), LIMIT, None, 3, 3),),
        nobody,
        cost,
        3,
        told_at=then,
        usual=nobody,
    )
    observation = world(
        3,
        used=3 * cost,
        rates=seen((rates(9.0),)),
        provider=seen(ProviderState(LIMIT, tokens_remaining=int(level * LIMIT))),
        nodes=seen((node(), node("node-b"))),
    )

    found = permitted(
        burning(memory=MemoryTarget()),
        blinded(observation, *missing),
        settled(3, bucket=bucket, cost=Learned(cost, then, 600.0)),
    )

    assert (found.replicas if isinstance(found, Permit) else None) == most


@given(scenarios_with_gaps())
def test_it_is_what_the_ladder_gives_a_pool_that_asks_for_all_it_can(scenario: Scenario) -> None:
    """Where it is told, that is: with no window, no policy and no fallback in the way."""
    spec = scenario.spec.model_copy(
        update={
            "mode": Mode.ENFORCE,
            "behavior": Behavior(scale_up=ALL_AT_ONCE, scale_down=ALL_AT_ONCE),
            "fallback": None,
        }
    )
    queues = scenario.observation.queues
    if not isinstance(queues, Unavailable):
        (first, *rest) = queues.value
        queues = replace(queues, value=(replace(first, ready=GREEDY), *rest))
    observation = replace(scenario.observation, queues=queues)
    found, _, decision = think(spec, observation, scenario.memory)

    told = permit(spec, found, decision)

    if isinstance(told, Permit):
        assert decision.desired == told.replicas
    else:
        assert told.message
