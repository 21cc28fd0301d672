"""Several keys of one model: their limits add up, and one that is not paid takes its part away."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import (
    NOW,
    WHOLE_KEY,
    Thought,
    depth,
    llm,
    observe,
    pool,
    seen,
    settled,
    think,
    unseen,
)
from scanpool.decide import Memory, checkpoint, keys, probe_ages, restore
from scanpool.decide.breaker import Breaker, Quota
from scanpool.models.claims import Unit
from scanpool.models.conditions import LimitedBy, Reason
from scanpool.models.error_codes import Refusals
from scanpool.models.fields import SecretKeyRef
from scanpool.models.llm import Llm, Probe
from scanpool.models.observation import KeyUsage, Observation, ProviderState
from scanpool.models.reading import Available, Reading, Unavailable
from scanpool.models.spec import PoolSpec
from scanpool.models.today import Today

A, B, C = "one/KEY", "two/KEY", "three/KEY"
REFS = tuple(SecretKeyRef(name=name.partition("/")[0], key="KEY") for name in (A, B, C))
COST = 500_000
BILLED = ProviderState(billing_code="insufficient_quota")
States = Mapping[str, ProviderState | Unavailable]


def several(count: int = 2, **changes: Any) -> PoolSpec:
    """Build a pool of several keys whose replicas cost half a million each."""
    usual: dict[str, Any] = {
        "tokens_per_minute": None,
        "api_key_secret_refs": REFS[:count],
        "bucket_reserve_percent": 100,
        "target_utilization_percent": 100,
    }
    return pool(llm=llm(**{**usual, **changes}))


def told(tokens: int | None = None, **changes: Any) -> ProviderState:
    return ProviderState(tokens_per_minute=tokens, **changes)


def beside(states: States, at: float = NOW, replicas: int = 1) -> Observation:
    """Return what is seen with these answers, and plenty to do."""
    answers: dict[str, Reading[ProviderState]] = {
        name: one if isinstance(one, Unavailable) else seen(one, at) for name, one in states.items()
    }
    return observe(replicas, queues=seen((depth(500, 0),)), keys=seen(answers, at))


def after(spec: PoolSpec, *ticks: States, known: Memory | None = None) -> Thought:
    """Tick once a minute, with a new answer of each key."""
    thought, memory = None, known or settled(1)
    for number, states in enumerate(ticks):
        at = NOW + 60 * number
        thought = think(spec, beside(states, at), memory, at)
        memory = thought.memory
    assert thought is not None
    return thought


def limit(thought: Thought, unit: Unit = Unit.TOKENS) -> int | None:
    assert thought.decision.llm is not None
    found = thought.decision.llm.limits.get(unit)
    return None if found is None else found.value


def ceiling(thought: Thought) -> int | None:
    return thought.decision.ceilings[LimitedBy.TOKENS].replicas


PAID = {A: told(2_000_000), B: told(1_000_000)}


@pytest.mark.parametrize(
    ("declared", "states", "expected"),
    [
        pytest.param(None, PAID, 3_000_000, id="told"),
        pytest.param(800_000, PAID, 1_600_000, id="the-spec-caps-each"),
        pytest.param(1_500_000, PAID, 2_500_000, id="the-spec-caps-one"),
        pytest.param(5_000_000, PAID, 3_000_000, id="the-spec-caps-none"),
        pytest.param(700_000, {A: told(), B: told()}, 1_400_000, id="only-the-spec"),
        pytest.param(700_000, {A: told(500_000), B: told()}, 1_200_000, id="one-told"),
        pytest.param(None, {A: told(500_000), B: told()}, None, id="one-unknown"),
        pytest.param(None, {A: told(2_000_000), B: BILLED}, 2_000_000, id="one-unpaid"),
        pytest.param(1_500_000, {A: BILLED, B: told(1_000_000)}, 1_000_000, id="the-capped-unpaid"),
        pytest.param(700_000, {A: told(), B: BILLED}, 700_000, id="unpaid-and-only-the-spec"),
        pytest.param(
            None,
            {A: told(1, rate_limited=True, used_up_quota="requests per day"), B: told(900_000)},
            900_000,
            id="a-day-used-up",
        ),
        pytest.param(
            None, {A: told(2_000_000, rate_limited=True), B: told(1)}, 2_000_001, id="429"
        ),
    ],
)
def test_the_limits_of_the_keys_that_are_paid_add_up(
    declared: int | None, states: States, expected: int | None
) -> None:
    assert limit(after(several(tokens_per_minute=declared), states)) == expected


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ({A: told(1, requests_per_minute=10), B: told(1, requests_per_minute=5)}, 15),
        ({A: told(1, requests_per_minute=10), B: told(1)}, None),
    ],
)
def test_other_limits_add_up_where_all_keys_have_one(states: States, expected: int | None) -> None:
    assert limit(after(several(), states), Unit.REQUESTS) == expected


def test_days_and_levels_add_up() -> None:
    one = told(1_000, tokens_remaining=900, tokens_spent=9, tokens_per_day=50_000,
               tokens_today=Today(20_000, NOW + 60))  # fmt: skip
    other = replace(one, tokens_remaining=100, tokens_today=Today(1_000, NOW + 7_200))
    thought = after(several(bucket_reserve_percent=15), {A: one, B: other})
    signals = thought.signals.llm
    assert signals is not None
    assert signals.bucket.latest is not None
    assert (signals.bucket.latest.tokens, signals.bucket.latest.limit) == (1_000, 2_000)
    assert (signals.probed.tokens, signals.probed.calls) == (18, 2)
    assert signals.probed.today == {Unit.TOKENS_A_DAY: Today(21_000, NOW + 7_200)}


def test_the_bucket_of_some_keys_tells_nothing_of_all() -> None:
    states = {A: told(1_000, tokens_remaining=900), B: told(1_000)}
    signals = after(several(bucket_reserve_percent=15), states).signals.llm
    assert signals is not None
    assert signals.bucket.latest is None


@pytest.mark.parametrize("order", [(A, B), (B, A)])
def test_a_key_without_money_takes_its_part_and_comes_back(order: tuple[str, str]) -> None:
    lost, kept = order
    unpaid = {**PAID, lost: BILLED}
    left = PAID[kept].tokens_per_minute or 0
    down = after(several(), PAID, unpaid, unpaid)

    assert limit(down) == left
    assert ceiling(down) == left // COST
    assert down.decision.breaker is not None
    assert down.decision.breaker.state is Quota.CLOSED
    assert down.decision.limited_by is not LimitedBy.QUOTA
    assert not down.signals.gaps
    states = {name: one.state for name, one in down.memory.llm.keys.items()}
    assert states == {lost: Quota.OPEN, kept: Quota.CLOSED}

    # One answer lets it be tried, the second counts its part, and the next one agrees on the sum.
    found = []
    for number in range(1, 4):
        back = after(several(), *[PAID] * number, known=_at_first(down.memory))
        found.append((back.memory.llm.keys[lost].state, limit(back)))
    assert found[0] == (Quota.HALF_OPEN, left)
    assert found[1][0] is Quota.CLOSED
    assert found[2] == (Quota.CLOSED, left)
    assert limit(after(several(), *[PAID] * 4, known=_at_first(down.memory))) == 3_000_000


def _at_first(memory: Memory) -> Memory:
    """Return the memory as if its last probe had been a moment before the first tick."""
    past = {
        name: replace(one, since=one.since and NOW - 60, refused_at=one.refused_at and NOW - 60)
        for name, one in memory.llm.keys.items()
    }
    return replace(memory, llms={"": replace(memory.llm, keys=past)})


def test_the_pool_stops_once_no_key_is_paid_and_starts_with_the_first_that_is() -> None:
    all_lost = after(several(), PAID, {A: BILLED, B: PAID[B]}, {A: BILLED, B: BILLED})
    assert all_lost.decision.limited_by is LimitedBy.QUOTA or all_lost.decision.desired == 1
    assert all_lost.memory.llm.breaker.state is Quota.OPEN
    assert not all_lost.signals.gaps

    one_back = after(several(), {A: BILLED, B: PAID[B]}, known=_at_first(all_lost.memory))
    assert one_back.memory.llm.breaker.state is Quota.HALF_OPEN
    assert not one_back.signals.gaps


@pytest.mark.parametrize(
    ("states", "reasons"),
    [
        pytest.param({A: unseen(Reason.SECRET_NOT_FOUND), B: told(1)}, 1, id="one-unread"),
        pytest.param({A: unseen(), B: BILLED}, 1, id="the-last-that-may-be-paid"),
        pytest.param({A: unseen(), B: unseen()}, 1, id="none-read"),
    ],
)
def test_a_key_that_cannot_be_read_holds(states: States, reasons: int) -> None:
    thought = after(several(), PAID, states)
    assert len(thought.signals.gaps) == reasons
    assert thought.decision.limited_by is LimitedBy.HOLD
    assert limit(thought) == 3_000_000


def test_no_answer_with_any_key_in_time_holds() -> None:
    late = replace(beside(PAID), keys=unseen(Reason.DEADLINE_EXCEEDED))
    thought = think(several(), late, after(several(), PAID).memory, NOW + 10)
    assert [one.reason for one in thought.signals.gaps] == [Reason.DEADLINE_EXCEEDED]
    assert limit(thought) == 3_000_000


def test_a_key_that_is_not_paid_is_not_missed() -> None:
    thought = after(several(), {**PAID, A: BILLED}, {**PAID, A: unseen()})
    assert not thought.signals.gaps
    assert limit(thought) == 1_000_000
    assert thought.memory.llm.keys[A].state is Quota.OPEN


def test_each_key_is_probed_in_its_own_time() -> None:
    spec = several(probe=Probe(interval_seconds=60))
    unpaid = {**PAID, A: BILLED}
    known = after(spec, unpaid, unpaid, unpaid).memory.llm
    assert spec.llm is not None
    ages = probe_ages(known.probing, known.breaker, known.keys, spec.llm)
    assert ages == {A: 240.0, B: 60.0}


def test_what_workers_meet_for_billing_is_laid_to_the_key_that_is_not_paid() -> None:
    spec = several(usage=WHOLE_KEY)
    refused = KeyUsage(
        1_000.0, rate_limited_per_minute=30.0, refusals=(Refusals("insufficient_quota", 30.0),)
    )

    def tick(states: States, memory: Memory, at: float, answered_at: float) -> Thought:
        seen_now = replace(beside(states, answered_at), usage=seen(refused, at))
        return think(spec, seen_now, memory, at)

    calm = after(spec, PAID)
    first = tick(PAID, calm.memory, NOW + 10, NOW)
    assert all(one.suspected for one in first.memory.llm.keys.values())
    second = tick({**PAID, A: BILLED}, first.memory, NOW + 20, NOW + 20)
    third = tick({**PAID, A: BILLED}, second.memory, NOW + 30, NOW + 20)
    assert not third.memory.llm.keys[B].suspected
    # Nor do they teach the pool to back off.
    assert third.decision.llm is not None
    assert third.decision.llm.factor == 1


def test_keys_without_a_probe_have_the_limit_of_the_spec_each() -> None:
    spec = several(3, tokens_per_minute=1_000_000, probe=Probe(enabled=False))
    thought = think(spec, observe(1, queues=seen((depth(500, 0),))), settled(1))
    assert limit(thought) == 3_000_000
    assert thought.memory.llm.keys == {}


def test_the_breakers_of_keys_outlive_the_process() -> None:
    down = after(several(), {**PAID, A: BILLED}, {**PAID, A: BILLED}).memory
    back = restore(checkpoint(down), NOW + 100)
    assert back.llm.keys[A].state is Quota.OPEN
    assert back.llm.keys[B].state is Quota.CLOSED
    assert {name: one.refusals for name, one in back.llm.keys.items()} == {A: 2, B: 0}


breakers = st.builds(
    Breaker,
    st.sampled_from(Quota),
    closed_at=st.none() | st.floats(0, NOW),
    until=st.none() | st.floats(NOW, 2 * NOW),
)


@given(st.dictionaries(st.sampled_from([A, B, C]), breakers, min_size=1))
def test_the_pool_goes_on_as_long_as_one_key_is_paid(drawn: dict[str, Breaker]) -> None:
    states = {one.state for one in drawn.values()}
    found = keys.together(drawn)

    assert found in drawn.values()
    assert (found.state is Quota.OPEN) == (states == {Quota.OPEN})
    assert (found.state is Quota.CLOSED) == (Quota.CLOSED in states)
    if found.state is Quota.CLOSED and found.closed_at is not None:
        # It starts slowly only where nobody was paid before.
        assert all(one.closed_at is not None for one in drawn.values() if one.state is found.state)


answers = st.dictionaries(
    st.sampled_from([A, B, C]),
    st.just(BILLED)
    | st.builds(unseen)
    | st.builds(told, st.none() | st.integers(1, 4_000_000), rate_limited=st.booleans()),
    min_size=1,
)


@given(answers, st.none() | st.integers(1, 4_000_000))
def test_one_more_key_never_lowers_the_limit_by_more_than_it_adds(
    drawn: dict[str, ProviderState | Unavailable], declared: int | None
) -> None:
    """The limit is the sum of the parts, whatever the answers; nothing unknown is counted."""
    refs = tuple(ref for name, ref in zip((A, B, C), REFS, strict=True) if name in drawn)
    probed: dict[str, Any] = {"tokens_per_minute": declared, "api_key_secret_refs": refs}
    spec = pool(llm=Llm(model="gpt-5.2", **probed))
    thought = think(spec, beside(drawn), settled(1))
    signals = thought.signals.llm
    assert signals is not None
    parts = [one.part for one in signals.keys.values() if one.part is not None]
    paid = [one for one in drawn.values() if one is not BILLED]
    assert len(parts) == len(paid)
    if any(isinstance(one, Unavailable) for one in paid):
        assert thought.signals.gaps
    elif parts and all(Unit.TOKENS in part for part in parts):
        assert limit(thought) == sum(part[Unit.TOKENS] for part in parts)
        assert sum(signals.shares(Unit.TOKENS).values()) == pytest.approx(1)
    elif parts:
        assert limit(thought) is None
        assert Reason.LIMIT_UNKNOWN in {one.reason for one in thought.signals.gaps}


def test_an_answer_counts_once_all_keys_have_answered_again() -> None:
    answers = {A: seen(told(1), NOW), B: seen(told(1), NOW + 5)}
    found = observe(1, 0, keys=seen(answers))
    signals = think(several(), found, settled(1)).signals.llm
    assert signals is not None
    assert signals.probed.at == NOW
    assert isinstance(answers[B], Available)
