from dataclasses import replace

import pytest

from builders import (
    API_KEY,
    NOW,
    WHOLE_KEY,
    decided,
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
    think,
)
from scanpool.decide import Memory, after_scaling
from scanpool.decide.behavior import Recommendation
from scanpool.decide.decision import Decision, Step
from scanpool.decide.history import History
from scanpool.models.conditions import LimitedBy
from scanpool.models.observation import KeyUsage, ProviderState
from scanpool.models.spec import Behavior, MemoryTarget, ScalingRules
from scanpool.models.units import MEBIBYTE
from scanpool.report.llm import of_tick
from scanpool.report.zone import Zone

ON_NODES = MemoryTarget()


def capped(
    messages: int, replicas: int = 1, *, used: float = 0, own: float = 0, **provider: object
) -> Decision:
    """Decide for a pool on a key that others use as well; `used` and `own` in TPM."""
    spec = pool(max_replicas=30, llm=llm(usage=WHOLE_KEY, **provider))
    observation = observe(
        replicas,
        messages,
        rates=seen((rates(own / 60 / 3_000),)),
        usage=seen(KeyUsage(used, rate_limited_per_minute=0.0)),
    )
    return decided(spec, observation)


@pytest.mark.parametrize(
    ("current", "messages", "desired", "limited_by"),
    [
        (2, 50, 5, LimitedBy.NONE),
        (2, 20, 2, LimitedBy.NONE),
        (5, 55, 5, LimitedBy.NONE),  # within the tolerance
        (5, 56, 6, LimitedBy.NONE),
        (1, 80, 5, LimitedBy.SCALING_POLICY),  # 4 pods in 15 s
        (5, 20, 2, LimitedBy.NONE),
        (5, 0, 1, LimitedBy.MIN_REPLICAS),
        (9, 300, 10, LimitedBy.MAX_REPLICAS),
        (12, 120, 10, LimitedBy.MAX_REPLICAS),
        (0, 0, 1, LimitedBy.MIN_REPLICAS),
        (0, 30, 3, LimitedBy.NONE),
    ],
)
def test_without_ceilings_it_is_the_hpa(
    current: int, messages: int, desired: int, limited_by: LimitedBy
) -> None:
    decision = decided(pool(), observe(current, messages))

    assert (decision.desired, decision.limited_by) == (desired, limited_by)
    assert decision.demand == -(-messages // 10)


def test_a_burst_from_zero_follows_the_default_policies_to_the_demand() -> None:
    """0 -> 4 -> 8 -> 16 -> 20, every 15 s: 4 pods, then the larger of 4 pods and 100%."""
    spec, memory = pool(min_replicas=0, max_replicas=20), settled(0)
    observation, replicas = observe(0, 1_000), []
    for second in range(0, 75, 5):
        now = NOW + second
        _, memory, decision = think(spec, observation, memory, now)
        if decision.desired != decision.current:
            memory = after_scaling(memory, decision.current, decision.desired, now)
            observation = follow(observation, decision.desired)
        replicas.append(decision.desired)

    assert replicas == [4, 4, 4, 8, 8, 8, 16, 16, 16, 20, 20, 20, 20, 20, 20]


def test_a_drained_queue_takes_the_replicas_down_once_the_window_agrees() -> None:
    spec, memory, observation = pool(), settled(5, NOW), observe(5, 50)
    down_at = None
    for second in range(0, 600, 10):
        observation = replace(observation, queues=seen((depth(50 if second <= 100 else 0),)))
        _, memory, decision = think(spec, observation, memory, NOW + second)
        if decision.desired < 5:
            down_at = second
            break
        assert decision.limited_by is (LimitedBy.NONE if second <= 100 else LimitedBy.STABILIZATION)

    assert down_at in (400, 410), "300 s after the last tick that asked for five"


@pytest.mark.parametrize(
    ("current", "used", "own", "desired", "limited_by"),
    [
        pytest.param(1, 0, 0, 3, LimitedBy.TOKENS, id="1.7M-over-0.5M"),
        pytest.param(1, 900_000, 500_000, 2, LimitedBy.TOKENS, id="less-0.4M-of-others"),
        pytest.param(3, 1_900_000, 1_500_000, 2, LimitedBy.TOKENS, id="down-past-the-lower-edge"),
        pytest.param(3, 1_800_000, 1_500_000, 3, LimitedBy.TOKENS, id="kept-between-the-edges"),
        pytest.param(3, 3_500_000, 1_500_000, 1, LimitedBy.TOKENS, id="never-below-the-floor"),
    ],
)
def test_the_token_ceiling_binds(
    current: int, used: float, own: float, desired: int, limited_by: LimitedBy
) -> None:
    decision = capped(200, current, used=used, own=own)

    assert (decision.desired, decision.limited_by) == (desired, limited_by)


def test_a_pool_that_may_go_to_zero_works_under_a_limit_smaller_than_one_replica() -> None:
    spec = pool(min_replicas=0, llm=llm(tokens_per_minute=400_000))
    for current in (0, 1):
        assert decided(spec, observe(current, 300)).desired == 1


def test_the_limit_is_raised_and_the_ceiling_follows() -> None:
    assert capped(200, 3).desired == 3
    assert capped(200, 3, tokens_per_minute=4_000_000).desired == 6


@pytest.mark.parametrize(
    ("requests_per_minute", "desired", "limited_by"),
    [
        # One replica makes 500,000 / 3,000 = 166.7 requests per minute.
        (10_000, 3, LimitedBy.TOKENS),
        (400, 2, LimitedBy.REQUESTS),  # 340 / 166.7 = 2.04
        (300, 1, LimitedBy.REQUESTS),
    ],
)
def test_the_smaller_of_tokens_and_requests_binds(
    requests_per_minute: int, desired: int, limited_by: LimitedBy
) -> None:
    decision = capped(200, 1, requests_per_minute=requests_per_minute)

    assert (decision.desired, decision.limited_by) == (desired, limited_by)


def test_the_memory_ceiling_binds() -> None:
    """2 replicas run; 512Mi fit once more into what is left of 85% of 2048Mi (1740.8Mi)."""
    full = node(memory_allocatable=2_048 * MEBIBYTE, memory_requested=1_024 * MEBIBYTE)
    observation = observe(2, 100, nodes=seen((full,)))

    decision = decided(pool(memory=ON_NODES), observation)
    assert (decision.desired, decision.limited_by) == (3, LimitedBy.MEMORY)

    assert decided(pool(), observation).desired == 6, "a ceiling that is switched off does not bind"


def test_memory_pressure_stops_growth_and_keeps_what_runs() -> None:
    pressed = observe(4, 100, nodes=seen((node(memory_pressure=True),)))

    decision = decided(pool(memory=ON_NODES), pressed)
    assert (decision.desired, decision.limited_by) == (4, LimitedBy.MEMORY)


@pytest.mark.parametrize(
    "trouble",
    [
        {"oom_killed_at": NOW - 10},
        {"memory_used": 1_000 * MEBIBYTE},
        {"unschedulable": "0/2 nodes are available"},
    ],
)
def test_trouble_with_memory_stops_growth(trouble: dict[str, object]) -> None:
    observation = observe(2, 100, target=target(2, pods(2, **trouble)), nodes=seen((node(),)))

    decision = decided(pool(memory=ON_NODES), observation)
    assert (decision.desired, decision.limited_by) == (2, LimitedBy.MEMORY)


def test_the_smallest_of_all_ceilings_binds() -> None:
    spec = pool(llm=llm(requests_per_minute=400), memory=ON_NODES)
    room_for_one = node(cpu_requested=1_750)

    decision = decided(spec, observe(0, 200, nodes=seen((room_for_one,))))
    assert [(limit, one.replicas) for limit, one in decision.ceilings.items()] == [
        (LimitedBy.TOKENS, 3),
        (LimitedBy.REQUESTS, 2),
        (LimitedBy.MEMORY, 1),
    ]
    assert (decision.desired, decision.limited_by) == (1, LimitedBy.MEMORY)


def test_min_replicas_is_the_floor_even_under_a_ceiling_and_says_which() -> None:
    spec = pool(min_replicas=4, llm=llm())

    decision = decided(spec, observe(6, 200))
    assert (decision.desired, decision.limited_by) == (4, LimitedBy.TOKENS)
    assert decision.steps[-1] == Step("floor", 3, 4, "minReplicas holds even under a ceiling")


def test_a_ceiling_below_the_minimum_is_not_to_blame_for_a_pool_that_asks_for_less() -> None:
    spec = pool(min_replicas=4, llm=llm())

    decision = decided(spec, observe(4, 0))
    assert (decision.desired, decision.limited_by) == (4, LimitedBy.MIN_REPLICAS)


def test_a_back_off_lowers_the_ceiling_once_per_hold_and_shows() -> None:
    spec = pool(llm=llm(usage=WHOLE_KEY))
    refused = seen(KeyUsage(0, rate_limited_per_minute=3.0))
    observation = observe(3, 200, rates=seen((rates(0),)), usage=refused)

    found, memory, decision = think(spec, observation, settled(3))
    assert decision.llm is not None
    assert (decision.desired, decision.llm.factor) == (2, 0.7)
    shown = of_tick(decision, found)
    assert shown is not None
    assert shown.zone is Zone.EXCEEDED
    assert think(spec, observation, memory, NOW + 10).decision.desired == 2


def test_slow_down_stops_growth_for_15_minutes() -> None:
    spec = pool(llm=llm(api_key_secret_ref=API_KEY))
    slowed = observe(1, 200, provider=seen(ProviderState(slow_down=True)))

    _, memory, decision = think(spec, slowed, settled(1))
    assert (decision.desired, decision.limited_by) == (1, LimitedBy.TOKENS)

    calm = replace(slowed, provider=seen(ProviderState(), NOW + 60))
    assert think(spec, calm, memory, NOW + 899).decision.desired == 1
    assert think(spec, calm, memory, NOW + 900).decision.desired == 3


def test_a_cost_that_is_not_learned_holds_what_is_there_but_starts_one() -> None:
    spec = pool(min_replicas=0, llm=llm(tokens_per_replica_minute=None))

    assert decided(spec, observe(0, 200)).desired == 1
    assert decided(spec, observe(1, 200)).desired == 1
    assert decided(spec, observe(7, 200)).desired == 7
    assert decided(spec, observe(7, 200)).limited_by is LimitedBy.TOKENS


def test_the_steps_tell_the_whole_ladder() -> None:
    spec = pool(llm=llm(requests_per_minute=10_000), memory=ON_NODES)

    decision = decided(spec, observe(1, 200, nodes=seen((node(),))))
    assert [(step.step, step.before, step.after) for step in decision.steps] == [
        ("demand", 1, 20),
        ("tolerance", 20, 20),
        ("stabilization", 20, 20),
        ("policies", 20, 5),
        ("bounds", 5, 5),
        ("tokens ceiling", 5, 3),
        ("requests ceiling", 3, 3),
        ("memory ceiling", 3, 3),
        ("floor", 3, 3),
    ]
    assert decision.steps[0].reason == "queue scan.vision has 200 messages, at 10 per replica"
    assert decision.reason == decision.steps[5].reason


def test_of_several_rules_the_one_that_decides_is_named() -> None:
    """Five for the window, four for the tokens: the queues ask for less, so the window it is."""
    spec = pool(
        llm=llm(tokens_per_replica_minute=400_000),
        behavior=Behavior(scale_up=ScalingRules(tolerance=0.0)),
    )
    window = Memory(History((Recommendation(NOW - 100, 5),)))

    decision = decided(spec, observe(5, 10), window)
    assert (decision.desired, decision.limited_by) == (4, LimitedBy.STABILIZATION)
