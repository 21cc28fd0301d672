"""A clock that is set by a day: what was remembered holds for as long as it would have."""

from collections.abc import Callable, Iterator
from dataclasses import is_dataclass
from functools import cache
from typing import Any, get_args, get_type_hints

import pytest

from builders import (
    API_KEY,
    NOW,
    WHOLE_KEY,
    depth,
    llm,
    memory,
    pool,
    queue,
    rates,
    seen,
    target,
    think,
    unseen,
)
from scanpool.decide import after_scaling, checkpoint, restore
from scanpool.decide.clock import is_time
from scanpool.decide.memory import Checkpoint, Memory
from scanpool.models.observation import KeyUsage, Observation, ProviderState
from scanpool.models.spec import Behavior

DAY_SECONDS = 86_400
PER_REPLICA = 10
TOKENS = 400_000
"""What a replica uses in a minute."""
TICK_SECONDS = 10
BEFORE_TICKS = 90
AFTER_TICKS = 360
"""An hour: longer than every window, back-off and pause of growth."""


class World:
    """One pool with a provider, and what it sees."""

    def __init__(self) -> None:
        self.spec = pool(
            queue(per_replica=PER_REPLICA),
            behavior=Behavior(),
            llm=llm(api_key_secret_ref=API_KEY, tokens_per_minute=None, usage=WHOLE_KEY),
        )
        self.now, self.memory, self.replicas = NOW, memory(), 1
        self.limit, self.others, self.messages = 4_000_000, 0, 50
        self.refusal: dict[str, Any] = {}
        self.is_silent = False
        self.ticks = 0
        self.hand: int | None = None

    def go_on(self, ticks: int) -> None:
        for _ in range(ticks):
            self.now += TICK_SECONDS
            thought = think(self.spec, self._observed(), self.memory, self.now)
            desired = thought.decision.desired
            self.memory = after_scaling(thought.memory, self.replicas, desired, self.now)
            self.replicas = desired if self.hand is None else self.hand
            self.ticks += 1

    def _observed(self) -> Observation:
        own = min(self.replicas, self.messages) * TOKENS + self.ticks % 97
        told = ProviderState(
            tokens_per_minute=self.limit, requests_per_minute=10_000, **self.refusal
        )
        usage = KeyUsage(own + self.others, own_tokens_per_minute=own, rate_limited_per_minute=0.0)
        return Observation(
            target=target(self.replicas),
            queues=seen((depth(self.messages),), self.now),
            rates=seen((rates(own / TOKENS),), self.now),
            usage=seen(usage, self.now),
            provider=unseen() if self.is_silent else seen(told, self.now),
        )


def has(**changes: Any) -> Callable[[World], None]:
    def change(world: World) -> None:
        for name, value in changes.items():
            setattr(world, name, value)

    return change


STORIES = {
    "more is asked": (has(), has(messages=90)),
    "less is asked": (has(), has(messages=20)),
    "less, and more again": (has(messages=90), has(messages=10)),
    "the limit falls": (has(), has(limit=1_500_000)),
    "the limit rises": (has(limit=1_000_000), has(limit=6_000_000)),
    "others come": (has(), has(others=2_500_000)),
    "others go": (has(others=2_500_000), has(others=0)),
    "calls were refused": (has(refusal={"rate_limited": True}), has(refusal={})),
    "growth was refused": (has(refusal={"slow_down": True}), has(refusal={}, messages=90)),
    "nobody paid": (has(refusal={"billing_code": "insufficient_quota"}), has(refusal={})),
    "the provider falls silent": (has(), has(is_silent=True, messages=90)),
    "somebody sets back": (has(hand=1), has(hand=None)),
}


NO_TIMES = {
    ("Backoff", "factor"), ("Belief", "tokens"), ("Bucket", "per_replica"), ("Look", "idle"),
    ("Learned", "least"), ("Learned", "seconds"), ("Learned", "tokens"), ("Longest", "seconds"),
    ("Measured", "per_minute"), ("Measured", "seconds"), ("OthersUse", "tokens"),
    ("Probing", "least_seconds"), ("UseSample", "tokens"),
    ("Spent", "amount"), ("Spent", "ended"), ("Spent", "ends_at"), ("Spent", "per_call"),
    ("Spent", "per_minute"), ("Spent", "per_replica"),
    ("Stretch", "longest_look"), ("Stretch", "message_seconds"),
}  # fmt: skip
"""Amounts, durations, and ends of calendar days."""


def floats(kind: Any, seen: set[Any]) -> Iterator[tuple[str, str]]:
    """Yield the fields that are floats of whatever a memory is made of."""
    for part in get_args(kind):
        yield from floats(part, seen)
    if not (is_dataclass(kind) or hasattr(kind, "_fields")) or kind in seen:
        return
    seen.add(kind)
    for name, hint in get_type_hints(kind).items():
        if float in (hint, *get_args(hint)):
            yield kind.__name__, name
        yield from floats(hint, seen)


def test_whatever_a_memory_is_made_of_its_times_are_called_so() -> None:
    found = set(floats(Memory, set()))
    assert {one for one in found if not is_time(one[1])} == NO_TIMES


def nothing(_: World) -> None:
    """The process goes on."""


def restart(world: World) -> None:
    """Let a new process begin with what the status has kept."""
    kept = checkpoint(world.memory).model_dump(mode="json", by_alias=True, exclude_none=True)
    world.memory = restore(Checkpoint.model_validate(kept), world.now)


@cache
def told(story: str, shift: int, process: Callable[[World], None]) -> int:
    """Return the replicas an hour after the clock was set by so much."""
    before, after = STORIES[story]
    world = World()
    before(world)
    world.go_on(BEFORE_TICKS)
    world.now += shift
    process(world)
    after(world)
    world.go_on(AFTER_TICKS)
    return world.replicas


@pytest.mark.parametrize("shift", [-DAY_SECONDS, DAY_SECONDS])
@pytest.mark.parametrize("process", [nothing, restart])
@pytest.mark.parametrize("story", STORIES)
def test_a_clock_that_is_set_leaves_the_pool_where_a_right_one_would(
    story: str, process: Callable[[World], None], shift: int
) -> None:
    assert told(story, shift, process) == told(story, 0, process)
