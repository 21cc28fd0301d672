"""Fallbacks, as KEDA names them, by the reading that they stand in for."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import (
    API_KEY,
    NOW,
    WHOLE_KEY,
    blinded,
    decided,
    follow,
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
from scanpool.decide import Memory, after_scaling
from scanpool.decide.bucket import Bucket, OthersUse
from scanpool.decide.cost import Learned
from scanpool.decide.decision import Decision
from scanpool.decide.fallback import LOWERING
from scanpool.decide.looks import Look
from scanpool.decide.signals import Failures
from scanpool.models.conditions import LimitedBy
from scanpool.models.fallback import Fallback, FallbackBehavior
from scanpool.models.llm import ONLY
from scanpool.models.observation import KeyUsage, Observation, ProviderState
from scanpool.models.spec import Behavior, MemoryTarget, PoolSpec, ScalingRules
from strategies import Scenario, scenarios, scenarios_with_gaps

STATIC, CURRENT = FallbackBehavior.STATIC, FallbackBehavior.CURRENT_REPLICAS
IF_HIGHER, IF_LOWER = (
    FallbackBehavior.CURRENT_REPLICAS_IF_HIGHER,
    FallbackBehavior.CURRENT_REPLICAS_IF_LOWER,
)
AT_ONCE = Behavior(scale_down=ScalingRules(stabilization_window_seconds=0))
BEHAVIORS = st.sampled_from(FallbackBehavior)
TICK_SECONDS = 10.0


def instead(behavior: FallbackBehavior, replicas: int = 4, threshold: int = 3) -> Fallback:
    return Fallback(failure_threshold=threshold, replicas=replicas, behavior=behavior)


def often_failed(memory: Memory, times: int = 9) -> Memory:
    """Let every reading have failed so many times in a row."""
    past = replace(memory.history, failed_depth_readings=times)
    return replace(memory, history=past, failures=Failures(times, {ONLY: times}))


def course(spec: PoolSpec, seen_now: Observation, ticks: int) -> list[int]:
    """Return the replicas after each of so many ticks that see the same."""
    replicas, known, found = seen_now.target.replicas, settled(seen_now.target.replicas), []
    for tick in range(ticks):
        now = NOW + tick * TICK_SECONDS
        _, known, decision = think(spec, follow(seen_now, replicas), known, now)
        if decision.desired != replicas:
            known = after_scaling(known, replicas, decision.desired, now)
            replicas = decision.desired
        found.append(replicas)
    return found


# --- The queues ---

ASKED = [
    (STATIC, 2, 4), (STATIC, 4, 4), (STATIC, 7, 4),
    (CURRENT, 2, 2), (CURRENT, 7, 7),
    (IF_HIGHER, 2, 4), (IF_HIGHER, 7, 7),
    (IF_LOWER, 2, 2), (IF_LOWER, 7, 4),
]  # fmt: skip


@pytest.mark.parametrize(("behavior", "current", "desired"), ASKED)
def test_what_counts_as_the_demand(behavior: FallbackBehavior, current: int, desired: int) -> None:
    spec = pool(fallback=instead(behavior), behavior=AT_ONCE)

    assert course(spec, observe(current), 3) == [current, current, desired]


def test_it_lowers_no_faster_than_a_demand_would() -> None:
    """The window of 300 s has to agree, from when the fallback applied; then as policies let it."""
    slowly = Behavior.model_validate(
        {"scaleDown": {"policies": [{"type": "Pods", "value": 1, "periodSeconds": 60}]}}
    )
    found = course(pool(fallback=instead(STATIC), behavior=slowly), observe(7), 60)

    assert set(found[:31]) == {7}
    assert found[33] == 6
    assert sorted(found, reverse=True) == found
    assert found[-1] == 4


@pytest.mark.parametrize("behavior", FallbackBehavior)
@pytest.mark.parametrize("current", [0, 1, 7])
def test_the_first_look_of_a_process_waits(behavior: FallbackBehavior, current: int) -> None:
    spec = pool(min_replicas=0, fallback=instead(behavior, threshold=1), behavior=AT_ONCE)

    assert decided(spec, observe(current), Memory()).desired == current


@pytest.mark.parametrize("behavior", sorted(LOWERING))
@pytest.mark.parametrize("current", [2, 7])
def test_what_may_lower_stays_below_every_ceiling_that_is_known(
    behavior: FallbackBehavior, current: int
) -> None:
    """Three replicas by the tokens; a low minimum holds even so."""
    spec = pool(llm=llm(), fallback=instead(behavior, 9), behavior=AT_ONCE)

    decision = decided(spec, observe(current), often_failed(settled(current)))
    ceiling = decision.ceilings[LimitedBy.TOKENS]
    assert decision.desired <= max(ceiling.allows(current), spec.min_replicas)
    assert decision.desired == (min(current, 3) if behavior is IF_LOWER else 3)


# --- The provider's limit, and the nodes ---

WATCHED = pool(
    llm=llm(usage=WHOLE_KEY, api_key_secret_ref=API_KEY), memory=MemoryTarget(), behavior=AT_ONCE
)


def complete(current: int, messages: int) -> Observation:
    return observe(
        current,
        messages,
        rates=seen((rates(0),)),
        provider=seen(ProviderState(2_000_000)),
        usage=seen(KeyUsage(0)),
        nodes=seen((node(), node("node-b"))),
    )


def with_fallback(reading: str, fallback: Fallback) -> PoolSpec:
    """Return the pool with a fallback for the reading, and for no other."""
    if reading == "nodes":
        return WATCHED.model_copy(update={"memory": MemoryTarget(fallback=fallback)})
    assert WATCHED.llm is not None
    return WATCHED.model_copy(update={"llm": WATCHED.llm.model_copy(update={"fallback": fallback})})


@pytest.mark.parametrize("reading", ["usage", "rates", "provider", "nodes"])
@pytest.mark.parametrize(
    ("behavior", "replicas", "current", "desired"),
    [
        (STATIC, 2, 1, 2), (STATIC, 1, 2, 1),
        (CURRENT, 2, 1, 1), (CURRENT, 1, 2, 2),
        (IF_HIGHER, 2, 1, 2), (IF_HIGHER, 1, 2, 2),
        (IF_LOWER, 2, 1, 1), (IF_LOWER, 1, 2, 1),
    ],
)  # fmt: skip
def test_what_counts_as_the_ceiling(
    reading: str, behavior: FallbackBehavior, replicas: int, current: int, desired: int
) -> None:
    """More is asked for than anything allows: the ceiling decides."""
    spec = with_fallback(reading, instead(behavior, replicas))
    blind = blinded(complete(current, 90), reading)

    assert decided(spec, blind).desired == current
    decision = decided(spec, blind, often_failed(settled(current)))
    assert decision.desired == desired
    assert decision.limited_by is (LimitedBy.MEMORY if reading == "nodes" else LimitedBy.TOKENS)


@pytest.mark.parametrize("reading", ["usage", "rates", "provider", "nodes"])
def test_below_it_replicas_follow_the_queues(reading: str) -> None:
    spec = with_fallback(reading, instead(STATIC, 3))

    def after(current: int, messages: int) -> int:
        blind = blinded(complete(current, messages), reading)
        return decided(spec, blind, often_failed(settled(current))).desired

    assert after(1, 20) == 2
    assert course(spec, blinded(complete(3, 0), reading), 40)[-1] == 1


@pytest.mark.parametrize(
    ("fails", "has_one"), [("nodes", "usage"), ("usage", "nodes"), ("queues", "usage")]
)
def test_it_stands_in_for_no_other_reading(fails: str, has_one: str) -> None:
    spec = with_fallback(has_one, instead(STATIC, 3))
    known = often_failed(settled(1))

    assert decided(spec, blinded(complete(1, 90), fails), known).desired == 1
    both = blinded(complete(1, 90), fails, has_one)
    assert decided(spec, both, known).desired == 1


def test_with_both_the_smaller_counts() -> None:
    spec = with_fallback("usage", instead(STATIC, 5)).model_copy(
        update={"memory": MemoryTarget(fallback=instead(STATIC, 2))}
    )
    blind = blinded(complete(1, 90), "usage", "nodes")

    assert decided(spec, blind, often_failed(settled(1))).desired == 2


def test_a_ceiling_that_is_known_without_the_reading_binds() -> None:
    """The limit is the spec's, and the pool alone uses it: three replicas, whoever is silent."""
    spec = pool(llm=llm(api_key_secret_ref=API_KEY, fallback=instead(STATIC, 8)))
    silent = observe(1, 90, rates=seen((rates(0),)), provider=unseen())

    assert decided(spec, silent, often_failed(settled(1))).desired == 3


def test_the_reading_that_is_back_decides_at_once_and_is_counted_anew() -> None:
    spec = with_fallback("usage", instead(STATIC, 2))
    blind = blinded(complete(1, 90), "usage")
    _, known, _ = think(spec, blind, often_failed(settled(1)))

    _, known, decision = think(spec, complete(1, 90), known, NOW + 10)
    assert decision.desired == 3
    assert known.failures == Failures(0, {})
    _, _, decision = think(spec, blind, known, NOW + 20)
    assert decision.desired == 1


def test_what_stands_in_is_told() -> None:
    spec = with_fallback("usage", instead(STATIC, 2))
    found, _, decision = think(spec, blinded(complete(1, 90), "usage"), often_failed(settled(1)))

    assert not found.holds
    assert found.stood_in.because == (unseen(),)
    assert decision.reason.startswith("llm.fallback (static) counts while")


# --- Whatever is there ---


def ready_to_fall_back(scenario: Scenario, behavior: FallbackBehavior, replicas: int) -> Scenario:
    """Give every reading a fallback that applies, and no window to wait for."""
    chosen, spec = instead(behavior, replicas, 1), scenario.spec
    update = {
        "fallback": chosen,
        "behavior": AT_ONCE,
        "memory": spec.memory.model_copy(update={"fallback": chosen}),
        "llm": None if spec.llm is None else spec.llm.model_copy(update={"fallback": chosen}),
    }
    memory = often_failed(scenario.memory)
    return scenario._replace(spec=spec.model_copy(update=update), memory=memory)


def decision_of(scenario: Scenario) -> Decision:
    return think(*scenario, NOW).decision


@given(scenarios_with_gaps() | scenarios(), st.sampled_from(sorted(LOWERING)), st.integers(0, 9))
def test_it_is_never_above_a_ceiling_that_is_known(
    scenario: Scenario, behavior: FallbackBehavior, replicas: int
) -> None:
    chosen = ready_to_fall_back(scenario, behavior, replicas)
    if not chosen.memory.history.recommendations:
        return
    decision = decision_of(chosen)

    current = decision.current
    most = min(
        (one.allows(current) for one in decision.ceilings.values()), default=decision.desired
    )
    given_back = chosen.memory.history.had
    floor = max(chosen.spec.min_replicas, 0 if given_back is None else given_back.replicas)
    assert decision.desired <= max(most, floor)


@given(scenarios_with_gaps() | scenarios(), BEHAVIORS, st.integers(0, 9))
def test_it_never_leaves_the_bounds_nor_grows_past_what_is_known(
    scenario: Scenario, behavior: FallbackBehavior, replicas: int
) -> None:
    chosen = ready_to_fall_back(scenario, behavior, replicas)
    decision = decision_of(chosen)

    spec = chosen.spec
    if decision.limited_by is not LimitedBy.QUOTA and spec.llm is None:
        assert spec.min_replicas <= decision.desired <= spec.max_replicas
    known = [one for one in decision.ceilings.values() if one.replicas is not None]
    if decision.desired > max(decision.current, spec.min_replicas):
        assert all(decision.desired <= one.allows(decision.current) for one in known)


@pytest.mark.parametrize("reading", ["usage", "rates"])
def test_the_level_of_a_low_bucket_binds_beside_it(reading: str) -> None:
    """Five replicas of half a million on a limit of two, and the bucket nearly empty."""
    limit, cost, then = 2_000_000, 500_000, NOW - 10
    look, nobody = Look(then, 100_000, limit, None, 5, 5), OthersUse(then, 0.0)
    bucket = Bucket((look,), nobody, float(cost), 5, told_at=then, usual=nobody)
    known = settled(5, cost=Learned(float(cost), then, 600.0), bucket=bucket)
    spec = with_fallback(reading, instead(STATIC, 8))
    told = ProviderState(limit, tokens_remaining=20_000)
    used = seen(KeyUsage(5.0 * cost, 100))
    low = replace(complete(5, 90), provider=seen(told), usage=used, rates=seen((rates(9.0),)))

    assert decided(spec, blinded(low, reading), often_failed(known)).desired < 5
