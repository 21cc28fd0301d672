from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import NOW, llm, observe, seen, unseen
from scanpool.decide.quota import (
    LONGEST_BACKOFF_SECONDS,
    SLOW_START_SECONDS,
    SUSPECTED_SECONDS,
    cap,
    probe_age,
    reason,
    taints_refusals,
    trip,
)
from scanpool.models.llm import Llm, OnQuotaExhausted, Probe, Usage
from scanpool.models.memory import Memory, Quota
from scanpool.models.observation import KeyUsage, ProviderState, Refusals
from scanpool.models.reading import Reading

SINCE = NOW - 60
PAYING = llm()
ANSWERED = seen(ProviderState(tokens_per_minute=2_000_000))
REFUSED = seen(ProviderState(billing_code="insufficient_quota"))
MEMORIES = {
    Quota.CLOSED: Memory(),
    Quota.HALF_OPEN: Memory(
        quota=Quota.HALF_OPEN,
        quota_code="insufficient_quota",
        quota_since=SINCE,
        quota_refusals=1,
    ),
    Quota.OPEN: Memory(
        quota=Quota.OPEN, quota_code="insufficient_quota", quota_since=SINCE, quota_refusals=1
    ),
}


def tripped(memory: Memory, provider: Reading[ProviderState] | None, now: float = NOW) -> Memory:
    return trip(PAYING, observe(provider=provider), memory, now)


def probed(interval_seconds: int) -> Llm:
    return llm(probe=Probe(interval_seconds=interval_seconds))


def told(memory: Memory, answers: Sequence[bool], first: float = NOW) -> Memory:
    """Return the memory after one answer a minute, True if it was refused."""
    for index, is_refused in enumerate(answers):
        at = first + 60 * index
        memory = tripped(memory, seen((REFUSED if is_refused else ANSWERED).value, at), at)
    return memory


# --- the states ---


@pytest.mark.parametrize(
    ("before", "refused", "answered", "unavailable", "unasked"),
    [
        (Quota.CLOSED, Quota.OPEN, Quota.CLOSED, Quota.CLOSED, Quota.CLOSED),
        (Quota.OPEN, Quota.OPEN, Quota.HALF_OPEN, Quota.OPEN, Quota.CLOSED),
        (Quota.HALF_OPEN, Quota.OPEN, Quota.CLOSED, Quota.HALF_OPEN, Quota.CLOSED),
    ],
)
def test_the_truth_table(
    before: Quota, refused: Quota, answered: Quota, unavailable: Quota, unasked: Quota
) -> None:
    memory = MEMORIES[before]

    assert tripped(memory, REFUSED).quota is refused
    assert tripped(memory, ANSWERED).quota is answered
    assert tripped(memory, unseen()).quota is unavailable
    assert tripped(memory, None).quota is unasked


@pytest.mark.parametrize(
    "state",
    [
        ProviderState(rate_limited=True),
        ProviderState(slow_down=True),
        ProviderState(tokens_per_minute=0),
        ProviderState(),
    ],
)
def test_nothing_but_a_billing_code_opens_it(state: ProviderState) -> None:
    assert tripped(Memory(), seen(state)) == Memory()


def test_it_tells_the_code_and_the_time_of_the_refusal_until_it_closes() -> None:
    opened = tripped(Memory(), seen(ProviderState(billing_code="credit_balance_exhausted"), SINCE))
    assert (opened.quota_code, opened.quota_since) == ("credit_balance_exhausted", SINCE)

    trying = tripped(opened, seen(ProviderState(), SINCE + 60))
    assert (trying.quota_code, trying.quota_since) == ("credit_balance_exhausted", SINCE + 60)

    closed = tripped(trying, seen(ProviderState(), SINCE + 120))
    assert (closed.quota_code, closed.quota_since) == (None, None)
    assert closed.quota_closed_at == SINCE + 120


def test_a_refusal_that_goes_on_keeps_its_time_and_another_one_has_its_own() -> None:
    opened = MEMORIES[Quota.OPEN]

    assert tripped(opened, REFUSED).quota_since == SINCE
    other = tripped(opened, seen(ProviderState(billing_code="organization_usage_limit_exceeded")))
    assert (other.quota_code, other.quota_since) == ("organization_usage_limit_exceeded", NOW)


def test_one_shared_reading_moves_it_only_once() -> None:
    """Ticks between two probes see the same answer again: it must not open and close at once."""
    trying = tripped(MEMORIES[Quota.OPEN], ANSWERED)
    assert trying.quota is Quota.HALF_OPEN

    assert tripped(trying, ANSWERED) == trying
    assert tripped(trying, seen(ANSWERED.value, NOW + 60)).quota is Quota.CLOSED


def test_one_shared_refusal_counts_only_once() -> None:
    opened = tripped(MEMORIES[Quota.OPEN], REFUSED)
    assert opened.quota_refusals == 2

    assert tripped(opened, REFUSED) == opened
    assert tripped(opened, seen(REFUSED.value, NOW + 60)).quota_refusals == 3


@pytest.mark.parametrize("at", [SINCE, SINCE - 1, NOW, NOW - 1])
def test_an_answer_from_before_the_last_refusal_does_not_move_it(at: float) -> None:
    opened = tripped(MEMORIES[Quota.OPEN], REFUSED)

    assert tripped(opened, seen(ANSWERED.value, at)) == opened


def test_without_a_probe_nothing_of_an_outage_is_remembered() -> None:
    closed = told(Memory(), [True, True, False, False])
    assert closed.quota_closed_at is not None

    for memory in (*MEMORIES.values(), closed, replace(closed, quota_suspected=True)):
        assert tripped(memory, None) == Memory()
        assert trip(None, observe(), memory, NOW) == Memory()


# --- how soon it asks again ---


@pytest.mark.parametrize(
    ("interval", "ages"),
    [
        pytest.param(60, [60, 120, 240, 480, 900, 900], id="a-minute-to-a-quarter-of-an-hour"),
        pytest.param(2, [2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900], id="a-closer-look"),
        pytest.param(300, [300, 300, 300, 480, 900, 900], id="never-sooner-than-asked-for"),
        pytest.param(3600, [3600, 3600], id="an-hour"),
    ],
)
def test_the_more_refusals_the_longer_until_the_next_probe(interval: int, ages: list[int]) -> None:
    spec = probed(interval)

    for refusals, age in enumerate(ages, start=1):
        assert probe_age(spec, told(Memory(), [True] * refusals)) == age


@pytest.mark.parametrize(
    ("interval", "answers", "age"),
    [
        pytest.param(60, [], 60, id="closed"),
        pytest.param(600, [], 600, id="closed-slow"),
        pytest.param(600, [True, True, False], 60, id="half-open"),
        pytest.param(10, [True, True, False], 10, id="half-open-fast"),
        pytest.param(600, [True, True, False, False], 60, id="slow-start"),
        pytest.param(600, [True, True, False, False, *[False] * 4], 60, id="slow-start-on"),
        pytest.param(600, [True, True, False, False, *[False] * 5], 600, id="over"),
        pytest.param(60, [True, True, False, True], 240, id="refused-half-open"),
        pytest.param(60, [True, True, False, False, True], 240, id="refused-in-slow-start"),
        pytest.param(60, [True, *[False] * 7, True], 60, id="another-outage"),
    ],
)
def test_the_backoff_ends_with_the_slow_start(
    interval: int, answers: list[bool], age: float
) -> None:
    assert probe_age(probed(interval), told(Memory(), answers)) == age


def test_a_checkpoint_that_counted_no_refusals_is_probed_at_the_first_step() -> None:
    for quota in (Quota.OPEN, Quota.HALF_OPEN):
        assert probe_age(probed(60), replace(MEMORIES[quota], quota_refusals=0)) == 60


@given(interval=st.integers(1, 3600), refusals=st.integers(0, 10_000))
def test_the_backoff_is_within_bounds_and_never_shortens(interval: int, refusals: int) -> None:
    opened = replace(MEMORIES[Quota.OPEN], quota_refusals=refusals)
    age = probe_age(probed(interval), opened)

    assert interval <= age <= max(interval, LONGEST_BACKOFF_SECONDS)
    assert age <= probe_age(probed(interval), replace(opened, quota_refusals=refusals + 1))


# --- what the workers tell ---


def used(*refusals: Refusals, provider: ProviderState = ANSWERED.value, window: int = 60) -> Memory:
    """Return the memory after a tick that sees these refusals of the workers."""
    observation = observe(provider=seen(provider), usage=seen(KeyUsage(1e6, refusals=refusals)))
    spec = llm(usage=Usage(window_seconds=window))
    return trip(spec, observation, Memory(), NOW)


@pytest.mark.parametrize(
    ("refusals", "suspected"),
    [
        ((), False),
        ((Refusals("insufficient_quota", 3.0),), True),
        ((Refusals("project_spend_limit_exceeded", 0.1),), True),
        ((Refusals("insufficient_quota", 0.0),), False),
        ((Refusals("rate_limit_exceeded", 9.0), Refusals("429", 9.0)), False),
        ((Refusals("rate_limit_exceeded", 9.0), Refusals("insufficient_quota", 1.0)), True),
    ],
)
def test_billing_errors_of_the_workers_bring_the_next_probe_forward(
    refusals: tuple[Refusals, ...], suspected: bool
) -> None:
    memory = used(*refusals)

    assert memory.quota is Quota.CLOSED
    assert memory.quota_suspected is suspected
    assert probe_age(probed(60), memory) == (SUSPECTED_SECONDS if suspected else 60)
    assert probe_age(probed(2), memory) == 2


def test_what_the_probe_has_confirmed_is_no_suspicion() -> None:
    memory = used(Refusals("insufficient_quota", 3.0), provider=REFUSED.value)

    assert (memory.quota, memory.quota_suspected) == (Quota.OPEN, False)


@pytest.mark.parametrize(("seconds", "suspected"), [(0, False), (119, False), (120, True)])
def test_refusals_from_before_the_recovery_raise_no_suspicion(
    seconds: float, suspected: bool
) -> None:
    """The rates of the workers reach back by the usage window."""
    closed = Memory(quota_closed_at=NOW, quota_refusals=1)
    usage = seen(KeyUsage(1e6, refusals=(Refusals("insufficient_quota", 3.0),)))
    spec = llm(usage=Usage(window_seconds=120))
    observation = observe(provider=ANSWERED, usage=usage)

    assert trip(spec, observation, closed, NOW + seconds).quota_suspected is suspected


@pytest.mark.parametrize(
    ("memory", "tainted"),
    [
        (Memory(), False),
        (MEMORIES[Quota.OPEN], True),
        (MEMORIES[Quota.HALF_OPEN], True),
        (Memory(quota_closed_at=NOW), True),
        (Memory(quota_closed_at=NOW - 59), True),
        (Memory(quota_closed_at=NOW - 60), False),
    ],
)
def test_refusals_may_be_billing_errors_until_a_window_after_the_recovery(
    memory: Memory, tainted: bool
) -> None:
    assert taints_refusals(memory, 60, NOW) is tainted


# --- what it allows ---


@pytest.mark.parametrize(
    ("quota", "choice", "allowed"),
    [
        (Quota.CLOSED, OnQuotaExhausted.SCALE_TO_ZERO, None),
        (Quota.CLOSED, OnQuotaExhausted.SCALE_TO_MIN, None),
        (Quota.CLOSED, OnQuotaExhausted.HOLD, None),
        (Quota.OPEN, OnQuotaExhausted.SCALE_TO_ZERO, 0),
        (Quota.OPEN, OnQuotaExhausted.SCALE_TO_MIN, 2),
        (Quota.OPEN, OnQuotaExhausted.HOLD, 7),
        (Quota.HALF_OPEN, OnQuotaExhausted.SCALE_TO_ZERO, 2),
        (Quota.HALF_OPEN, OnQuotaExhausted.SCALE_TO_MIN, 2),
        (Quota.HALF_OPEN, OnQuotaExhausted.HOLD, 7),
    ],
)
def test_the_choices(quota: Quota, choice: OnQuotaExhausted, allowed: int | None) -> None:
    assert cap(MEMORIES[quota], choice, 7, 2, NOW) == allowed


@pytest.mark.parametrize("choice", [OnQuotaExhausted.SCALE_TO_ZERO, OnQuotaExhausted.SCALE_TO_MIN])
def test_a_pool_without_a_minimum_tries_the_provider_again_with_one_replica(
    choice: OnQuotaExhausted,
) -> None:
    assert cap(MEMORIES[Quota.HALF_OPEN], choice, 0, 0, NOW) == 1


@pytest.mark.parametrize(
    ("current", "min_replicas", "allowed"),
    [
        (0, 0, [1, 1, 2, 4, 8, 512, None, None]),
        (1, 3, [3, 3, 6, 12, 24, 1536, None, None]),
        (7, 1, [7, 7, 7, 7, 8, 512, None, None]),  # those that Hold kept stay
    ],
)
@pytest.mark.parametrize("choice", OnQuotaExhausted)
def test_it_starts_slowly(
    choice: OnQuotaExhausted, current: int, min_replicas: int, allowed: list[int | None]
) -> None:
    closed = Memory(quota_closed_at=NOW, quota_refusals=3)

    times = [0, 29, 30, 60, 90, 299, 300, 86_400]
    assert [cap(closed, choice, current, min_replicas, NOW + at) for at in times] == allowed


def test_a_clock_that_was_set_back_does_not_end_the_world() -> None:
    closed = Memory(quota_closed_at=NOW, quota_refusals=3)

    assert cap(closed, OnQuotaExhausted.SCALE_TO_ZERO, 0, 2, NOW - 3_600) == 2


@given(
    answers=st.lists(st.booleans(), max_size=12),
    choice=st.sampled_from(OnQuotaExhausted),
    current=st.integers(0, 30),
    min_replicas=st.integers(0, 10),
    steps=st.lists(st.integers(1, 90), min_size=1, max_size=20),
)
def test_the_cap_never_falls_while_the_provider_keeps_answering(
    answers: list[bool],
    choice: OnQuotaExhausted,
    current: int,
    min_replicas: int,
    steps: list[int],
) -> None:
    memory, now = told(Memory(), answers), NOW + 60 * len(answers)
    caps = [cap(memory, choice, current, min_replicas, now)]
    for seconds in steps:
        now += seconds
        memory = tripped(memory, seen(ANSWERED.value, now), now)
        caps.append(cap(memory, choice, current, min_replicas, now))

    unlimited = [float("inf") if one is None else one for one in caps]
    assert unlimited == sorted(unlimited)


@given(answers=st.lists(st.booleans(), max_size=12), choice=st.sampled_from(OnQuotaExhausted))
def test_nothing_is_limited_once_the_slow_start_is_over(
    answers: list[bool], choice: OnQuotaExhausted
) -> None:
    last = NOW + 60 * len(answers)
    memory = told(told(Memory(), answers), [False, False], last)

    over = tripped(memory, unseen(), last + 60 + SLOW_START_SECONDS)
    assert cap(over, choice, 0, 0, last + 60 + SLOW_START_SECONDS) is None
    assert probe_age(probed(600), over) == 600


def test_it_says_in_words_what_it_does() -> None:
    refusing = reason(MEMORIES[Quota.OPEN], OnQuotaExhausted.SCALE_TO_ZERO, 0)
    assert "insufficient_quota" in refusing
    assert "onQuotaExhausted is ScaleToZero" in refusing

    for memory in (MEMORIES[Quota.HALF_OPEN], Memory(quota_closed_at=NOW)):
        starting = reason(memory, OnQuotaExhausted.SCALE_TO_MIN, 2)
        assert "the provider answers again" in starting
        assert "2 at first, then twice as many every 30 s" in starting
        kept = reason(memory, OnQuotaExhausted.HOLD, 2)
        assert "2 at first or those that were kept, then" in kept
