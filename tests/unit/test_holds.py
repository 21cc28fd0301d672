"""What a pool does while a reading fails, when its process starts, and while nobody pays."""

from dataclasses import replace

import pytest

from builders import (
    ANSWER,
    API_KEY,
    NOW,
    VISION,
    WHOLE_KEY,
    blinded,
    decided,
    follow,
    llm,
    node,
    observe,
    pool,
    queue,
    rates,
    seen,
    settled,
    unseen,
)
from scanpool.decide import after_scaling, checkpoint, decide, restore
from scanpool.models.conditions import Reason
from scanpool.models.decision import LimitedBy, Step
from scanpool.models.llm import OnQuotaExhausted
from scanpool.models.memory import Memory, Quota, Recommendation
from scanpool.models.observation import KeyUsage, ProviderState
from scanpool.models.spec import Fallback, MemoryTarget, PoolSpec

ON_NODES = MemoryTarget()
BILLED = seen(ProviderState(billing_code="insufficient_quota"))


@pytest.mark.parametrize("missing", ["queues", "rates", "provider", "usage", "nodes"])
@pytest.mark.parametrize(("current", "messages"), [(2, 200), (7, 0), (0, 200), (12, 200)])
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

    decision = decided(spec, blinded(complete, missing))
    assert (decision.desired, decision.limited_by) == (current, LimitedBy.HOLD)
    assert decision.gaps == (unseen(),)
    assert decision.steps == (Step("hold", current, current, unseen().message),)
    assert decision.demand == (None if missing == "queues" else -(-messages // 10))


def test_a_missing_queue_holds_although_the_others_are_empty() -> None:
    gone = unseen(Reason.QUEUE_NOT_FOUND)

    decision = decided(pool(queue(VISION), queue(ANSWER)), observe(5, queues=gone))
    assert (decision.desired, decision.limited_by) == (5, LimitedBy.HOLD)
    assert decision.gaps == (gone,)


def test_a_limit_that_nobody_tells_is_a_gap() -> None:
    spec = pool(llm=llm(tokens_per_minute=None, api_key_secret_ref=API_KEY))
    silent = observe(2, 200, provider=seen(ProviderState(requests_per_minute=500)))

    decision = decided(spec, silent)
    assert (decision.desired, decision.limited_by) == (2, LimitedBy.HOLD)
    assert [gap.reason for gap in decision.gaps] == [Reason.LIMIT_UNKNOWN]
    assert "set llm.tokensPerMinute" in decision.gaps[0].message

    assert decided(pool(llm=llm(api_key_secret_ref=API_KEY)), silent).gaps == ()


def test_a_provider_that_is_not_paid_tells_no_limit_and_that_is_no_gap() -> None:
    spec = pool(llm=llm(tokens_per_minute=None, api_key_secret_ref=API_KEY))

    decision = decided(spec, observe(2, 200, provider=BILLED))
    assert decision.gaps == ()
    assert decision.steps[0].step == "demand"


def test_all_gaps_are_told_the_queues_first() -> None:
    both = observe(2, usage=unseen(Reason.PROMETHEUS_UNREACHABLE))

    decision = decided(pool(llm=llm(usage=WHOLE_KEY)), both)
    assert [gap.reason for gap in decision.gaps] == [
        Reason.BROKER_UNREACHABLE,
        Reason.PROMETHEUS_UNREACHABLE,
    ]
    assert decision.steps[0].reason == "; ".join(gap.message for gap in decision.gaps)


def test_the_first_tick_of_a_process_holds_and_the_second_may_grow() -> None:
    observation = observe(2, 50)

    decision, memory = decide(pool(), observation, Memory(), NOW)
    assert (decision.desired, decision.limited_by) == (2, LimitedBy.HOLD)
    assert decision.gaps == ()
    assert memory.recommendations == (Recommendation(NOW, 2),)
    assert decide(pool(), observation, memory, NOW + 10)[0].desired == 5


def test_after_a_restart_nothing_goes_down_before_the_window_has_filled() -> None:
    memory, observation = restore(checkpoint(settled(9)), NOW), observe(9, 0)
    desired = {}
    for second in range(0, 400, 10):
        decision, memory = decide(pool(), observation, memory, NOW + second)
        desired[second] = decision.desired

    assert {desired[second] for second in range(0, 300, 10)} == {9}
    assert desired[310] == 1


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
    memory = replace(settled(current), failed_depth_readings=failures_before)

    decision = decided(pool(fallback=FALLBACK), observe(current), memory)
    assert (decision.desired, decision.limited_by) == (desired, limited_by)
    assert all(step.after >= current for step in decision.steps)


@pytest.mark.parametrize(
    ("fallback", "spec", "current", "desired"),
    [
        pytest.param(9, pool(max_replicas=5), 2, 5, id="within-maxReplicas"),
        pytest.param(9, pool(llm=llm()), 2, 3, id="below-the-token-ceiling"),
        pytest.param(9, pool(llm=llm()), 7, 7, id="a-ceiling-lowers-nothing-in-a-hold"),
        pytest.param(9, pool(max_replicas=5), 7, 7, id="nor-does-maxReplicas"),
    ],
)
def test_the_fallback_stays_below_the_ceilings_and_lowers_nothing(
    fallback: int, spec: PoolSpec, current: int, desired: int
) -> None:
    memory = replace(settled(current), failed_depth_readings=9)
    chosen = spec.model_copy(update={"fallback": Fallback(replicas=fallback)})

    assert decided(chosen, observe(current), memory).desired == desired


def test_a_fallback_does_not_grow_past_a_ceiling_that_is_unknown_too() -> None:
    """What others use is unknown, so how much of the limit is left is unknown."""
    spec = pool(llm=llm(usage=WHOLE_KEY), fallback=FALLBACK)
    memory = replace(settled(2), failed_depth_readings=9)

    assert decided(spec, blinded(observe(2), "usage"), memory).desired == 2


def test_a_fallback_of_the_first_failure_still_waits_for_the_second_tick() -> None:
    spec = pool(fallback=Fallback(failure_threshold=1, replicas=4))

    decision, memory = decide(spec, observe(2), Memory(), NOW)
    assert decision.desired == 2
    assert decide(spec, observe(2), memory, NOW + 10)[0].desired == 4


def test_another_reading_that_fails_is_no_reason_for_the_fallback() -> None:
    spec = pool(llm=llm(usage=WHOLE_KEY), fallback=FALLBACK)
    memory = replace(settled(2), failed_depth_readings=9)

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
    assert (decision.quota, decision.quota_code) == (Quota.OPEN, "insufficient_quota")
    assert decision.steps[-1].step == "billing breaker"


def test_the_breaker_raises_nothing() -> None:
    """ScaleToMin is no order to start the minimum while nobody pays and a reading fails."""
    spec = pool(min_replicas=2, llm=llm(on_quota_exhausted=OnQuotaExhausted.SCALE_TO_MIN))

    assert decided(spec, observe(0, provider=BILLED)).desired == 0


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
        decision, memory = decide(spec, observation, memory, now)
        if decision.desired != decision.current:
            memory = after_scaling(memory, decision.current, decision.desired, now)
            observation = follow(observation, decision.desired)
        story.append((decision.quota, decision.desired))

    assert story == [
        *[(Quota.OPEN, 0)] * 3,
        *[(Quota.HALF_OPEN, 1)] * 3,
        *[(Quota.CLOSED, 1)] * 3,  # the slow start
        *[(Quota.CLOSED, 2)] * 3,
        *[(Quota.CLOSED, 3)] * 4,  # the token ceiling
    ]


def test_a_pool_that_no_longer_asks_the_provider_is_not_stopped_by_what_it_said() -> None:
    """No probe would ever close the breaker again."""
    opened = replace(
        settled(0), quota=Quota.OPEN, quota_code="insufficient_quota", quota_since=NOW - 60
    )
    to_zero = llm(on_quota_exhausted=OnQuotaExhausted.SCALE_TO_ZERO)

    for spec in (pool(llm=to_zero), pool()):
        decision = decided(spec, observe(0, 20), opened)
        assert (decision.quota, decision.desired) == (Quota.CLOSED, 2)
