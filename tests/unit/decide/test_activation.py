"""From zero and back, as KEDA's activation and cooldown are."""

from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import NOW, blinded, depth, follow, observe, pool, queue, seen, settled, think
from scanpool.decide import Memory
from scanpool.decide.decision import Decision
from scanpool.models.conditions import LimitedBy
from scanpool.models.spec import Behavior, PoolSpec, ScalingRules

AT_ONCE = Behavior(scale_down=ScalingRules(stabilization_window_seconds=0))
STEP_SECONDS = 10


def to_zero(activation: int = 0, cooldown: int | None = None, **changes: object) -> PoolSpec:
    """Build a pool that may go to zero, and shrinks without a window."""
    one = queue().model_copy(update={"activation_messages": activation})
    usual = {"min_replicas": 0, "cooldown_seconds": cooldown, "behavior": AT_ONCE}
    return pool(one, **{**usual, **changes})


class Play(NamedTuple):
    """Replicas after each tick, and the last decision."""

    replicas: list[int]
    last: Decision


def play(spec: PoolSpec, replicas: int, *messages: int | None) -> Play:
    """Tick on, 10 s apart, with these messages each time; None: the queue cannot be read."""
    memory, shown, decision = settled(replicas), [], None
    for number, waiting in enumerate(messages):
        observation = follow(observe(replicas, waiting), replicas)
        _, memory, decision = think(spec, observation, memory, NOW + number * STEP_SECONDS)
        replicas = decision.desired
        shown.append(replicas)
    assert decision is not None
    return Play(shown, decision)


@pytest.mark.parametrize(
    ("activation", "messages", "replicas"),
    [(0, 0, 0), (0, 1, 1), (5, 5, 0), (5, 6, 1), (5, 60, 4), (100, 60, 0)],
)
def test_a_pool_at_zero_starts_above_the_activation(
    activation: int, messages: int, replicas: int
) -> None:
    played = play(to_zero(activation), 0, messages)
    assert played.replicas == [replicas]
    if messages > 0 and replicas == 0:
        assert played.last.limited_by is LimitedBy.ACTIVATION


def test_any_queue_starts_it() -> None:
    quiet = queue().model_copy(update={"activation_messages": 50})
    spec = pool(quiet, queue("scan.answer"), min_replicas=0)
    both = seen((depth(20), depth(1, name="scan.answer")))
    assert think(spec, observe(0, queues=both), settled(0)).decision.desired == 2


def test_activation_counts_at_zero_only() -> None:
    assert play(to_zero(50), 1, 30).replicas == [3]
    assert play(to_zero(50, min_replicas=1), 0, 0).replicas == [1]


@pytest.mark.parametrize(
    ("cooldown", "messages", "replicas"),
    [
        (None, [20, 0], [2, 0]),
        (0, [20, 0], [2, 0]),
        (20, [20, 0, 0, 0], [2, 1, 0, 0]),
        (20, [20, 0, 5, 0, 0], [2, 1, 1, 1, 0]),  # began anew
        (20, [20, None, 0, 0], [2, 2, 1, 0]),  # what cannot be read may be there
    ],
)
def test_it_stays_for_the_cooldown(
    cooldown: int | None, messages: list[int | None], replicas: list[int]
) -> None:
    assert play(to_zero(cooldown=cooldown), 2, *messages).replicas == replicas


def test_after_the_cooldown_it_goes_whatever_waits_below_the_activation() -> None:
    """As KEDA does, which takes all replicas away then."""
    spec = to_zero(30, 20, behavior=Behavior())
    assert play(spec, 3, 40, 25, 25, 25).replicas == [4, 4, 0, 0]


def test_the_window_of_scaling_down_does_not_hold_back_the_end_of_the_cooldown() -> None:
    played = play(to_zero(0, 20, behavior=Behavior()), 3, 30, 0, 0)
    assert played.replicas == [3, 3, 0]
    assert "cooldown of 20 s" in played.last.reason


def test_a_pool_that_keeps_replicas_has_no_cooldown() -> None:
    assert play(to_zero(0, 20, min_replicas=1), 3, 0, 0, 0).replicas == [1, 1, 1]


def test_the_first_look_of_a_process_begins_a_cooldown() -> None:
    spec, memory, replicas = to_zero(cooldown=20), Memory(), [3]
    observation = observe(3, 0)
    for number in range(4):
        observation = follow(observation, replicas[-1])
        _, memory, made = think(spec, observation, memory, NOW + number * STEP_SECONDS)
        replicas.append(made.desired)
    assert replicas == [3, 3, 1, 0, 0]


def test_a_pool_whose_queue_cannot_be_read_goes_nowhere() -> None:
    spec = to_zero(cooldown=10)
    memory = settled(2)
    for number in range(5):
        looked = blinded(observe(2, 0), "queues")
        _, memory, made = think(spec, looked, memory, NOW + number * STEP_SECONDS)
        assert made.desired == 2


@given(
    activation=st.integers(0, 30),
    cooldown=st.none() | st.integers(0, 60),
    current=st.integers(0, 10),
    messages=st.lists(st.integers(0, 60), min_size=1, max_size=12),
)
def test_what_is_active_is_never_taken_to_zero(
    activation: int, cooldown: int | None, current: int, messages: list[int]
) -> None:
    replicas = play(to_zero(activation, cooldown), current, *messages).replicas
    for one, waiting in zip(replicas, messages, strict=True):
        assert one > 0 or waiting <= activation
