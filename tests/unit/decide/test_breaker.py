"""The billing breaker: its states, how soon it asks again, and what it allows."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import NOW, llm, llm_signals, memory, observe, pool, seen, signals, unseen
from scanpool.decide import Memory, assess, learn
from scanpool.decide.breaker import SLOW_START_SECONDS, Breaker, Quota, judge, step
from scanpool.decide.llm_signals import LlmSignals, Probed, Refused
from scanpool.decide.probing import (
    LONGEST_BACKOFF_SECONDS,
    SUSPECTED_SECONDS,
    Probing,
    age,
)
from scanpool.models.error_codes import Refusals
from scanpool.models.llm import Llm, OnQuotaExhausted, Probe
from scanpool.models.observation import KeyUsage, Observation, ProviderState
from scanpool.models.reading import Reading

SINCE = NOW - 60
WINDOW = 60
ANSWERED = Probed(is_asked=True, at=NOW)
REFUSED = Probed(is_asked=True, at=NOW, billing_code="insufficient_quota")
CALM = Probing(is_close=False)
BREAKERS = {
    Quota.CLOSED: Breaker(),
    Quota.HALF_OPEN: Breaker(Quota.HALF_OPEN, "insufficient_quota", SINCE, refusals=1),
    Quota.OPEN: Breaker(Quota.OPEN, "insufficient_quota", SINCE, refusals=1),
}


def assessed(observation: Observation) -> LlmSignals:
    """Return what readings say of the provider."""
    found = assess(pool(llm=llm()), observation, Memory(), NOW).llm
    assert found is not None
    return found


def tripped(breaker: Breaker, probed: Probed, now: float = NOW) -> Breaker:
    return step(breaker, llm_signals(probed=probed), WINDOW, now)


def probed_every(seconds: int) -> Llm:
    return llm(probe=Probe(interval_seconds=seconds))


def told(breaker: Breaker, answers: Sequence[bool], first: float = NOW) -> Breaker:
    """Return the breaker after one answer a minute, True if it was refused."""
    for index, is_refused in enumerate(answers):
        at = first + 60 * index
        breaker = tripped(breaker, replace(REFUSED if is_refused else ANSWERED, at=at), at)
    return breaker


# --- the states ---


@pytest.mark.parametrize(
    ("provider", "closed", "opened", "half_open"),
    [
        pytest.param(
            seen(ProviderState(billing_code="insufficient_quota")),
            Quota.OPEN,
            Quota.OPEN,
            Quota.OPEN,
            id="refused",
        ),
        pytest.param(
            seen(ProviderState(tokens_per_minute=2_000_000)),
            Quota.CLOSED,
            Quota.HALF_OPEN,
            Quota.CLOSED,
            id="answered",
        ),
        pytest.param(unseen(), Quota.CLOSED, Quota.OPEN, Quota.HALF_OPEN, id="unavailable"),
        pytest.param(None, Quota.CLOSED, Quota.CLOSED, Quota.CLOSED, id="unasked"),
    ],
)
def test_the_truth_table(
    provider: Reading[ProviderState] | None, closed: Quota, opened: Quota, half_open: Quota
) -> None:
    probed = assessed(observe(provider=provider)).probed

    assert tripped(BREAKERS[Quota.CLOSED], probed).state is closed
    assert tripped(BREAKERS[Quota.OPEN], probed).state is opened
    assert tripped(BREAKERS[Quota.HALF_OPEN], probed).state is half_open


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
    found = assessed(observe(provider=seen(state)))

    assert step(Breaker(), found, WINDOW, NOW) == Breaker()


def test_it_tells_the_code_and_the_time_of_the_refusal_until_it_closes() -> None:
    exhausted = replace(REFUSED, billing_code="credit_balance_exhausted", at=SINCE)
    opened = tripped(Breaker(), exhausted)
    assert (opened.code, opened.since) == ("credit_balance_exhausted", SINCE)

    trying = tripped(opened, replace(ANSWERED, at=SINCE + 60))
    assert (trying.code, trying.since) == ("credit_balance_exhausted", SINCE + 60)

    closed = tripped(trying, replace(ANSWERED, at=SINCE + 120))
    assert (closed.code, closed.since) == (None, None)
    assert closed.closed_at == SINCE + 120


def test_a_refusal_that_goes_on_keeps_its_time_and_another_one_has_its_own() -> None:
    opened = BREAKERS[Quota.OPEN]

    assert tripped(opened, REFUSED).since == SINCE
    other = tripped(opened, replace(REFUSED, billing_code="organization_usage_limit_exceeded"))
    assert (other.code, other.since) == ("organization_usage_limit_exceeded", NOW)


def test_one_shared_reading_moves_it_only_once() -> None:
    """Ticks between two probes see the same answer again: it must not open and close at once."""
    trying = tripped(BREAKERS[Quota.OPEN], ANSWERED)
    assert trying.state is Quota.HALF_OPEN

    assert tripped(trying, ANSWERED) == trying
    assert tripped(trying, replace(ANSWERED, at=NOW + 60)).state is Quota.CLOSED


def test_one_shared_refusal_counts_only_once() -> None:
    opened = tripped(BREAKERS[Quota.OPEN], REFUSED)
    assert opened.refusals == 2

    assert tripped(opened, REFUSED) == opened
    assert tripped(opened, replace(REFUSED, at=NOW + 60)).refusals == 3


@pytest.mark.parametrize("at", [SINCE, SINCE - 1, NOW, NOW - 1])
def test_an_answer_from_before_the_last_refusal_does_not_move_it(at: float) -> None:
    opened = tripped(BREAKERS[Quota.OPEN], REFUSED)

    assert tripped(opened, replace(ANSWERED, at=at)) == opened


def test_without_a_probe_nothing_of_an_outage_is_remembered() -> None:
    closed = told(Breaker(), [True, True, False, False])
    assert closed.closed_at is not None

    for breaker in (*BREAKERS.values(), closed, replace(closed, suspected=True)):
        assert tripped(breaker, Probed(is_asked=False)) == Breaker()
        assert learn(pool(), signals(), memory(breaker=breaker)).llm.breaker == Breaker()


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
    spec = probed_every(interval)

    for refusals, seconds in enumerate(ages, start=1):
        assert age(CALM, told(Breaker(), [True] * refusals), spec) == seconds


@pytest.mark.parametrize(
    ("interval", "answers", "seconds"),
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
    interval: int, answers: list[bool], seconds: float
) -> None:
    assert age(CALM, told(Breaker(), answers), probed_every(interval)) == seconds


def test_a_checkpoint_that_counted_no_refusals_is_probed_at_the_first_step() -> None:
    for quota in (Quota.OPEN, Quota.HALF_OPEN):
        assert age(CALM, replace(BREAKERS[quota], refusals=0), probed_every(60)) == 60


@given(interval=st.integers(1, 3600), refusals=st.integers(0, 10_000))
def test_the_backoff_is_within_bounds_and_never_shortens(interval: int, refusals: int) -> None:
    spec, opened = probed_every(interval), replace(BREAKERS[Quota.OPEN], refusals=refusals)
    seconds = age(CALM, opened, spec)

    assert interval <= seconds <= max(interval, LONGEST_BACKOFF_SECONDS)
    assert seconds <= age(CALM, replace(opened, refusals=refusals + 1), spec)


# --- a known end ---

LATER = NOW + 7_200
"""NOW is midnight in California, when a quota may still be yesterday's."""
MIDNIGHT = NOW + 86_400
PER_DAY = "GenerateRequestsPerDayPerProjectPerModel-FreeTier"


@pytest.mark.parametrize(
    ("state", "code"),
    [
        (ProviderState(rate_limited=True, used_up_quota=PER_DAY), PER_DAY),
        (ProviderState(rate_limited=True, used_up_quota="rate limit"), "rate limit"),
        (ProviderState(billing_code="usage_limit_reached"), "usage_limit_reached"),
    ],
)
@pytest.mark.parametrize(("wait", "known"), [(None, False), (30, False), (61, True), (9e4, True)])
def test_a_refusal_that_tells_when_it_ends_is_waited_for(
    state: ProviderState, code: str, wait: float | None, *, known: bool
) -> None:
    told = replace(state, refused_until=None if wait is None else LATER + wait)
    refused = assessed(observe(provider=seen(told, LATER))).probed

    opened = tripped(Breaker(), refused, LATER)

    assert (opened.state, opened.code) == (Quota.OPEN, code)
    assert opened.known_end == (LATER + (wait or 0) if known else None)
    assert age(CALM, opened, probed_every(60)) == max(60, (wait or 0) if known else 0)


def test_a_known_end_is_kept_while_the_provider_is_silent_and_gone_with_the_next_answer() -> None:
    opened = tripped(Breaker(), replace(REFUSED, at=LATER, refused_until=MIDNIGHT), LATER)
    assert tripped(opened, Probed(is_asked=True), LATER + 60) == opened
    again = tripped(opened, replace(REFUSED, at=MIDNIGHT), MIDNIGHT)
    assert (again.state, again.known_end) == (Quota.OPEN, None)
    # The back-off goes on, since what was told was wrong.
    assert age(CALM, again, probed_every(60)) == 120
    trying = tripped(opened, replace(ANSWERED, at=MIDNIGHT), MIDNIGHT)
    assert (trying.state, trying.known_end) == (Quota.HALF_OPEN, None)


# --- what the workers tell ---


def used(*refusals: Refusals, provider: ProviderState | None = None) -> Breaker:
    """Return the breaker after a tick that sees these refusals of the workers."""
    answer = provider or ProviderState(tokens_per_minute=2_000_000)
    usage = seen(KeyUsage(1e6, refusals=refusals))
    return step(Breaker(), assessed(observe(provider=seen(answer), usage=usage)), WINDOW, NOW)


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
    refusals: tuple[Refusals, ...], *, suspected: bool
) -> None:
    breaker = used(*refusals)

    assert breaker.state is Quota.CLOSED
    assert breaker.suspected is suspected
    assert age(CALM, breaker, probed_every(60)) == (SUSPECTED_SECONDS if suspected else 60)
    assert age(CALM, breaker, probed_every(2)) == 2


def test_what_the_probe_has_confirmed_is_no_suspicion() -> None:
    refused = ProviderState(billing_code="insufficient_quota")
    breaker = used(Refusals("insufficient_quota", 3.0), provider=refused)

    assert (breaker.state, breaker.suspected) == (Quota.OPEN, False)


@pytest.mark.parametrize(("seconds", "suspected"), [(0, False), (119, False), (120, True)])
def test_refusals_from_before_the_recovery_raise_no_suspicion(
    seconds: float, *, suspected: bool
) -> None:
    """The rates of the workers reach back by the usage window."""
    closed = Breaker(closed_at=NOW, refusals=1)
    met = llm_signals(probed=ANSWERED, refused=Refused(for_billing=True))

    assert step(closed, met, 120, NOW + seconds).suspected is suspected


@pytest.mark.parametrize(
    ("breaker", "tainted"),
    [
        (Breaker(), False),
        (BREAKERS[Quota.OPEN], True),
        (BREAKERS[Quota.HALF_OPEN], True),
        (Breaker(closed_at=NOW), True),
        (Breaker(closed_at=NOW - 59), True),
        (Breaker(closed_at=NOW - 60), False),
    ],
)
def test_refusals_may_be_billing_errors_until_a_window_after_the_recovery(
    breaker: Breaker, *, tainted: bool
) -> None:
    assert breaker.taints_refusals(60, NOW) is tainted


# --- what it allows ---


def cap(
    breaker: Breaker, choice: OnQuotaExhausted, current: int, min_replicas: int, now: float = NOW
) -> int | None:
    """Return the most replicas that are allowed; None for no limit."""
    found = judge(breaker, llm(on_quota_exhausted=choice), current, min_replicas, now).cap
    return None if found is None else found.replicas


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
    assert cap(BREAKERS[quota], choice, 7, 2) == allowed


@pytest.mark.parametrize("choice", [OnQuotaExhausted.SCALE_TO_ZERO, OnQuotaExhausted.SCALE_TO_MIN])
def test_a_pool_without_a_minimum_tries_the_provider_again_with_one_replica(
    choice: OnQuotaExhausted,
) -> None:
    assert cap(BREAKERS[Quota.HALF_OPEN], choice, 0, 0) == 1


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
    closed = Breaker(closed_at=NOW, refusals=3)

    times = [0, 29, 30, 60, 90, 299, 300, 86_400]
    assert [cap(closed, choice, current, min_replicas, NOW + at) for at in times] == allowed


def test_a_clock_that_was_set_back_does_not_end_the_world() -> None:
    closed = Breaker(closed_at=NOW, refusals=3)

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
    breaker, now = told(Breaker(), answers), NOW + 60 * len(answers)
    caps = [cap(breaker, choice, current, min_replicas, now)]
    for seconds in steps:
        now += seconds
        breaker = tripped(breaker, replace(ANSWERED, at=now), now)
        caps.append(cap(breaker, choice, current, min_replicas, now))

    unlimited = [float("inf") if one is None else one for one in caps]
    assert unlimited == sorted(unlimited)


@given(answers=st.lists(st.booleans(), max_size=12), choice=st.sampled_from(OnQuotaExhausted))
def test_nothing_is_limited_once_the_slow_start_is_over(
    answers: list[bool], choice: OnQuotaExhausted
) -> None:
    last = NOW + 60 * len(answers)
    breaker = told(told(Breaker(), answers), [False, False], last)

    over = tripped(breaker, Probed(is_asked=True), last + 60 + SLOW_START_SECONDS)
    assert cap(over, choice, 0, 0, last + 60 + SLOW_START_SECONDS) is None
    assert age(CALM, over, probed_every(600)) == 600


def reason(breaker: Breaker, choice: OnQuotaExhausted, min_replicas: int) -> str:
    found = judge(breaker, llm(on_quota_exhausted=choice), 0, min_replicas, NOW).cap
    assert found is not None
    return found.reason


def test_it_says_in_words_what_it_does() -> None:
    refusing = reason(BREAKERS[Quota.OPEN], OnQuotaExhausted.SCALE_TO_ZERO, 0)
    assert "insufficient_quota" in refusing
    assert "onQuotaExhausted is ScaleToZero" in refusing

    for breaker in (BREAKERS[Quota.HALF_OPEN], Breaker(closed_at=NOW)):
        starting = reason(breaker, OnQuotaExhausted.SCALE_TO_MIN, 2)
        assert "the provider answers again" in starting
        assert "2 at first, then twice as many every 30 s" in starting
        kept = reason(breaker, OnQuotaExhausted.HOLD, 2)
        assert "2 at first or those that were kept, then" in kept


@pytest.mark.parametrize("breaker", BREAKERS.values())
def test_the_verdict_tells_the_state_and_the_code(breaker: Breaker) -> None:
    found = judge(breaker, llm(), 0, 0, NOW)

    assert (found.state, found.code) == (breaker.state, breaker.code)


# --- a quota of a day that only the workers meet ---


def met(
    breaker: Breaker, code: str | None, at: float, *, is_asked: bool = False, lost: bool = False
) -> Breaker:
    """Return the breaker after a tick whose exporter counts one code, or is away."""
    refusals = () if code is None else (Refusals(code, 3.0),)
    usage = unseen() if lost else seen(KeyUsage(1e6, refusals=refusals), at)
    provider = unseen() if is_asked else None
    return step(breaker, assessed(observe(provider=provider, usage=usage)), WINDOW, at)


@pytest.mark.parametrize(
    "code", [PER_DAY, f"429 RESOURCE_EXHAUSTED {PER_DAY}", "GenerateContentTokensPerModelPerDay"]
)
@pytest.mark.parametrize("is_asked", [False, True])
def test_a_quota_of_googles_day_opens_it_until_midnight_in_california(
    code: str, *, is_asked: bool
) -> None:
    opened = met(Breaker(), code, LATER, is_asked=is_asked)

    assert opened.state is Quota.OPEN
    assert opened.code is not None
    assert opened.code in code
    assert opened.known_end == MIDNIGHT
    assert met(opened, code, MIDNIGHT - 1, is_asked=is_asked).state is Quota.OPEN


@pytest.mark.parametrize(
    ("code", "at"),
    [
        ("429", LATER),
        ("RESOURCE_EXHAUSTED", LATER),
        ("GenerateRequestsPerMinutePerProjectPerModel", LATER),
        ("requests per day", LATER),
        (PER_DAY, NOW + 3_599),
        (None, LATER),
    ],
)
def test_nothing_else_does_without_a_probe(code: str | None, at: float) -> None:
    assert met(Breaker(), code, at) == Breaker()


def test_without_a_probe_it_closes_by_itself_once_a_window_shows_no_refusal() -> None:
    opened = met(Breaker(), PER_DAY, LATER)
    trying = met(opened, PER_DAY, MIDNIGHT)
    assert (trying.state, trying.since) == (Quota.HALF_OPEN, MIDNIGHT)
    # What is refused within the window may have been so before.
    assert met(trying, PER_DAY, MIDNIGHT + WINDOW - 1) == trying
    assert met(trying, None, MIDNIGHT + WINDOW - 1) == trying
    assert met(trying, None, MIDNIGHT + WINDOW, lost=True) == trying
    # It goes on, though nobody knows yet for how long.
    assert met(trying, PER_DAY, MIDNIGHT + WINDOW) == trying
    closed = met(trying, None, MIDNIGHT + WINDOW)
    assert (closed.state, closed.closed_at) == (Quota.CLOSED, MIDNIGHT + WINDOW)
    assert closed.starts_slowly(MIDNIGHT + WINDOW + 1)
    assert met(closed, None, MIDNIGHT + WINDOW + 30) == closed
    # In the first hour no end is known; after it there is one again.
    assert met(closed, PER_DAY, MIDNIGHT + 1_800).state is Quota.CLOSED
    assert met(closed, PER_DAY, MIDNIGHT + 3_600).known_end == MIDNIGHT + 86_400


def test_a_pool_that_asks_nobody_any_more_has_no_breaker() -> None:
    opened = met(Breaker(), PER_DAY, LATER)
    found = llm_signals(probed=Probed(is_asked=False), refused=Refused())
    assert step(opened, found, WINDOW, LATER) == Breaker()


def test_the_probe_may_say_sooner_that_it_is_over() -> None:
    opened = met(Breaker(), PER_DAY, LATER, is_asked=True)
    assert tripped(opened, replace(ANSWERED, at=LATER), LATER).state is Quota.OPEN
    assert tripped(opened, replace(ANSWERED, at=LATER + 1), LATER + 1).state is Quota.HALF_OPEN


def test_refusals_from_before_the_recovery_open_nothing_again() -> None:
    opened = met(Breaker(), PER_DAY, LATER, is_asked=True)
    trying = tripped(opened, replace(ANSWERED, at=LATER + 1), LATER + 1)
    assert met(trying, PER_DAY, LATER + WINDOW, is_asked=True) == trying
    assert met(trying, PER_DAY, LATER + WINDOW + 1, is_asked=True).state is Quota.OPEN
    closed = tripped(trying, replace(ANSWERED, at=LATER + 9), LATER + 9)
    assert met(closed, PER_DAY, LATER + WINDOW + 8, is_asked=True).state is Quota.CLOSED
    assert met(closed, PER_DAY, LATER + WINDOW + 9, is_asked=True).state is Quota.OPEN


@pytest.mark.parametrize("code", ["requests per day", "free-models-per-day", "rpd_exceeded"])
def test_other_limits_of_a_day_bring_the_next_probe_forward(code: str) -> None:
    assert used(Refusals(code, 3.0)).suspected
