"""What a pool does while a reading fails, when its process starts, and while nobody pays."""

from dataclasses import replace
from typing import Any

import pytest

from builders import (
    ANSWER,
    API_KEY,
    NOW,
    VISION,
    WHOLE_KEY,
    blinded,
    decided,
    depth,
    follow,
    llm,
    node,
    observe,
    pool,
    queue,
    rates,
    seen,
    settled,
    think,
    unseen,
)
from scanpool.decide import Memory, after_scaling, checkpoint, restore
from scanpool.decide.behavior import Recommendation
from scanpool.decide.breaker import Breaker, Quota
from scanpool.decide.bucket import Bucket, OthersUse
from scanpool.decide.cost import Learned
from scanpool.decide.decision import Rung, Step
from scanpool.decide.looks import Look
from scanpool.models.conditions import LimitedBy, Reason
from scanpool.models.fallback import Fallback
from scanpool.models.llm import OnQuotaExhausted
from scanpool.models.observation import KeyUsage, Observation, ProviderState
from scanpool.models.spec import (
    Behavior,
    MemoryTarget,
    PoolSpec,
    ScalingRules,
    SelectPolicy,
)
from scanpool.models.units import MEBIBYTE

ON_NODES = MemoryTarget()
BILLED = seen(ProviderState(billing_code="insufficient_quota"))


def unread(replicas: int, failures_before: int = 9) -> Memory:
    """Build the memory of a pool whose queues could not be read the last times."""
    known = settled(replicas)
    past = replace(known.history, failed_depth_readings=failures_before)
    return replace(known, history=past)


@pytest.mark.parametrize("missing", ["queues", "rates", "provider", "usage", "nodes"])
@pytest.mark.parametrize(("current", "messages"), [(2, 200), (7, 0), (1, 200), (10, 20)])
def test_a_reading_that_fails_holds_and_is_told(missing: str, current: int, messages: int) -> None:
    spec = pool(llm=llm(usage=WHOLE_KEY, api_key_secret_ref=API_KEY), memory=ON_NODES)
    complete = observe(
        current,
        messages,
        rates=seen((rates(0),)),
        provider=seen(ProviderState(2_000_000)),
        usage=seen(KeyUsage(0)),
        nodes=seen((node(), node("node-b"))),
    )
    assert decided(spec, complete).desired != current

    found, _, decision = think(spec, blinded(complete, missing), settled(current))
    assert (decision.desired, decision.limited_by) == (current, LimitedBy.HOLD)
    assert found.gaps == (unseen(),)
    assert decision.steps == (Step("hold", current, current, unseen().message),)
    assert decision.demand == (None if missing == "queues" else -(-messages // 10))


def test_a_missing_queue_holds_although_the_others_are_empty() -> None:
    gone = unseen(Reason.QUEUE_NOT_FOUND)

    two = pool(queue(VISION), queue(ANSWER))
    found, _, decision = think(two, observe(5, queues=gone), settled(5))
    assert (decision.desired, decision.limited_by) == (5, LimitedBy.HOLD)
    assert found.gaps == (gone,)


def test_a_limit_that_nobody_tells_is_a_gap() -> None:
    spec = pool(llm=llm(tokens_per_minute=None, api_key_secret_ref=API_KEY))
    silent = observe(2, 200, provider=seen(ProviderState(requests_per_minute=500)))

    found, _, decision = think(spec, silent, settled(2))
    assert (decision.desired, decision.limited_by) == (2, LimitedBy.HOLD)
    assert [gap.reason for gap in found.gaps] == [Reason.LIMIT_UNKNOWN]
    assert "set llm.tokensPerMinute" in found.gaps[0].message

    told = pool(llm=llm(api_key_secret_ref=API_KEY))
    assert think(told, silent, settled(2)).signals.gaps == ()


def test_a_provider_that_is_not_paid_tells_no_limit_and_that_is_no_gap() -> None:
    spec = pool(llm=llm(tokens_per_minute=None, api_key_secret_ref=API_KEY))

    found, _, decision = think(spec, observe(2, 200, provider=BILLED), settled(2))
    assert found.gaps == ()
    assert decision.steps[0].step == "demand"


def test_all_gaps_are_told_the_queues_first() -> None:
    both = observe(2, usage=unseen(Reason.PROMETHEUS_UNREACHABLE))

    found, _, decision = think(pool(llm=llm(usage=WHOLE_KEY)), both, settled(2))
    assert [gap.reason for gap in found.gaps] == [
        Reason.BROKER_UNREACHABLE,
        Reason.PROMETHEUS_UNREACHABLE,
    ]
    assert decision.steps[0].reason == "; ".join(gap.message for gap in found.gaps)


def test_the_first_tick_of_a_process_holds_and_the_second_may_grow() -> None:
    observation = observe(2, 50)

    found, memory, decision = think(pool(), observation, Memory())
    assert (decision.desired, decision.limited_by) == (2, LimitedBy.HOLD)
    assert found.gaps == ()
    assert memory.history.recommendations == (Recommendation(NOW, 2),)
    assert think(pool(), observation, memory, NOW + 10).decision.desired == 5


def test_after_a_restart_nothing_goes_down_before_the_window_has_filled() -> None:
    memory, observation = restore(checkpoint(settled(9)), NOW), observe(9, 0)
    desired = {}
    for second in range(0, 400, 10):
        _, memory, decision = think(pool(), observation, memory, NOW + second)
        desired[second] = decision.desired

    assert {desired[second] for second in range(0, 300, 10)} == {9}
    assert desired[310] == 1


# --- The level of the bucket, which takes replicas and gives them back all the same ---

LIMIT = 2_000_000
# The limit feeds 3.7 replicas.
COST = 540_000
LOOKED_AT = llm(tokens_per_replica_minute=COST, usage=WHOLE_KEY, api_key_secret_ref=API_KEY)


def levelled(share: float, had: int | None = 4, seconds_ago: float = 300) -> Memory:
    """Build the memory of a pool of three whose bucket held so much ten seconds ago."""
    then = NOW - 10
    look = Look(then, int(share * LIMIT), LIMIT, None, 3, 3)
    nobody = OthersUse(then, 0.0)
    known = settled(
        3,
        cost=Learned(float(COST), then, 600.0),
        bucket=Bucket((look,), nobody, float(COST), 3, told_at=then, usual=nobody),
    )
    before = None if had is None else Recommendation(NOW - seconds_ago, had)
    return replace(known, history=replace(known.history, had=before))


def watched(share: float, replicas: int = 3, **changes: Any) -> Observation:
    """Build what a pool sees that uses all of a limit, and that every reading is asked of."""
    provider = ProviderState(LIMIT, tokens_remaining=int(share * LIMIT))
    usual: dict[str, Any] = {
        "queues": seen((depth(200),)),
        "rates": seen((rates(9.0),)),
        "provider": seen(provider),
        "usage": seen(KeyUsage(3.0 * COST, 100)),
        "nodes": seen((node(), node("node-b"))),
    }
    return observe(replicas, **{**usual, **changes})


WATCHED = pool(llm=LOOKED_AT, memory=ON_NODES)
READINGS = ("queues", "rates", "usage", "nodes")


@pytest.mark.parametrize("missing", READINGS)
@pytest.mark.parametrize(
    ("share", "known", "desired"),
    [
        pytest.param(0.95, levelled(0.94), 4, id="it-has-filled-up"),
        pytest.param(0.5, levelled(0.49), 3, id="not-yet"),
        pytest.param(0.95, levelled(0.94, had=None), 3, id="it-has-taken-nothing"),
        pytest.param(0.95, levelled(0.94, had=3), 3, id="no-more-than-that"),
        pytest.param(0.95, levelled(0.94, had=9), 4, id="nor-than-is-fed"),
        pytest.param(0.95, levelled(0.94, seconds_ago=901), 3, id="long-ago"),
    ],
)
def test_a_level_that_is_high_gives_back_what_it_took_while_a_reading_fails(
    missing: str, share: float, known: Memory, desired: int
) -> None:
    decision = decided(WATCHED, blinded(watched(share), missing), known)

    assert (decision.desired, decision.limited_by) == (desired, LimitedBy.HOLD)
    ceilings = ["tokens ceiling"] if missing == "nodes" else ["tokens ceiling", "memory ceiling"]
    told = [Rung.HOLD, Rung.LEVEL, *ceilings] if desired > 3 else [Rung.HOLD]
    assert [step.step for step in decision.steps] == told


def test_what_a_level_gives_back_is_told_in_words() -> None:
    decision = decided(WATCHED, blinded(watched(0.95), "nodes"), levelled(0.94))

    assert decision.reason == "the bucket is high, and 4 replicas were ready 300 s ago"


@pytest.mark.parametrize(
    ("spec", "observation"),
    [
        pytest.param(WATCHED, blinded(watched(0.95), "provider", "usage"), id="no-level-is-told"),
        pytest.param(
            WATCHED,
            blinded(watched(0.95, nodes=seen((node(memory_requested=4096 * MEBIBYTE),))), "queues"),
            id="a-ceiling-that-is-known",
        ),
        pytest.param(
            pool(
                llm=LOOKED_AT,
                memory=ON_NODES,
                behavior=Behavior(scale_up=ScalingRules(select_policy=SelectPolicy.DISABLED)),
            ),
            blinded(watched(0.95), "queues"),
            id="the-pool's-own-rules",
        ),
        pytest.param(
            pool(llm=LOOKED_AT, memory=ON_NODES, max_replicas=3),
            blinded(watched(0.95), "queues"),
            id="maxReplicas",
        ),
    ],
)
def test_it_gives_back_no_more_than_what_is_known_allows(
    spec: PoolSpec, observation: Observation
) -> None:
    assert decided(spec, observation, levelled(0.94)).desired == 3


def test_the_first_look_gives_nothing_back() -> None:
    known = levelled(0.94)
    first = replace(known, history=replace(known.history, recommendations=()))

    assert decided(WATCHED, blinded(watched(0.95), "nodes"), first).desired == 3


@pytest.mark.parametrize("missing", READINGS)
def test_while_a_reading_fails_the_level_takes_and_gives_by_turns(missing: str) -> None:
    """So a pool keeps to both of the whole numbers that it had around what its limit feeds."""
    known, replicas, level, course = levelled(0.5), 4, 0.5, []
    for tick in range(150):
        now = NOW + 10 * tick
        level = min(level + (1 - replicas * COST / LIMIT) / 6, 1)
        found = watched(level, replicas)
        told = ProviderState(LIMIT, tokens_remaining=int(level * LIMIT))
        # Some noise, or the reading would pass for one that is stuck.
        used = KeyUsage(float(replicas * COST + tick), 100)
        found = replace(found, provider=seen(told, now), usage=seen(used, now))
        _, known, decision = think(WATCHED, blinded(found, missing), known, now)
        if decision.desired != replicas:
            known = after_scaling(known, replicas, decision.desired, now)
            replicas = decision.desired
            course.append(replicas)

    assert course[:4] == [3, 4, 3, 4]
    assert set(course) == {3, 4}
    assert 0 < level < 1


CROWD = 12
# What a dozen use empties a full bucket within half a minute.
CROWDED = pool(llm=LOOKED_AT, memory=ON_NODES, max_replicas=CROWD)


@pytest.mark.parametrize("missing", ["rates", "nodes"])
@pytest.mark.parametrize(
    ("share", "takes"),
    [
        pytest.param(1.0, False, id="full"),
        pytest.param(0.95, False, id="at-the-high-mark"),
        pytest.param(0.85, True, id="no-longer"),
        pytest.param(0.05, True, id="empty"),
    ],
)
def test_a_bucket_that_is_full_takes_nothing_for_what_it_may_be_in_a_while(
    missing: str, share: float, takes: bool
) -> None:
    """It is reckoned to be low soon, by a cost that nothing bears out while a reading fails."""
    known = settled(CROWD, cost=Learned(float(COST), NOW - 10, 600.0))
    observation = blinded(watched(share, CROWD), missing)

    assert (decided(CROWDED, observation, known).desired < CROWD) is takes


def test_a_cost_that_is_declared_wrong_takes_nothing_beside_a_full_bucket() -> None:
    """Three replicas at 1 TPM each, by their spec, and a limit of 1 TPM that nobody uses."""
    spec = pool(
        queue(per_replica=1, tokens=0),
        max_replicas=3,
        llm=llm(api_key_secret_ref=API_KEY, tokens_per_minute=None, tokens_per_replica_minute=1),
    )
    told = ProviderState(1, tokens_remaining=1)
    observation = observe(3, queues=seen((depth(3, None),)), provider=seen(told))

    assert decided(spec, blinded(observation, "rates")).desired == 3


FALLBACK = Fallback(failure_threshold=3, replicas=4)


@pytest.mark.parametrize(
    ("failures_before", "current", "desired", "limited_by"),
    [
        (0, 2, 2, LimitedBy.HOLD),
        (1, 2, 2, LimitedBy.HOLD),
        (2, 2, 4, LimitedBy.FALLBACK),
        (9, 2, 4, LimitedBy.FALLBACK),
        (9, 4, 4, LimitedBy.HOLD),
        (9, 7, 7, LimitedBy.HOLD),  # a fallback never lowers
    ],
)
def test_the_fallback_after_so_many_failures_in_a_row(
    failures_before: int, current: int, desired: int, limited_by: LimitedBy
) -> None:
    memory = unread(current, failures_before)

    decision = decided(pool(fallback=FALLBACK), observe(current), memory)
    assert (decision.desired, decision.limited_by) == (desired, limited_by)
    assert all(step.after >= current for step in decision.steps)


@pytest.mark.parametrize(
    ("fallback", "spec", "current", "desired"),
    [
        pytest.param(9, pool(max_replicas=5), 2, 5, id="within-maxReplicas"),
        pytest.param(9, pool(llm=llm()), 2, 3, id="below-the-token-ceiling"),
        pytest.param(9, pool(llm=llm()), 7, 7, id="a-ceiling-lowers-nothing-in-a-hold"),
        pytest.param(9, pool(max_replicas=5), 7, 5, id="but-maxReplicas-does"),
    ],
)
def test_the_fallback_stays_below_the_ceilings_and_lowers_nothing(
    fallback: int, spec: PoolSpec, current: int, desired: int
) -> None:
    memory = unread(current)
    chosen = spec.model_copy(update={"fallback": Fallback(replicas=fallback)})

    assert decided(chosen, observe(current), memory).desired == desired


def test_a_fallback_does_not_grow_past_a_ceiling_that_is_unknown_too() -> None:
    """What others use is unknown, so how much of the limit is left is unknown."""
    spec = pool(llm=llm(usage=WHOLE_KEY), fallback=FALLBACK)
    memory = unread(2)

    assert decided(spec, blinded(observe(2), "usage"), memory).desired == 2


def test_a_fallback_of_the_first_failure_still_waits_for_the_second_tick() -> None:
    spec = pool(fallback=Fallback(failure_threshold=1, replicas=4))

    _, memory, decision = think(spec, observe(2), Memory())
    assert decision.desired == 2
    assert think(spec, observe(2), memory, NOW + 10).decision.desired == 4


def test_another_reading_that_fails_is_no_reason_for_the_fallback() -> None:
    spec = pool(llm=llm(usage=WHOLE_KEY), fallback=FALLBACK)
    memory = unread(2)

    assert decided(spec, observe(2, 0, usage=unseen()), memory).desired == 2


@pytest.mark.parametrize(
    ("choice", "current", "desired", "limited_by"),
    [
        (OnQuotaExhausted.SCALE_TO_ZERO, 7, 0, LimitedBy.QUOTA),
        (OnQuotaExhausted.SCALE_TO_MIN, 7, 2, LimitedBy.QUOTA),
        (OnQuotaExhausted.HOLD, 3, 3, LimitedBy.QUOTA),
        (OnQuotaExhausted.SCALE_TO_ZERO, 0, 0, LimitedBy.QUOTA),
    ],
)
def test_while_the_breaker_is_open_the_users_choice_is_the_last_word(
    choice: OnQuotaExhausted, current: int, desired: int, limited_by: LimitedBy
) -> None:
    spec = pool(
        min_replicas=2,
        llm=llm(
            on_quota_exhausted=choice, api_key_secret_ref=API_KEY, tokens_per_minute=20_000_000
        ),
    )

    decision = decided(spec, observe(current, 200, provider=BILLED))
    assert (decision.desired, decision.limited_by) == (desired, limited_by)
    assert decision.breaker is not None
    assert (decision.breaker.state, decision.breaker.code) == (Quota.OPEN, "insufficient_quota")
    assert decision.steps[-1].step == "billing breaker"


@pytest.mark.parametrize(
    ("choice", "desired"),
    [
        (OnQuotaExhausted.SCALE_TO_ZERO, 0),
        (OnQuotaExhausted.HOLD, 0),
        (OnQuotaExhausted.SCALE_TO_MIN, 2),
    ],
)
def test_the_breaker_raises_nothing(choice: OnQuotaExhausted, desired: int) -> None:
    """It is minReplicas that starts the minimum, as ever; ScaleToMin only leaves it alone."""
    spec = pool(min_replicas=2, llm=llm(on_quota_exhausted=choice))

    decision = decided(spec, observe(0, provider=BILLED))
    assert decision.desired == desired
    assert [step.step for step in decision.steps] == [Rung.HOLD, Rung.BOUNDS, Rung.BREAKER]
    assert decision.steps[-1].after <= decision.steps[-1].before == 2


def test_the_breaker_works_in_a_hold_and_on_the_first_tick_too() -> None:
    spec = pool(llm=llm(on_quota_exhausted=OnQuotaExhausted.SCALE_TO_ZERO))

    assert decided(spec, observe(7, provider=BILLED)).desired == 0
    assert decided(spec, observe(7, 200, provider=BILLED), Memory()).desired == 0


def test_the_breaker_story_from_the_refusal_to_the_last_message() -> None:
    spec = pool(
        min_replicas=0,
        llm=llm(
            on_quota_exhausted=OnQuotaExhausted.SCALE_TO_ZERO,
            tokens_per_minute=None,
            api_key_secret_ref=API_KEY,
        ),
    )
    paid = ProviderState(tokens_per_minute=2_000_000)
    observation, memory, story = observe(3, 200), settled(3), []
    for second in range(0, 151, 10):
        now = NOW + second
        probed_at = NOW + second // 30 * 30  # a probe every 30 s, seen by three ticks
        state = BILLED.value if second < 30 else paid
        observation = replace(observation, provider=seen(state, probed_at))
        _, memory, decision = think(spec, observation, memory, now)
        if decision.desired != decision.current:
            memory = after_scaling(memory, decision.current, decision.desired, now)
            observation = follow(observation, decision.desired)
        story.append((memory.llm.breaker.state, decision.desired))

    assert story == [
        *[(Quota.OPEN, 0)] * 3,
        *[(Quota.HALF_OPEN, 1)] * 3,
        *[(Quota.CLOSED, 1)] * 3,  # the slow start
        *[(Quota.CLOSED, 2)] * 3,
        *[(Quota.CLOSED, 3)] * 4,  # the token ceiling
    ]


def test_a_pool_that_no_longer_asks_the_provider_is_not_stopped_by_what_it_said() -> None:
    """No probe would ever close the breaker again."""
    opened = settled(0, breaker=Breaker(Quota.OPEN, "insufficient_quota", NOW - 60))
    to_zero = llm(on_quota_exhausted=OnQuotaExhausted.SCALE_TO_ZERO)

    for spec in (pool(llm=to_zero), pool()):
        _, memory, decision = think(spec, observe(0, 20), opened)
        assert (memory.llm.breaker.state, decision.desired) == (Quota.CLOSED, 2)


# --- The bounds, which need no reading ---

BOUNDED = pool(min_replicas=2, max_replicas=5)
# Why a pool holds: what waits (None cannot be read), and whether it is the first look.
BLIND = pytest.param(None, False, id="unreadable")
FIRST = pytest.param(20, True, id="first-look")
BLIND_FIRST = pytest.param(None, True, id="unreadable-at-the-first-look")


@pytest.mark.parametrize(("messages", "is_first"), [BLIND, FIRST, BLIND_FIRST])
@pytest.mark.parametrize(
    ("current", "desired", "limited_by"),
    [
        (0, 2, LimitedBy.MIN_REPLICAS),
        (1, 2, LimitedBy.MIN_REPLICAS),
        (2, 2, LimitedBy.HOLD),
        (5, 5, LimitedBy.HOLD),
        (6, 5, LimitedBy.MAX_REPLICAS),
        (30, 5, LimitedBy.MAX_REPLICAS),
    ],
)
def test_the_bounds_hold_in_a_hold_too(
    messages: int | None, is_first: bool, current: int, desired: int, limited_by: LimitedBy
) -> None:
    memory = Memory() if is_first else settled(current)

    decision = decided(BOUNDED, observe(current, messages), memory)
    assert (decision.desired, decision.limited_by) == (desired, limited_by)
    # A rung that changes nothing has nothing to tell beside the hold.
    told = [] if desired == current else [Rung.BOUNDS]
    assert [step.step for step in decision.steps] == [Rung.HOLD, *told]


def test_what_the_bounds_did_in_a_hold_is_told_in_words() -> None:
    words = "between minReplicas 2 and maxReplicas 5"

    assert decided(BOUNDED, observe(1)).steps == (
        Step("hold", 1, 1, unseen().message),
        Step("bounds", 1, 2, words),
    )
    assert decided(BOUNDED, observe(9)).reason == words
    assert decided(BOUNDED, observe(3)).reason == unseen().message


@pytest.mark.parametrize(
    ("missing", "complete"),
    [
        ("queues", {}),
        ("rates", {"rates": seen((rates(0),))}),
        ("provider", {"provider": seen(ProviderState(2_000_000))}),
        ("usage", {"usage": seen(KeyUsage(0))}),
        ("nodes", {"nodes": seen((node(),))}),
    ],
)
@pytest.mark.parametrize(("current", "desired"), [(1, 2), (9, 5)])
def test_whatever_is_missing_the_bounds_hold(
    missing: str, complete: dict[str, Any], current: int, desired: int
) -> None:
    """Also where the reading that is missing leaves a ceiling unknown."""
    on_key = llm(usage=WHOLE_KEY, api_key_secret_ref=API_KEY)
    spec = pool(min_replicas=2, max_replicas=5, llm=on_key, memory=ON_NODES)

    assert decided(spec, blinded(observe(current, 200, **complete), missing)).desired == desired


@pytest.mark.parametrize(
    ("current", "limits"),
    [
        (1, [LimitedBy.MIN_REPLICAS, LimitedBy.HOLD, LimitedBy.HOLD]),
        (8, [LimitedBy.MAX_REPLICAS, LimitedBy.HOLD, LimitedBy.HOLD]),
    ],
)
@pytest.mark.parametrize("is_first", [True, False])
def test_once_within_the_bounds_a_pool_that_holds_just_holds(
    current: int, limits: list[LimitedBy], is_first: bool
) -> None:
    memory, observation, found = Memory() if is_first else settled(current), observe(current), []
    for second in (0, 10, 20):
        _, memory, decision = think(BOUNDED, observation, memory, NOW + second)
        if decision.desired != decision.current:
            memory = after_scaling(memory, decision.current, decision.desired, NOW + second)
            observation = follow(observation, decision.desired)
        found.append(decision.limited_by)

    assert found == limits
    assert memory.history.reverts == ()


@pytest.mark.parametrize(("messages", "is_first"), [BLIND, FIRST, BLIND_FIRST])
@pytest.mark.parametrize(("current", "desired"), [(1, 4), (3, 4), (4, 4), (6, 6)])
def test_min_replicas_holds_under_a_ceiling_in_a_hold_as_ever(
    messages: int | None, is_first: bool, current: int, desired: int
) -> None:
    """The tokens are enough for three."""
    memory = Memory() if is_first else settled(current)

    decision = decided(pool(min_replicas=4, llm=llm()), observe(current, messages), memory)
    assert decision.ceilings[LimitedBy.TOKENS].replicas == 3
    assert decision.desired == desired


@pytest.mark.parametrize(("messages", "is_first"), [BLIND, FIRST, BLIND_FIRST])
@pytest.mark.parametrize("current", [0, 1, 3, 9])
def test_the_open_breaker_comes_after_the_bounds(
    messages: int | None, is_first: bool, current: int
) -> None:
    to_zero = llm(on_quota_exhausted=OnQuotaExhausted.SCALE_TO_ZERO)
    spec = pool(min_replicas=2, max_replicas=5, llm=to_zero)
    memory = Memory() if is_first else settled(current)

    decision = decided(spec, observe(current, messages, provider=BILLED), memory)
    assert decision.desired == 0
    assert decision.limited_by is (LimitedBy.QUOTA if current else LimitedBy.HOLD)


@pytest.mark.parametrize(
    ("fallback", "current", "desired", "limited_by"),
    [
        pytest.param(4, 1, 4, LimitedBy.FALLBACK, id="between-the-bounds"),
        pytest.param(1, 0, 2, LimitedBy.MIN_REPLICAS, id="below-minReplicas"),
        pytest.param(1, 1, 2, LimitedBy.MIN_REPLICAS, id="no-more-than-there-is"),
        pytest.param(0, 3, 3, LimitedBy.HOLD, id="lowers-nothing"),
        pytest.param(9, 3, 5, LimitedBy.FALLBACK, id="above-maxReplicas"),
        pytest.param(9, 7, 5, LimitedBy.MAX_REPLICAS, id="above-maxReplicas-already"),
        pytest.param(1, 7, 5, LimitedBy.MAX_REPLICAS, id="small-and-above-maxReplicas-already"),
    ],
)
def test_a_fallback_stays_within_the_bounds(
    fallback: int, current: int, desired: int, limited_by: LimitedBy
) -> None:
    spec = BOUNDED.model_copy(update={"fallback": Fallback(replicas=fallback)})

    decision = decided(spec, observe(current), unread(current))
    assert (decision.desired, decision.limited_by) == (desired, limited_by)


def test_a_fallback_below_the_minimum_is_raised_to_it_whatever_the_ceiling() -> None:
    """Three by the tokens, of which the fallback asks for two, and four is the minimum."""
    spec = pool(min_replicas=4, llm=llm(), fallback=Fallback(replicas=2))

    decision = decided(spec, observe(1), unread(1))
    assert (decision.desired, decision.limited_by) == (4, LimitedBy.MIN_REPLICAS)
