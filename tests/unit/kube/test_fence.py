"""What the fence lets through: by its deadline, in the thread that writes."""

import threading
from concurrent.futures import ThreadPoolExecutor
from math import inf

import pytest

from scanpool.kube.fence import Fence


class Clock:
    now = 50.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def passes(fence: Fence) -> float:
    with fence.passage() as left:
        return left


def test_without_an_election_it_is_always_open(clock: Clock) -> None:
    fence = Fence(clock)

    assert fence.is_open
    assert passes(fence) == inf


@pytest.mark.parametrize(
    ("now", "left"),
    [(50.0, 15.0), (59.5, 5.5), (60.0, 0.0), (64.9, 0.0), (1e9, 0.0)],
)
def test_a_write_begins_in_time_and_has_to_end_in_time(
    clock: Clock, now: float, left: float
) -> None:
    fence = Fence(clock, -inf, -inf)
    fence.open_until(60.0, 65.0)
    clock.now = now

    assert passes(fence) == left
    assert fence.is_open is bool(left)
    assert not fence.is_shut


def test_what_is_shut_stays_so_until_it_is_opened(clock: Clock) -> None:
    fence = Fence(clock)
    fence.shut()

    assert (fence.is_open, fence.is_shut, passes(fence)) == (False, True, 0.0)

    fence.open_until(60.0, 65.0)
    assert (fence.is_open, fence.is_shut) == (True, False)


def test_it_knows_which_writes_are_under_way(clock: Clock) -> None:
    fence, begun, end = Fence(clock), threading.Event(), threading.Event()

    def write() -> None:
        with fence.passage():
            begun.set()
            end.wait(30)

    with ThreadPoolExecutor(1) as executor:
        written = executor.submit(write)
        assert begun.wait(30)
        fence.shut()
        assert not fence.wait_until_idle(0.01)
        # A write that is refused is none that is under way.
        assert passes(fence) == 0.0
        end.set()
        assert fence.wait_until_idle(30)
        written.result()
