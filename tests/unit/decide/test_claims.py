"""What a pool claims of a limit that it shares, and what pools that share it may not do."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import fsum
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import (
    API_KEY,
    NOW,
    WHOLE_KEY,
    decided,
    llm,
    node,
    observe,
    pool,
    rates,
    seen,
    settled,
    think,
    unseen,
)
from scanpool.decide import Memory, Peers, after_scaling, assess, decide, learn
from scanpool.decide.cost import Learned
from scanpool.decide.decision import Decision
from scanpool.models.claims import Claim, Unit
from scanpool.models.conditions import LimitedBy
from scanpool.models.llm import ONLY
from scanpool.models.observation import KeyUsage
from scanpool.models.reading import Available
from scanpool.models.spec import MemoryTarget, Mode, PoolSpec
from scanpool.models.units import MEBIBYTE
from strategies import MOST_REPLICAS, Scenario, claims, paying_specs, scenarios

# Of sums of some ten million tokens a minute.
ROUNDING = 1e-3


# --- What a pool claims ---


def claimed(
    replicas: int, messages: int, /, observed: dict[str, Any] | None = None, **changes: Any
) -> Claim:
    spec = pool(**{"min_replicas": 2, "llm": llm(weight=3), **changes})
    found = (
        decided(spec, observe(replicas, messages, **(observed or {})))
        .claims.get(ONLY, {})
        .get(ONLY)
    )
    assert found is not None
    return found


def test_a_claim_is_what_the_pool_would_have_without_the_limits_that_are_shared() -> None:
    """20 by the queues, 10 at most, 5 by the policies: 3 fit, and it is about to have them."""
    found = claimed(1, 200)

    assert replace(found, needs={}) == Claim(
        "scan/pool", 3, 2, wanted=5, held=3, needs={}, wanted_lately=10, is_busy=False, ready=1
    )
    assert set(found.needs) == {Unit.TOKENS}
    assert found.needs[Unit.TOKENS].per_replica == 500_000
    assert found.needs[Unit.TOKENS].plan == 1_700_000


def test_a_pool_holds_what_it_gives_back_until_the_next_tick() -> None:
    """Its replicas spend until they have ended."""
    found = claimed(6, 200)

    assert (found.wanted, found.held) == (10, 6)


def test_what_does_not_fit_on_the_nodes_is_not_claimed() -> None:
    """2 replicas run; 512Mi fit once more into what is left of 85% of 2048Mi."""
    full = node(memory_allocatable=2_048 * MEBIBYTE, memory_requested=1_024 * MEBIBYTE)

    found = claimed(2, 200, {"nodes": seen((full,))}, memory=MemoryTarget())
    assert found.wanted == 3


def test_a_pool_that_only_observes_claims_no_more_than_it_has() -> None:
    found = claimed(1, 200, mode=Mode.OBSERVE)

    assert (found.wanted, found.held) == (1, 1)


def test_a_pool_that_holds_claims_what_it_has() -> None:
    found = claimed(3, 200, {"rates": unseen()})

    assert (found.wanted, found.held) == (3, 3)


def test_a_pool_that_holds_at_its_minimum_is_about_to_have_that() -> None:
    found = claimed(1, 200, {"rates": unseen()})

    assert (found.floor, found.held) == (2, 2)


def test_of_a_limit_whose_cost_is_unknown_nothing_is_claimed() -> None:
    """Nobody knows how many requests go with tokens that no queue is said to cost."""
    unpriced = pool().rabbitmq.queues[0].model_copy(update={"tokens_per_message": 0})
    found = decided(pool(unpriced, llm=llm(requests_per_minute=500)), observe(1, 200))
    assert set(found.claims[ONLY][ONLY].needs) == {Unit.TOKENS}
    assert LimitedBy.REQUESTS not in found.ceilings

    unlearned = claimed(1, 200, llm=llm(tokens_per_replica_minute=None))
    assert unlearned.needs == {}


def test_a_pool_without_a_provider_claims_nothing() -> None:
    assert decided(pool(), observe(1, 200)).claims == {}


# --- Whatever the others claim ---


def allowed(decision: Decision) -> list[int]:
    """Return the most replicas that each ceiling of the provider allows the pool."""
    return [
        decision.ceilings[limit].allows(decision.current)
        for limit in (LimitedBy.TOKENS, LimitedBy.REQUESTS)
        if limit in decision.ceilings
    ]


def undisturbed(scenario: Scenario) -> Scenario:
    """Let nobody but the pool be seen to use its key."""
    usage = scenario.observation.usage
    if isinstance(usage, Available):
        value = replace(
            usage.value,
            own_tokens_per_minute=usage.value.tokens_per_minute,
            own_requests_per_minute=usage.value.requests_per_minute,
        )
        usage = replace(usage, value=value)
    observation = replace(scenario.observation, usage=usage)
    return scenario._replace(observation=observation)


@given(scenarios(paying_specs), st.lists(claims, max_size=4, unique_by=lambda one: one.pool))
def test_other_pools_never_raise_a_ceiling_above_what_the_pool_had_alone(
    scenario: Scenario, peers: list[Claim]
) -> None:
    alone = undisturbed(scenario)

    before, after = (allowed(think(*alone, NOW, beside).decision) for beside in ((), peers))
    assert len(before) == len(after)
    assert all(left <= had for left, had in zip(after, before, strict=True))


@given(scenarios(paying_specs), st.lists(claims, max_size=4, unique_by=lambda one: one.pool))
def test_the_order_of_the_others_claims_does_not_matter(
    scenario: Scenario, peers: list[Claim]
) -> None:
    assert think(*scenario, NOW, peers) == think(*scenario, NOW, peers[::-1])


# --- Several pools deciding in turn ---


@dataclass
class Worker:
    """A pool whose replicas each use `cost` tokens per minute."""

    name: str
    spec: PoolSpec
    cost: float
    replicas: int
    memory: Memory
    claim: Claim | None = None

    @property
    def use(self) -> float:
        return self.replicas * self.cost


def turn(me: Worker, pools: Sequence[Worker], messages: int, now: float) -> Decision:
    """Let one pool decide beside the others' claims, and the cluster follow at once."""
    observation = observe(
        me.replicas,
        messages,
        rates=seen((rates(0.0),), now),
        # No two readings of a use are the same to the last digit.
        usage=seen(
            KeyUsage(fsum(one.use for one in pools) + now % 1e-3, own_tokens_per_minute=me.use),
            now,
        ),
    )
    peers = tuple(one.claim for one in pools if one is not me and one.claim is not None)
    signals = assess(me.spec, observation, me.memory, now)
    me.memory = learn(me.spec, signals, me.memory)
    decision = decide(me.spec, signals, me.memory, Peers(me.name, {ONLY: {ONLY: peers}}))
    if decision.desired != decision.current:
        me.memory = after_scaling(me.memory, decision.current, decision.desired, now)
        me.replicas = decision.desired
    me.claim = decision.claims.get(ONLY, {}).get(ONLY)
    return decision


@st.composite
def companies(draw: st.DrawFn) -> list[Worker]:
    """Draw pools of one key that may go to zero, with their own costs, views and weights."""
    count = draw(st.integers(2, 5))
    limit = draw(st.integers(500_000, 8_000_000))
    found = []
    for number in range(count):
        replicas = draw(st.integers(0, 6))
        provider = llm(
            api_key_secret_ref=API_KEY,
            usage=WHOLE_KEY,
            tokens_per_minute=draw(st.sampled_from([limit, limit, limit // 2])),
            target_utilization_percent=draw(st.sampled_from([50, 85, 85, 100])),
            weight=draw(st.sampled_from([1, 1, 2, 10])),
        )
        spec = pool(min_replicas=0, max_replicas=MOST_REPLICAS, llm=provider)
        cost = draw(st.floats(50_000, 1_500_000))
        memory = settled(replicas, cost=Learned(cost, NOW))
        found.append(Worker(f"scan/pool-{number}", spec, cost, replicas, memory))
    return found


def smallest_plan(pools: Sequence[Worker]) -> float:
    """Return the least that any of the pools finds for all of them together."""
    return min(
        (one.spec.llm.tokens_per_minute or 0) * one.spec.llm.target_utilization_percent / 100
        for one in pools
        if one.spec.llm is not None
    )


@given(companies(), st.data())
@settings(max_examples=15)
def test_no_pool_grows_beyond_what_the_most_careful_finds_for_all(
    pools: list[Worker], data: st.DataObject
) -> None:
    """But for the very first replica: it or nothing is the choice where one costs more."""
    for one in pools:
        turn(one, pools, 0, NOW)
    plan, now = smallest_plan(pools), NOW
    turns = st.tuples(st.sampled_from(pools), st.sampled_from([0, 30, 100, 1_000]))
    for me, messages in data.draw(st.lists(turns, max_size=40)):
        now += 15.0 / len(pools)
        decision = turn(me, pools, messages, now)
        if decision.desired > decision.current:
            is_first = fsum(one.replicas for one in pools) == 1
            assert is_first or fsum(one.use for one in pools) <= plan + ROUNDING


@given(companies())
@settings(max_examples=8)
def test_pools_that_all_want_more_come_to_rest_below_the_upper_edge(pools: list[Worker]) -> None:
    for second in range(0, 1_800, 15):
        before = [one.replicas for one in pools]
        for one in pools:
            turn(one, pools, 1_000, NOW + second)

    assert [one.replicas for one in pools] == before
    edge = min(
        (one.spec.llm.tokens_per_minute or 0)
        * (100 + one.spec.llm.target_utilization_percent)
        / 200
        for one in pools
        if one.spec.llm is not None
    )
    is_first = sum(one.replicas for one in pools) == 1
    assert is_first or fsum(one.use for one in pools) <= edge + ROUNDING
    assert any(one.replicas for one in pools)


@pytest.mark.parametrize("held", [0, 3])
def test_a_claim_that_is_not_there_yet_counts_as_others_use(held: int) -> None:
    """A pool that has not decided since the operator started still spends."""
    spec = pool(min_replicas=0, max_replicas=30, llm=llm(usage=WHOLE_KEY))
    observation = observe(
        1,
        300,
        rates=seen((rates(0.0),)),
        usage=seen(KeyUsage((1 + held) * 300_000, own_tokens_per_minute=300_000)),
    )

    assert decided(spec, observation).desired == (3 if held == 0 else 1)
