from dataclasses import replace

import pytest

from builders import NOW, observe, pods, seen, target, unseen
from scanpool.decide.feedback import (
    POD_START_SECONDS,
    backoff_factor,
    growth_stopped,
    hold_seconds,
    learn_from_refusals,
    pod_start_seconds,
    without_growth,
)
from scanpool.models.decision import Ceiling
from scanpool.models.memory import Memory, Quota
from scanpool.models.observation import KeyUsage, Observation, ProviderState, Refusals
from scanpool.models.reading import Available

WINDOW = 60
# The window, and the 30 s that the pods took to start.
HOLD = 90.0
NOTHING = Memory()
CALM = observe(usage=seen(KeyUsage(0, rate_limited_per_minute=0.0)))
REFUSED = observe(usage=seen(KeyUsage(0, rate_limited_per_minute=5.0)))


def probed(at: float = NOW, **state: object) -> Observation:
    return observe(provider=seen(ProviderState(**state), at))  # type: ignore[arg-type]


def after(observation: Observation, memory: Memory = NOTHING, now: float = NOW) -> Memory:
    if isinstance(observation.usage, Available):
        observation = replace(observation, usage=replace(observation.usage, at=now))
    return learn_from_refusals(memory, observation, WINDOW, now)


@pytest.mark.parametrize("observation", [REFUSED, probed(rate_limited=True)])
def test_a_rate_limit_429_takes_the_factor_to_70_percent(observation: Observation) -> None:
    memory = after(observation)

    assert memory.backoff_factor == pytest.approx(0.7)
    assert (memory.backoff_at, memory.rate_limited_at) == (NOW, NOW)
    assert backoff_factor(memory, HOLD, NOW) == pytest.approx(0.7)


@pytest.mark.parametrize(
    "observation",
    [
        pytest.param(probed(billing_code="insufficient_quota"), id="billing"),
        pytest.param(probed(slow_down=True), id="slow-down"),
        pytest.param(observe(provider=unseen()), id="503-or-any-other-failure"),
        pytest.param(observe(usage=unseen()), id="use-unknown"),
        pytest.param(observe(usage=seen(KeyUsage(9e9))), id="429s-not-counted"),
        pytest.param(CALM, id="no-429"),
        pytest.param(observe(), id="nothing-is-asked"),
    ],
)
def test_nothing_else_does(observation: Observation) -> None:
    memory = after(observation)

    assert memory.backoff_factor == 1.0
    assert backoff_factor(memory, HOLD, NOW) == 1.0


def test_it_backs_off_once_per_hold_however_long_the_429s_go_on() -> None:
    memory, factors = Memory(), []
    for second in range(0, 200, 10):
        memory = after(REFUSED, memory, NOW + second)
        factors.append(round(memory.backoff_factor, 3))

    assert factors == [0.7] * 9 + [0.49] * 9 + [0.343] * 2


def test_it_never_backs_off_below_a_fifth() -> None:
    memory = Memory()
    for second in range(0, 3_600, 10):
        memory = after(REFUSED, memory, NOW + second)

    assert memory.backoff_factor == 0.2


def test_it_recovers_a_tenth_a_minute_once_the_hold_saw_no_429() -> None:
    memory = after(REFUSED)

    shares = [backoff_factor(memory, HOLD, NOW + HOLD + minute * 60) for minute in range(-1, 6)]
    assert shares == pytest.approx([0.7, 0.7, 0.8, 0.9, 1.0, 1.0, 1.0])


def test_while_refusals_are_not_counted_nothing_recovers() -> None:
    memory = after(REFUSED)
    for second in range(10, 600, 10):
        memory = after(observe(usage=unseen()), memory, NOW + second)
        assert backoff_factor(memory, HOLD, NOW + second) == pytest.approx(0.7)

    assert backoff_factor(memory, HOLD, NOW + 590 + HOLD + 60) == pytest.approx(0.8)


def test_what_has_recovered_before_refusals_are_no_longer_counted_stays() -> None:
    memory = after(observe(usage=unseen()), after(REFUSED), NOW + HOLD + 60)

    assert memory.backoff_factor == pytest.approx(0.8)
    assert memory.backoff_at == NOW


def test_a_probes_429_backs_off_while_the_workers_are_not_counted() -> None:
    memory = after(REFUSED)
    for second in range(10, 200, 10):
        refused = seen(ProviderState(rate_limited=second == 190), NOW + second - 1)
        memory = after(observe(usage=unseen(), provider=refused), memory, NOW + second)

    assert memory.backoff_factor == pytest.approx(0.49)


@pytest.mark.parametrize(
    "exhausted",
    [
        pytest.param(Memory(quota=Quota.OPEN), id="open"),
        pytest.param(Memory(quota=Quota.HALF_OPEN), id="half-open"),
        pytest.param(Memory(quota_closed_at=NOW), id="just-closed"),
        pytest.param(Memory(quota_closed_at=NOW - 59), id="closed-within-the-window"),
    ],
)
def test_the_workers_429s_around_an_exhausted_quota_leave_the_factor(exhausted: Memory) -> None:
    """Clients count refusals for billing as 429s, too."""
    assert after(REFUSED, exhausted) == exhausted
    probed_as_well = replace(REFUSED, provider=seen(ProviderState(rate_limited=True)))
    assert after(probed_as_well, exhausted).backoff_factor == pytest.approx(0.7), "that one is told"


def test_once_the_window_holds_no_more_of_them_they_count_again() -> None:
    closed = Memory(quota_closed_at=NOW - WINDOW)

    assert after(REFUSED, closed).backoff_factor == pytest.approx(0.7)


def test_each_429_puts_the_recovery_off_and_a_late_one_backs_off_from_what_was_recovered() -> None:
    memory = after(REFUSED, after(REFUSED), NOW + 50)
    assert backoff_factor(memory, HOLD, NOW + 50 + HOLD) == pytest.approx(0.7)

    memory = after(REFUSED, memory, NOW + 50 + HOLD + 60)
    assert memory.backoff_factor == pytest.approx(0.8 * 0.7)


def test_a_429_while_recovering_but_within_the_hold_keeps_what_was_recovered() -> None:
    memory = Memory(backoff_at=NOW - 10, rate_limited_at=NOW - HOLD - 60, backoff_factor=0.7)

    assert after(REFUSED, memory).backoff_factor == pytest.approx(0.8)


def test_a_full_recovery_leaves_no_trace() -> None:
    assert after(CALM, after(REFUSED), NOW + HOLD + 179) == after(REFUSED)
    assert after(CALM, after(REFUSED), NOW + HOLD + 181) == Memory()


def test_a_probes_429_counts_once_however_often_its_answer_is_seen() -> None:
    observation = probed(rate_limited=True)
    memory = after(observation)

    for later in (10, HOLD, 2 * HOLD):
        memory = after(observation, memory, NOW + later)
        assert memory.rate_limited_at == NOW
    assert backoff_factor(memory, HOLD, NOW + HOLD + 60) == pytest.approx(0.8)
    assert after(probed(NOW + HOLD, rate_limited=True), memory, NOW + HOLD).backoff_at == NOW + HOLD


def test_slow_down_stops_growth_for_15_minutes_from_the_answer_and_leaves_the_factor() -> None:
    memory = after(probed(NOW - 50, slow_down=True))

    assert memory == Memory(growth_stopped_until=NOW + 850)
    assert growth_stopped(memory, NOW + 849)
    assert not growth_stopped(memory, NOW + 850)
    assert not growth_stopped(Memory(), NOW)
    assert after(probed(NOW - 50, slow_down=True), memory, NOW + 700) == memory


def worked(at: float, *refusals: Refusals) -> Observation:
    return observe(usage=seen(KeyUsage(0, refusals=refusals), at))


def test_a_slow_down_that_the_workers_met_stops_growth_from_when_it_was_counted() -> None:
    told = worked(NOW - 30, Refusals("slow_down", 0.1))

    assert learn_from_refusals(Memory(), told, WINDOW, NOW).growth_stopped_until == NOW + 870
    for calm in (Refusals("slow_down", 0.0), Refusals("rate_limit_exceeded", 5.0)):
        assert learn_from_refusals(Memory(), worked(NOW, calm), WINDOW, NOW) == Memory()


def test_an_older_slow_down_that_is_still_seen_ends_the_stop_no_earlier() -> None:
    """The probe's answer is shared until the next one; the workers met a later one meanwhile."""
    told = seen(ProviderState(slow_down=True), NOW)
    refused = replace(worked(NOW + 100, Refusals("slow_down", 1.0)), provider=told)
    memory = learn_from_refusals(Memory(), refused, WINDOW, NOW + 100)
    assert memory.growth_stopped_until == NOW + 1_000

    calm = replace(worked(NOW + 200), provider=told)
    assert learn_from_refusals(memory, calm, WINDOW, NOW + 200).growth_stopped_until == NOW + 1_000


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


def test_a_back_off_is_held_for_the_delay_of_the_rates_and_the_slowest_pods_start() -> None:
    slow = pods(1, created_at=NOW - 645, ready_at=NOW - 600)
    starting = pods(1, ready=False, created_at=NOW - 5_000, ready_at=None)
    observation = observe(target=target(3, [*pods(1), *slow, *starting]))

    assert pod_start_seconds(observation) == 45
    assert hold_seconds(WINDOW, observation, NOW) == 105


@pytest.mark.parametrize(("age", "hold"), [(0, HOLD), (60, HOLD + 60), (-60, HOLD)])
def test_the_older_the_newest_sample_the_longer_the_hold(age: float, hold: float) -> None:
    """A sample from the future, after the clock was set back, makes it no shorter."""
    aged = observe(usage=seen(KeyUsage(0), NOW - age))

    assert hold_seconds(WINDOW, aged, NOW) == hold


def test_429s_that_show_late_back_off_once_until_the_effect_can_show() -> None:
    memory, at = Memory(), []
    for second in range(0, 300, 10):
        observation = observe(
            usage=seen(KeyUsage(0, rate_limited_per_minute=5.0), NOW + second - 60)
        )
        memory = learn_from_refusals(memory, observation, WINDOW, NOW + second)
        at.append(memory.backoff_at)

    assert sorted(set(at)) == [NOW, NOW + 150]


def test_without_a_pod_that_became_ready_a_minute_is_assumed_for_its_start() -> None:
    assert pod_start_seconds(observe(0)) == POD_START_SECONDS
    assert hold_seconds(30, observe(0), NOW) == 90


def test_a_pod_that_became_ready_again_hours_later_did_not_take_hours_to_start() -> None:
    """Ready's transition time moves whenever a probe fails: a busy worker's does."""
    flapped = pods(1, created_at=NOW - 86_400, ready_at=NOW - 60)

    assert hold_seconds(WINDOW, observe(target=target(1, flapped)), NOW) <= 60 + 600
