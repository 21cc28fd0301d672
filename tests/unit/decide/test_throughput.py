"""Whether more workers bring more: what is measured, and where growing further stops."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import (
    NOW,
    depth,
    llm,
    observe,
    pods,
    pool,
    rates,
    seen,
    settled,
    target,
    think,
    unseen,
)
from scanpool.decide.memory import Memory
from scanpool.decide.throughput import (
    CERTAIN_SECONDS,
    REMEMBERED_SECONDS,
    Measured,
    Throughput,
    stuck,
)
from scanpool.models.conditions import LimitedBy
from scanpool.models.observation import KeyUsage, Observation

TICK = 10
MINUTES = 60
SPEC = pool(llm=llm(tokens_per_minute=40_000_000))
"""Tokens bind nobody here."""


def busy(replicas: int, per_minute: float, at: float, waiting: int = 500) -> Observation:
    """What a tick sees of workers that are all busy, and of what they work off."""
    return observe(
        replicas,
        queues=seen((depth(ready=waiting, unacked=4 * replicas),), at),
        rates=seen((rates(per_minute / MINUTES),), at),
    )


def work(memory: Memory, replicas: int, per_minute: float, begin: float, seconds: float) -> Memory:
    """Let so many replicas work for so long."""
    at = begin
    while at <= begin + seconds:
        memory = think(SPEC, busy(replicas, per_minute, at), memory, at).memory
        at += TICK
    return memory


def after(*stretches: tuple[int, float], seconds: float = 300.0) -> tuple[Memory, float]:
    """Work a while with each number of replicas, at its messages per minute."""
    memory, now = settled(stretches[0][0]), NOW
    for replicas, per_minute in stretches:
        memory = work(memory, replicas, per_minute, now, seconds)
        now += seconds
    return memory, now


@pytest.mark.parametrize(
    ("stretches", "limited_by"),
    [
        pytest.param([(3, 373), (5, 379)], LimitedBy.WORKERS, id="as-published"),
        pytest.param([(3, 373), (5, 300)], LimitedBy.WORKERS, id="more-are-slower"),
        pytest.param([(3, 373), (5, 621)], None, id="more-bring-more"),
        pytest.param([(3, 373), (5, 450)], None, id="more-bring-a-third-of-it"),
        pytest.param([(5, 379)], None, id="nothing-to-compare-with"),
        pytest.param([(8, 379), (9, 379)], None, id="too-near-to-compare"),
        pytest.param([(5, 379), (3, 373)], None, id="fewer-again-may-have-more"),
    ],
)
def test_growth_stops_where_more_workers_bring_no_more(stretches, limited_by) -> None:
    memory, now = after(*stretches)
    replicas, per_minute = stretches[-1]

    decision = think(SPEC, busy(replicas, per_minute, now), memory, now).decision
    if limited_by is None:
        assert decision.desired > replicas
    else:
        assert (decision.desired, decision.limited_by) == (replicas, limited_by)
        (step,) = [one for one in decision.steps if one.step == "workers ceiling"]
        assert f"{replicas} busy replicas work off {per_minute}" in step.reason
        assert "3 worked off 373" in step.reason


def test_a_pool_that_has_fewer_again_may_grow_to_where_it_stopped_and_no_further() -> None:
    memory, now = after((3, 373), (5, 379), (3, 373))
    assert think(SPEC, busy(3, 373, now), memory, now).decision.desired == 5


def test_what_runs_beyond_it_is_left_alone() -> None:
    memory, now = after((3, 373), (5, 379))
    assert think(SPEC, busy(8, 379, now), memory, now).decision.desired == 8


def test_after_an_hour_more_are_tried_again() -> None:
    memory, now = after((3, 373), (5, 379))
    later = now + REMEMBERED_SECONDS
    memory = work(memory, 5, 379, later - 60, 60)
    assert think(SPEC, busy(5, 379, later), memory, later).decision.desired > 5


SOME_STARTING = target(5, (*pods(4), *pods(1, ready=False, ready_at=None)))


@pytest.mark.parametrize(
    ("change", "learned"),
    [
        pytest.param({}, [3, 5], id="all-are-busy"),
        pytest.param({"queues": seen((depth(ready=4, unacked=20),))}, [3], id="some-are-idle"),
        pytest.param({"target": SOME_STARTING}, [3], id="one-is-starting"),
        pytest.param({"rates": unseen()}, [3], id="no-rates"),
        pytest.param({"rates": seen(())}, [3], id="no-rate-of-the-queue"),
        pytest.param({"queues": unseen()}, [3], id="no-depth"),
    ],
)
def test_only_busy_workers_teach(change: dict[str, Any], learned: list[int]) -> None:
    memory, now = after((3, 373))
    for at in range(int(now), int(now) + 300, TICK):
        teacher = replace(busy(5, 379, at), **change)
        memory = think(SPEC, teacher, memory, float(at)).memory
    assert [one.replicas for one in memory.throughput.measured] == learned


@pytest.mark.parametrize(("refused", "learned"), [(0.0, [3, 5]), (5.0, [3])])
def test_calls_that_are_refused_are_the_providers_matter(
    refused: float, learned: list[int]
) -> None:
    memory, now = after((3, 373))
    for at in range(int(now), int(now) + 300, TICK):
        usage = seen(KeyUsage(1_000_000, 500, rate_limited_per_minute=refused), at)
        memory = think(SPEC, replace(busy(5, 379, at), usage=usage), memory, float(at)).memory
    assert [one.replicas for one in memory.throughput.measured] == learned


def measured(replicas: int, per_minute: float) -> Measured:
    return Measured(replicas, per_minute, CERTAIN_SECONDS, NOW)


@given(
    st.dictionaries(st.integers(1, 40), st.floats(1, 10_000), max_size=8),
    st.floats(0.26, 2.0),
)
def test_workers_that_each_bring_a_quarter_of_their_due_are_never_stuck(
    numbers: dict[int, float], due: float
) -> None:
    """However much one does: messages that grow with the replicas hold nobody."""
    one = max(numbers.values(), default=1.0)
    known = Throughput(tuple(measured(n, one * (1 + due * (n - 1))) for n in numbers))
    if due >= 1:
        assert stuck(known, NOW) is None
    found = stuck(Throughput(tuple(measured(n, one) for n in numbers)), NOW)
    far_apart = any(more >= 1.3 * fewer for more in numbers for fewer in numbers if more > fewer)
    assert (found is not None) == far_apart


@given(st.floats(0, CERTAIN_SECONDS - 1))
def test_a_glance_is_not_enough(seconds: float) -> None:
    glance = Measured(5, 379, seconds, NOW)
    assert stuck(Throughput((measured(3, 373), glance)), NOW) is None
