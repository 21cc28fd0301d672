"""What refused calls teach, and how long a back-off is held."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from builders import NOW, llm, llm_signals, observe, pods, pool, seen, target, unseen
from scanpool.decide import Memory, assess
from scanpool.decide.assess.workers import POD_START_SECONDS, start_seconds
from scanpool.decide.backoff import Backoff, Billing, in_force, step
from scanpool.decide.breaker import Breaker, Quota
from scanpool.decide.decision import Ceiling
from scanpool.decide.limit_ceiling import without_growth
from scanpool.decide.llm_signals import LlmSignals, Probed, Refused
from scanpool.models.error_codes import Refusals
from scanpool.models.llm import Usage
from scanpool.models.observation import KeyUsage, Observation, Pod, ProviderState

WINDOW = 60
# The window, and the 30 s that the pods took to start.
HOLD = 90.0
CALM = llm_signals()
REFUSED = llm_signals(refused=Refused(per_minute=5.0))
UNCOUNTED = llm_signals(refused=Refused(is_lost=True))


def assessed(observation: Observation, now: float = NOW, window: int = WINDOW) -> LlmSignals:
    """Return what readings say of the provider."""
    spec = pool(llm=llm(usage=Usage(window_seconds=window)))
    found = assess(spec, observation, Memory(), now).llm
    assert found is not None
    return found


def answered(at: float = NOW, *, rate_limited: bool = False) -> Probed:
    return Probed(is_asked=True, at=at, rate_limited=rate_limited)


def after(
    signals: LlmSignals, backoff: Backoff | None = None, now: float = NOW, *, taints: bool = False
) -> Backoff:
    return step(backoff or Backoff(), signals, Billing(taints=taints), now)


@pytest.mark.parametrize(
    "observation",
    [
        observe(usage=seen(KeyUsage(0, rate_limited_per_minute=5.0))),
        observe(provider=seen(ProviderState(rate_limited=True))),
    ],
)
def test_a_rate_limit_429_takes_the_factor_to_70_percent(observation: Observation) -> None:
    backoff = after(assessed(observation))

    assert backoff.factor == pytest.approx(0.7)
    assert (backoff.at, backoff.refused_at) == (NOW, NOW)
    assert in_force(backoff, HOLD, NOW) == pytest.approx(0.7)


@pytest.mark.parametrize(
    "observation",
    [
        pytest.param(
            observe(provider=seen(ProviderState(billing_code="insufficient_quota"))), id="billing"
        ),
        pytest.param(observe(provider=seen(ProviderState(slow_down=True))), id="slow-down"),
        pytest.param(observe(provider=unseen()), id="503-or-any-other-failure"),
        pytest.param(observe(usage=unseen()), id="use-unknown"),
        pytest.param(observe(usage=seen(KeyUsage(9e9))), id="429s-not-counted"),
        pytest.param(observe(usage=seen(KeyUsage(0, rate_limited_per_minute=0.0))), id="no-429"),
        pytest.param(observe(), id="nothing-is-asked"),
    ],
)
def test_nothing_else_does(observation: Observation) -> None:
    backoff = after(assessed(observation))

    assert backoff.factor == 1.0
    assert in_force(backoff, HOLD, NOW) == 1.0


def test_it_backs_off_once_per_hold_however_long_the_429s_go_on() -> None:
    backoff, factors = Backoff(), []
    for second in range(0, 200, 10):
        backoff = after(REFUSED, backoff, NOW + second)
        factors.append(round(backoff.factor, 3))

    assert factors == [0.7] * 9 + [0.49] * 9 + [0.343] * 2


def test_it_never_backs_off_below_a_fifth() -> None:
    backoff = Backoff()
    for second in range(0, 3_600, 10):
        backoff = after(REFUSED, backoff, NOW + second)

    assert backoff.factor == 0.2


def test_it_recovers_a_tenth_a_minute_once_the_hold_saw_no_429() -> None:
    backoff = after(REFUSED)

    shares = [in_force(backoff, HOLD, NOW + HOLD + minute * 60) for minute in range(-1, 6)]
    assert shares == pytest.approx([0.7, 0.7, 0.8, 0.9, 1.0, 1.0, 1.0])


def test_while_refusals_are_not_counted_nothing_recovers() -> None:
    backoff = after(REFUSED)
    for second in range(10, 600, 10):
        backoff = after(UNCOUNTED, backoff, NOW + second)
        assert in_force(backoff, HOLD, NOW + second) == pytest.approx(0.7)

    assert in_force(backoff, HOLD, NOW + 590 + HOLD + 60) == pytest.approx(0.8)


@pytest.mark.parametrize(
    ("observation", "is_lost"),
    [
        (observe(usage=unseen()), True),
        (observe(usage=seen(KeyUsage(0))), False),
        (observe(), False),
    ],
)
def test_refusals_are_not_counted_while_what_counts_them_does_not_answer(
    observation: Observation, *, is_lost: bool
) -> None:
    assert assessed(observation).refused.is_lost is is_lost


def test_what_has_recovered_before_refusals_are_no_longer_counted_stays() -> None:
    backoff = after(UNCOUNTED, after(REFUSED), NOW + HOLD + 60)

    assert backoff.factor == pytest.approx(0.8)
    assert backoff.at == NOW


def test_a_probes_429_backs_off_while_the_workers_are_not_counted() -> None:
    backoff = after(REFUSED)
    for second in range(10, 200, 10):
        probed = answered(NOW + second - 1, rate_limited=second == 190)
        backoff = after(replace(UNCOUNTED, probed=probed), backoff, NOW + second)

    assert backoff.factor == pytest.approx(0.49)


@pytest.mark.parametrize(
    "exhausted",
    [
        pytest.param(Breaker(Quota.OPEN), id="open"),
        pytest.param(Breaker(Quota.HALF_OPEN), id="half-open"),
        pytest.param(Breaker(closed_at=NOW), id="just-closed"),
        pytest.param(Breaker(closed_at=NOW - 59), id="closed-within-the-window"),
    ],
)
def test_the_workers_429s_around_an_exhausted_quota_leave_the_factor(exhausted: Breaker) -> None:
    """Clients count refusals for billing as 429s, too."""
    taints = exhausted.taints_refusals(WINDOW, NOW)

    assert after(REFUSED, taints=taints) == Backoff()
    probed_as_well = replace(REFUSED, probed=answered(rate_limited=True))
    told = after(probed_as_well, taints=taints)
    assert told.factor == pytest.approx(0.7), "that one is told"


def test_once_the_window_holds_no_more_of_them_they_count_again() -> None:
    taints = Breaker(closed_at=NOW - WINDOW).taints_refusals(WINDOW, NOW)

    assert after(REFUSED, taints=taints).factor == pytest.approx(0.7)


def test_each_429_puts_the_recovery_off_and_a_late_one_backs_off_from_what_was_recovered() -> None:
    backoff = after(REFUSED, after(REFUSED), NOW + 50)
    assert in_force(backoff, HOLD, NOW + 50 + HOLD) == pytest.approx(0.7)

    backoff = after(REFUSED, backoff, NOW + 50 + HOLD + 60)
    assert backoff.factor == pytest.approx(0.8 * 0.7)


def test_a_429_while_recovering_but_within_the_hold_keeps_what_was_recovered() -> None:
    backoff = Backoff(refused_at=NOW - HOLD - 60, at=NOW - 10, factor=0.7)

    assert after(REFUSED, backoff).factor == pytest.approx(0.8)


def test_a_full_recovery_leaves_no_trace() -> None:
    assert after(CALM, after(REFUSED), NOW + HOLD + 179) == after(REFUSED)
    assert after(CALM, after(REFUSED), NOW + HOLD + 181) == Backoff()


def test_a_probes_429_counts_once_however_often_its_answer_is_seen() -> None:
    refused = llm_signals(probed=answered(rate_limited=True))
    backoff = after(refused)

    for later in (10, HOLD, 2 * HOLD):
        backoff = after(refused, backoff, NOW + later)
        assert backoff.refused_at == NOW
    assert in_force(backoff, HOLD, NOW + HOLD + 60) == pytest.approx(0.8)
    again = llm_signals(probed=answered(NOW + HOLD, rate_limited=True))
    assert after(again, backoff, NOW + HOLD).at == NOW + HOLD


# --- Told to slow down ---


def test_slow_down_stops_growth_for_15_minutes_from_the_answer_and_leaves_the_factor() -> None:
    told = assessed(observe(provider=seen(ProviderState(slow_down=True), NOW - 50)))
    backoff = after(told)

    assert backoff == Backoff(growth_stopped_until=NOW + 850)
    assert backoff.stops_growth(NOW + 849)
    assert not backoff.stops_growth(NOW + 850)
    assert not Backoff().stops_growth(NOW)
    assert after(told, backoff, NOW + 700) == backoff


def test_a_full_recovery_lets_no_growth_in_that_was_stopped() -> None:
    stopped = replace(after(REFUSED), growth_stopped_until=NOW + 850)

    assert after(CALM, stopped, NOW + 500) == Backoff(growth_stopped_until=NOW + 850)


def worked(at: float, *refusals: Refusals) -> Observation:
    return observe(usage=seen(KeyUsage(0, refusals=refusals), at))


def test_a_slow_down_that_the_workers_met_stops_growth_from_when_it_was_counted() -> None:
    told = worked(NOW - 30, Refusals("slow_down", 0.1))

    assert after(assessed(told)).growth_stopped_until == NOW + 870
    for calm in (Refusals("slow_down", 0.0), Refusals("rate_limit_exceeded", 5.0)):
        assert after(assessed(worked(NOW, calm))) == Backoff()


def test_an_older_slow_down_that_is_still_seen_ends_the_stop_no_earlier() -> None:
    """The probe's answer is shared until the next one; the workers met a later one meanwhile."""
    told = seen(ProviderState(slow_down=True), NOW)
    refused = replace(worked(NOW + 100, Refusals("slow_down", 1.0)), provider=told)
    backoff = after(assessed(refused, NOW + 100), now=NOW + 100)
    assert backoff.growth_stopped_until == NOW + 1_000

    calm = replace(worked(NOW + 200), provider=told)
    backoff = after(assessed(calm, NOW + 200), backoff, NOW + 200)
    assert backoff.growth_stopped_until == NOW + 1_000


@pytest.mark.parametrize(
    ("ceiling", "stopped"),
    [
        (Ceiling(9, 9, "limit"), Ceiling(5, 5, "the provider asked to slow down")),
        (Ceiling(5, 7, "limit"), Ceiling(5, 7, "limit")),
        (Ceiling(2, 3, "limit"), Ceiling(2, 3, "limit")),
        (Ceiling(None, None, "unknown"), Ceiling(None, None, "unknown")),
    ],
)
def test_without_growth_only_what_is_above_the_current_replicas_goes(
    ceiling: Ceiling, stopped: Ceiling
) -> None:
    found = without_growth(ceiling, 5)

    assert replace(found, reason="") == replace(stopped, reason="")
    assert found.reason.startswith(stopped.reason)


# --- How long a back-off is held ---


def held(running: Sequence[Pod], window: int = WINDOW) -> float:
    return assessed(observe(target=target(3, running)), window=window).hold_seconds


def test_a_back_off_is_held_for_the_delay_of_the_rates_and_the_slowest_pods_start() -> None:
    slow = pods(1, created_at=NOW - 645, ready_at=NOW - 600)
    starting = pods(1, ready=False, created_at=NOW - 5_000, ready_at=None)
    running = [*pods(1), *slow, *starting]

    assert start_seconds(target(3, running)) == 45
    assert held(running) == 105


@pytest.mark.parametrize(("age", "hold"), [(0, HOLD), (60, HOLD + 60), (-60, HOLD)])
def test_the_older_the_newest_sample_the_longer_the_hold(age: float, hold: float) -> None:
    """A sample from the future, after the clock was set back, makes it no shorter."""
    assert assessed(observe(usage=seen(KeyUsage(0), NOW - age))).hold_seconds == hold


def test_429s_that_show_late_back_off_once_until_the_effect_can_show() -> None:
    backoff, at = Backoff(), []
    for second in range(0, 300, 10):
        now = NOW + second
        late = observe(usage=seen(KeyUsage(0, rate_limited_per_minute=5.0), now - 60))
        backoff = after(assessed(late, now), backoff, now)
        at.append(backoff.at)

    assert set(at) == {NOW, NOW + 150}


def test_without_a_pod_that_became_ready_a_minute_is_assumed_for_its_start() -> None:
    assert start_seconds(target(0)) == POD_START_SECONDS
    assert held((), window=30) == 90


def test_a_pod_that_became_ready_again_hours_later_did_not_take_hours_to_start() -> None:
    """Ready's transition time moves whenever a probe fails: a busy worker's does."""
    assert held(pods(1, created_at=NOW - 86_400, ready_at=NOW - 60)) <= 60 + 600
