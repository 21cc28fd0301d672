"""How long messages are held is never told to be longer than it is."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import ANSWER, NOW, VISION, depth, observe, pool, queue, seen, settled, signals, think
from scanpool.decide.held import (
    COUNTED_WITHIN_SECONDS,
    LEAST_MESSAGES,
    LEAST_SECONDS,
    REMEMBERED_SECONDS,
    STRETCH_SECONDS,
    Held,
    step,
)
from scanpool.decide.signals import Holding
from scanpool.models.observation import QueuePace

TICK = 10.0


def watch(
    known: Held, unacked: int, per_second: float, seconds: float, begin: float = NOW, **changes: Any
) -> Held:
    """Look at a queue for so long, of which messages are handed out at a steady pace."""
    every, first = changes.get("every", TICK), changes.get("first", 0)
    at = begin
    while at <= begin + seconds:
        delivered = first + int((at - begin) * per_second)
        held = Holding(changes.get("queue", VISION), unacked, delivered, at)
        known = step(known, signals(now=at, holding=(held,)))
        at += every
    return known


@pytest.mark.parametrize(
    ("unacked", "per_second", "seconds", "least", "most"),
    [
        # Nine at a time, one each five seconds: 45 s.
        (9, 0.2, STRETCH_SECONDS, 25.0, 45.0),
        (100, 2.5, STRETCH_SECONDS, 22.0, 40.0),
        (300, 0.5, LEAST_SECONDS, 100.0, 600.0),
        # Long tasks take an hour to make an average.
        (3, 0.0025, 3_000, 400.0, 1_200.0),
        # Idle, or as quick as the looks.
        (0, 1.0, STRETCH_SECONDS, 0.0, 0.0),
        (1, 1.0, STRETCH_SECONDS, 0.0, 0.0),
    ],
)
def test_a_steady_pace_tells_how_long_messages_are_held(
    unacked: int, per_second: float, seconds: float, least: float, most: float
) -> None:
    found = watch(Held(), unacked, per_second, seconds).longest

    assert found is not None
    assert found.queue == VISION
    assert least <= found.seconds <= most


@pytest.mark.parametrize(
    ("unacked", "per_second", "seconds"),
    [(9, 0.2, LEAST_SECONDS - TICK), (LEAST_MESSAGES - 1, 0.0, 3_000), (0, 0.0, 3_000)],
)
def test_too_little_makes_no_average(unacked: int, per_second: float, seconds: float) -> None:
    assert watch(Held(), unacked, per_second, seconds).longest is None


def test_the_longest_of_all_queues_counts_for_an_hour() -> None:
    known = watch(Held(), 9, 0.2, 600)
    slow = known.longest
    known = watch(known, 3, 3.0, 600, NOW + 700, queue=ANSWER)
    assert known.longest == slow
    assert slow is not None

    later = step(known, signals(now=slow.at + REMEMBERED_SECONDS, holding=()))
    assert later.longest is None


def test_a_count_that_falls_and_a_long_silence_begin_anew() -> None:
    known = watch(Held(), 9, 0.2, LEAST_SECONDS - TICK, first=10_000)
    restarted = watch(known, 9, 0.2, LEAST_SECONDS - TICK, NOW + LEAST_SECONDS)
    assert restarted.longest is None

    silent = watch(known, 9, 0.2, 100.0, NOW + LEAST_SECONDS + STRETCH_SECONDS, first=10_100)
    assert silent.longest is None


def test_a_clock_that_is_set_back_begins_anew() -> None:
    known = watch(Held(), 9, 0.2, 600, NOW + 3_600)
    assert watch(known, 9, 0.2, 60).longest is None


messages = st.lists(
    st.tuples(st.floats(0, 900), st.floats(0.1, 400)), min_size=LEAST_MESSAGES, max_size=60
)


@given(messages, st.floats(1, 60), st.floats(0, COUNTED_WITHIN_SECONDS))
def test_it_is_never_longer_than_messages_were_held(
    held: list[tuple[float, float]], every: float, lag: float
) -> None:
    """Whatever came when: the average by the looks is at most that of the messages themselves."""
    known, at = Held(), 0.0
    while at <= 900:
        unacked = sum(came <= at < came + long for came, long in held)
        delivered = sum(came <= at for came, _ in held)
        known = step(
            known, signals(now=at, holding=(Holding(VISION, unacked, delivered, at - lag),))
        )
        stretch = known.stretches[VISION]
        seen_now = [
            min(came + long, at) - max(came, stretch.begun_at)
            for came, long in held
            if came <= at and came + long > stretch.begun_at
        ]
        if known.longest is not None and known.longest.at == at:
            assert known.longest.seconds <= sum(seen_now) / len(seen_now) + 1e-6
        at += every


def test_a_pool_learns_it_of_queues_whose_messages_count() -> None:
    known = settled(1)
    spec = pool(queue(), queue(ANSWER).model_copy(update={"exclude_unacknowledged": True}))
    for tick in range(30):
        at = NOW + tick * TICK
        paces = (QueuePace(VISION, delivered=tick * 2), QueuePace(ANSWER, delivered=tick))
        depths = (depth(0, 9), depth(0, 50, ANSWER))
        observation = observe(1, queues=seen(depths, at), paces=seen(paces, at))
        made = think(spec, observation, known, at)
        known = made.memory
    assert made.decision.held is not None
    assert made.decision.held.queue == VISION
    assert made.signals.holding == (Holding(VISION, 9, 58, at),)


@pytest.mark.parametrize(
    ("unacked", "delivered"),
    [
        # AMQP shows none; a broker without statistics counts none.
        (None, 5),
        (9, None),
    ],
)
def test_what_is_not_told_is_not_learned(unacked: int | None, delivered: int | None) -> None:
    paces = seen((QueuePace(VISION, delivered=delivered),))
    observation = observe(1, queues=seen((depth(0, unacked),)), paces=paces)

    assert think(pool(), observation, settled(1)).signals.holding == ()
