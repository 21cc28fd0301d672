"""Money: what is spent, how a budget of a day is spread, and what happens at its end."""

from dataclasses import replace
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

import strategies  # noqa: F401 - its profile takes the deadline off slow machines
from builders import (
    NOW,
    WHOLE_KEY,
    llm,
    llm_signals,
    memory,
    observe,
    pool,
    rates,
    seen,
    settled,
    signals,
    think,
    workers,
)
from scanpool.decide import Memory, after_scaling, checkpoint, heard, restore, spend, spend_ceiling
from scanpool.decide.cost import Learned
from scanpool.decide.llm_signals import Flow, Use
from scanpool.decide.memory import Checkpoint
from scanpool.decide.spend import Budget, Spent
from scanpool.models.conditions import ConditionType, LimitedBy, Reason
from scanpool.models.llm import ONLY, NamedLlm
from scanpool.models.observation import KeyUsage
from scanpool.models.spec import PoolSpec, Queue
from scanpool.models.spend import Prices, Spend
from scanpool.report import money

MILLION = 1_000_000
FLAT = Prices(input=2, output=2)
APART = Prices(input=1, output=10)


def priced(prices: Prices = FLAT, per_day: float | None = None, **changes: Any) -> PoolSpec:
    budget = {} if per_day is None else {"spend": Spend(per_day=per_day)}
    return pool(llm=llm(prices=prices, tokens_per_minute=10**9), **budget, **changes)


def using(own: Flow, now: float = NOW) -> Any:
    use = Use(own, own, Flow(0.0, 0.0, 0.0), "test", now, now)
    return signals(llm_signals(use=use), now=now)


def stepped(prices: Prices, own: Flow, known: Spent | None = None, now: float = NOW) -> Spent:
    found = spend.step(known, priced(prices), using(own, now), {ONLY: Learned(500_000.0)})
    assert found is not None
    return found


# --- What is spent ---


@pytest.mark.parametrize(
    ("prices", "own", "per_minute"),
    [
        (FLAT, Flow(MILLION, 10), 2.0),
        (APART, Flow(MILLION, 10, 100_000), 0.9 + 1.0),
        # Not told apart: the dearer.
        (APART, Flow(MILLION, 10), 10.0),
        (Prices(input=1, output=0), Flow(MILLION, 10), 1.0),
        (
            Prices(input=1, output=10, cached_input=0.1, cached_input_percent=50),
            Flow(MILLION, 10, 0),
            0.55,
        ),
        # Without a price of its own what is cached costs as other input.
        (Prices(input=1, output=10, cached_input_percent=50), Flow(MILLION, 10, 0), 1.0),
        (FLAT, Flow(0, 0), 0.0),
        (FLAT, Flow(None), None),
    ],
)
def test_a_rate_in_money(prices: Prices, own: Flow, per_minute: float | None) -> None:
    assert stepped(prices, own).per_minute == pytest.approx(per_minute)


def test_a_retry_costs_what_a_call_costs_on_average() -> None:
    assert stepped(FLAT, Flow(MILLION, 400)).per_call == pytest.approx(2 / 400)
    assert stepped(FLAT, Flow(MILLION)).per_call is None


def test_without_a_price_there_is_nothing_of_money() -> None:
    _, known, decision = think(pool(llm=llm()), observe(2, 20), settled(2))

    assert (known.spent, decision.budget) == (None, None)
    assert LimitedBy.SPEND not in decision.ceilings


def test_the_amount_is_the_rate_times_the_time_until_the_day_ends() -> None:
    known = stepped(FLAT, Flow(MILLION))
    assert known.amount == 0
    known = stepped(FLAT, Flow(MILLION), known, NOW + 60)
    assert known.amount == pytest.approx(2.0)
    # A long gap is not guessed at.
    assert stepped(FLAT, Flow(MILLION), known, NOW + 7_200).amount == pytest.approx(2.0 + 20)
    tomorrow = stepped(FLAT, Flow(MILLION), known, known.ends_at + 30)
    assert tomorrow.amount == pytest.approx(1.0)
    assert tomorrow.ends_at == known.ends_at + 86_400


@pytest.mark.parametrize(
    ("pods", "draining", "costs", "per_minute"),
    [
        (2, 0, {ONLY: Learned(500_000.0)}, 2.0),
        # One that is told to go spends until it has drained.
        (2, 1, {ONLY: Learned(500_000.0)}, 3.0),
        (0, 0, {ONLY: Learned(500_000.0)}, 0.0),
        # What one costs is not known either.
        (2, 0, {}, 0.0),
    ],
)
def test_while_the_use_is_unknown_every_pod_counts_as_busy(
    pods: int, draining: int, costs: dict[str, Learned], per_minute: float
) -> None:
    blind = replace(using(Flow(None), NOW + 60), workers=workers(pods, draining=draining))

    spec = pool(llm=llm(prices=FLAT, tokens_per_replica_minute=None))

    found = spend.step(Spent(5.0, NOW, NOW + 600), spec, blind, costs)
    assert found is not None
    assert found.amount == pytest.approx(5.0 + per_minute)
    assert found.per_minute is None


GPT, GEMINI, LOCAL = "gpt", "gemini", "local"


@pytest.mark.parametrize(
    ("uses", "learned", "per_minute", "per_replica", "per_call"),
    [
        ((Flow(MILLION, 10), Flow(MILLION, 10)), (GPT, GEMINI), 12.0, 6.0, 0.6),
        # What nobody uses is not learned, and costs nothing.
        ((Flow(MILLION, 10), Flow(0.0, 0.0)), (GPT,), 2.0, 1.0, 0.2),
        # What is used and not learned yet is unknown.
        ((Flow(MILLION, 10), Flow(MILLION, 10)), (GPT,), 12.0, None, 0.6),
        ((Flow(MILLION, 10), Flow(None)), (GPT, GEMINI), None, 6.0, None),
        ((Flow(MILLION, 10), Flow(MILLION)), (GPT, GEMINI), 12.0, 6.0, None),
    ],
)
def test_several_limits_add_up(
    uses: tuple[Flow, ...],
    learned: tuple[str, ...],
    per_minute: float | None,
    per_replica: float | None,
    per_call: float | None,
) -> None:
    """The third has no price, and is not counted."""
    prices = {GPT: FLAT, GEMINI: APART, LOCAL: None}
    limits = tuple(
        NamedLlm(name=name, **llm(tokens_per_replica_minute=None, prices=price).model_dump())
        for name, price in prices.items()
    )
    seen_now = {
        name: llm_signals(use=Use(own, own, Flow(0.0, 0.0, 0.0), "test", NOW, NOW))
        for name, own in zip(prices, (*uses, Flow(MILLION, 10)), strict=True)
    }
    costs = {name: Learned(500_000.0) for name in learned}

    found = spend.step(None, pool(Queue(name="scan"), llms=limits), signals(llms=seen_now), costs)
    assert found is not None
    assert found.per_minute == pytest.approx(per_minute)
    assert found.per_replica == pytest.approx(per_replica)
    assert found.per_call == pytest.approx(per_call)


def test_another_zone_counts_at_once() -> None:
    spec = priced(per_day=100)
    known = spend.step(Spent(5.0, NOW, NOW + 86_000), spec, using(Flow(0, 0)), {})
    assert known is not None
    assert (known.amount, known.ends_at) == (5.0, spend.midnight(NOW, "UTC"))

    moved = spec.model_copy(update={"spend": Spend(per_day=100, time_zone="Asia/Seoul")})
    known = spend.step(known, moved, using(Flow(0, 0), NOW + 10), {})
    assert known is not None
    assert (known.amount, known.ends_at) == (5.0, spend.midnight(NOW, "Asia/Seoul"))


@pytest.mark.parametrize(
    ("zone", "now", "ends"),
    [
        ("UTC", "2026-11-27T08:00:00", "2026-11-28T00:00:00"),
        ("Asia/Seoul", "2026-11-27T23:59:59", "2026-11-28T00:00:00"),
        ("Asia/Kathmandu", "2026-11-27T00:00:00", "2026-11-28T00:00:00"),
        # Twenty-three and twenty-five hours.
        ("Europe/Berlin", "2026-03-29T00:30:00", "2026-03-30T00:00:00"),
        ("America/New_York", "2026-11-01T00:30:00", "2026-11-02T00:00:00"),
    ],
)
def test_a_day_ends_at_midnight_of_its_zone(zone: str, now: str, ends: str) -> None:
    def at(text: str) -> float:
        return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()

    assert spend.midnight(at(now), zone) == at(ends)


def test_the_next_process_goes_on_with_what_was_spent() -> None:
    known = Memory(spent=Spent(12.5, NOW, NOW + 3_600, 1.0, 0.5, 0.01, ended=12.0))
    kept = Checkpoint.model_validate(checkpoint(known).model_dump(mode="json", by_alias=True))

    found = restore(kept, NOW + 60).spent
    assert found == Spent(12.5, NOW, NOW + 3_600, ended=12.0)
    assert restore(checkpoint(memory()), NOW).spent is None


TODAY, TOMORROW = NOW + 3_600, NOW + 90_000


@pytest.mark.parametrize(
    ("known", "told", "then"),
    [
        pytest.param((5.0, TODAY, None), (7.0, TODAY, None), (7.0, TODAY, None), id="more"),
        pytest.param((5.0, TODAY, None), (4.0, TODAY, None), (5.0, TODAY, None), id="less"),
        pytest.param((5.0, TODAY, None), (5.0, TODAY, 5.1), (5.0, TODAY, 5.1), id="ended"),
        pytest.param((5.0, TODAY, 5.1), (5.0, TODAY, None), (5.0, TODAY, 5.1), id="ended here"),
        pytest.param(
            (1.0, TOMORROW, None), (9.0, TODAY, 9.0), (1.0, TOMORROW, None), id="yesterday's"
        ),
    ],
)
def test_who_follows_hears_what_was_spent(
    known: tuple[float, float, float | None],
    told: tuple[float, float, float | None],
    then: tuple[float, float, float | None],
) -> None:
    follower, leader = (
        Memory(spent=Spent(amount, NOW, ends_at, per_minute=1.0, ended=ended))
        for amount, ends_at, ended in (known, told)
    )

    found = heard(follower, checkpoint(leader), ()).spent
    assert found is not None
    assert (found.amount, found.ends_at, found.ended) == then
    assert found.per_minute == 1.0
    assert heard(Memory(), checkpoint(leader), ()).spent is None
    assert heard(follower, checkpoint(Memory()), ()) == follower


# --- The ceiling ---


def test_what_is_left_is_spread_over_the_rest_of_the_day() -> None:
    """Replicas of a unit a minute, with ten hours left."""
    ten_hours = NOW + 36_000

    def allowed(left: float) -> tuple[int, int]:
        return spend.allows(Budget(10_000, left, 0.0, ten_hours), 1.0, NOW)

    assert allowed(3 * 600) == (3, 3)
    assert allowed(3.5 * 600) == (3, 4)
    # One as long as anything is left.
    assert allowed(0.4 * 600) == (1, 1)
    assert allowed(0) == (0, 0)


@given(st.floats(0, 1e6), st.floats(0, 1e4), st.floats(0.01, 100), st.integers(60, 86_400))
def test_nobody_may_grow_to_more_than_the_rest_pays(
    left: float, reserve: float, per_replica: float, seconds: int
) -> None:
    found = Budget(1e6, left, reserve, NOW + seconds)

    fits, keeps = spend.allows(found, per_replica, NOW)
    assert 0 <= fits <= keeps <= fits + 1
    if fits > 1:
        assert fits * per_replica * seconds / 60 <= left + 1e-6 * left
    assert (fits == 0) == found.has_ended


def at_budget(left: float, current: int = 2, per_day: float = 100.0) -> Any:
    """Return what a pool does that has so much left at eight in the morning, UTC."""
    ends_at = spend.midnight(NOW, "UTC")
    known = settled(current, cost=Learned(500_000.0, NOW, 600.0))
    known = Memory(
        known.history, llms=known.llms, spent=Spent(per_day - left, NOW, ends_at, 1.0 * current)
    )
    spec = pool(
        llm=llm(prices=FLAT, tokens_per_minute=10**9, usage=WHOLE_KEY), spend=Spend(per_day=per_day)
    )
    used = KeyUsage(500_000.0 * current, own_tokens_per_minute=500_000.0 * current)
    seen_now = observe(current, 90, usage=seen(used), rates=seen((rates(1.0),)))
    return spec, think(spec, seen_now, known)


@pytest.mark.parametrize(
    ("left", "desired"),
    [
        # A replica spends one a minute, and there are 960 minutes left.
        (5_000, 5),
        (2_900, 3),
        # One while anything is left.
        (500, 1),
        (4, 0),
        (0, 0),
    ],
)
def test_the_replicas_follow_the_budget(left: float, desired: int) -> None:
    _, made = at_budget(left, per_day=10_000)

    decision = made.decision
    assert (decision.desired, decision.limited_by) == (desired, LimitedBy.SPEND)


@pytest.mark.parametrize(
    ("minutes", "replicas", "fits", "keeps"),
    [(20, 2, 5, 5), (11, 2, 9, 9), (9, 2, 2, 11), (9, 0, 1, 11), (2, 20, 20, 50)],
)
def test_in_the_last_minutes_of_a_day_none_is_added(
    minutes: int, replicas: int, fits: int, keeps: int
) -> None:
    """The shorter the rest, the more it seems to pay."""
    spent = Spent(0.0, NOW, NOW + 60 * minutes, 0.0, per_replica=1.0)
    seen_now = signals(workers=workers(replicas))

    found = spend_ceiling.ceiling(priced(per_day=100), seen_now, Memory(spent=spent))
    assert found is not None
    assert (found.replicas, found.keeps) == (fits, keeps)


@pytest.mark.parametrize("per_replica", [None, 0.0])
def test_one_has_to_run_for_its_cost_to_be_learned(per_replica: float | None) -> None:
    known = Memory(spent=Spent(0.0, NOW, NOW + 3_600, per_replica=per_replica))

    for replicas, allowed in ((0, 1), (1, 1), (3, 3)):
        found = spend_ceiling.ceiling(
            priced(per_day=100), signals(workers=workers(replicas)), known
        )
        assert found is not None
        assert (found.replicas, found.keeps) == (allowed, allowed)


def test_a_budget_that_has_ended_stays_so_until_it_is_raised_or_the_day_ends() -> None:
    """With no pod at work it would pay one again, and so on until midnight."""
    spec, made = at_budget(3, per_day=10_000)
    assert made.decision.desired == 0

    def later(spec: PoolSpec, seconds: float) -> int:
        calm = observe(0, 90, usage=seen(KeyUsage(1.0, own_tokens_per_minute=0.0), NOW + seconds))
        return think(spec, calm, made.memory, NOW + seconds).decision.desired

    assert later(spec, 10) == 0
    assert later(spec, 600) == 0
    restarted = restore(checkpoint(made.memory), NOW + 20)
    calm = observe(0, 90, usage=seen(KeyUsage(1.0, own_tokens_per_minute=0.0), NOW + 20))
    assert think(spec, calm, restarted, NOW + 20).decision.desired == 0
    raised = spec.model_copy(update={"spend": Spend(per_day=20_000)})
    assert later(raised, 10) > 0
    assert later(spec, spend.midnight(NOW, "UTC") - NOW + 10) > 0


@pytest.mark.parametrize(
    ("left", "status", "reason"),
    [
        (5_000, "False", Reason.BUDGET_AVAILABLE),
        (1_001, "False", Reason.BUDGET_AVAILABLE),
        (999, "False", Reason.BUDGET_NEAR_ITS_END),
        # What the two replicas spend in two minutes.
        (4, "True", Reason.BUDGET_EXHAUSTED),
    ],
)
def test_a_condition_tells_before_it_ends_and_once_it_has(
    left: float, status: str, reason: Reason
) -> None:
    _, made = at_budget(left, per_day=10_000)

    found = money.conditions(made.decision.budget)[ConditionType.BUDGET_EXHAUSTED]
    assert found[:2] == (status, reason)


@pytest.mark.parametrize(("per_day", "begins"), [
    (150.0, 0), (2_000.0, 0), (500.0, 12), (1_000.0, 22),
])  # fmt: skip
def test_a_day_s_budget_is_used_up_and_not_passed(per_day: float, begins: int) -> None:
    """A day of ticks a minute apart, with more work than the budget pays from an hour on."""
    spec = pool(
        llm=llm(prices=FLAT, tokens_per_minute=10**9, usage=WHOLE_KEY),
        spend=Spend(per_day=per_day),
        min_replicas=0,
    )
    start = spend.midnight(NOW, "UTC")
    known = settled(1, start, cost=Learned(500_000.0, start, 600.0))
    replicas, spent, working = 1, 0.0, [1, 1, 1]
    most = 0
    for minute in range(24 * 60 - 1):
        now = start + 60 * minute
        # One who is told to go works on for a minute, and its use shows a minute later.
        shown = 500_000.0 * working[-1]
        used = KeyUsage(shown + minute, own_tokens_per_minute=shown)
        waiting = 900 if minute >= 60 * begins else 0
        acked = seen((rates(1.0 if working[-1] else 0.0),), now)
        seen_now = observe(replicas, waiting, usage=seen(used, now), rates=acked)
        _, known, decision = think(spec, seen_now, known, now)
        if decision.desired != replicas:
            known = after_scaling(known, replicas, decision.desired, now)
        working = [replicas, max(replicas, decision.desired), working[0]][:3]
        replicas = decision.desired
        most = max(most, replicas)
        spent += working[0]
    assert 0.95 * per_day <= spent <= per_day
    assert most <= 10
