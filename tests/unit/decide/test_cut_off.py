"""Workers that would be, or were, killed among their tasks."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import NOW, TEMPLATE, VISION, target
from scanpool.decide.assess.stopping import REMEMBERED_SECONDS, stopped
from scanpool.decide.cut_off import risk
from scanpool.decide.held import Longest
from scanpool.decide.signals import Stopped
from scanpool.models.conditions import Reason
from scanpool.models.stopping import Ended, Stopping

PLAIN = Stopping(30, 0, "worker", None)
BY_SHELL = Stopping(30, 0, "worker", "sh")
SLEEPS = Stopping(60, 40, "worker", None)
TOO_SHORT, NOT_PASSED_ON = Reason.GRACE_TOO_SHORT, Reason.SIGNAL_NOT_PASSED_ON


def held(seconds: float | None) -> Longest | None:
    return None if seconds is None else Longest(VISION, seconds, NOW)


@pytest.mark.parametrize(
    ("how", "killed", "in_time", "seconds", "expected"),
    [
        # Nothing was seen yet.
        (PLAIN, 0, 0, None, None),
        (PLAIN, 0, 0, 29, None),
        (PLAIN, 0, 0, 30, None),
        (PLAIN, 0, 0, 31, TOO_SHORT),
        (PLAIN, 0, 3, 31, TOO_SHORT),
        (replace(PLAIN, grace_seconds=120), 0, 0, 90, None),
        # The preStop's sleep is of the grace.
        (SLEEPS, 0, 0, 19, None),
        (SLEEPS, 0, 0, 21, TOO_SHORT),
        # A shell that may stay in front, until a pod was seen to end in time.
        (BY_SHELL, 0, 0, None, NOT_PASSED_ON),
        (BY_SHELL, 0, 0, 5, NOT_PASSED_ON),
        (BY_SHELL, 0, 1, 5, None),
        (BY_SHELL, 0, 0, 31, TOO_SHORT),
        # Killed for want of time, as far as anybody can tell.
        (PLAIN, 1, 0, None, TOO_SHORT),
        (PLAIN, 2, 0, 25, TOO_SHORT),
        (PLAIN, 2, 1, 5, TOO_SHORT),
        (BY_SHELL, 2, 1, 5, TOO_SHORT),
        # Killed, though it had time enough: it did not hear that it should go.
        (PLAIN, 1, 0, 14, NOT_PASSED_ON),
        (BY_SHELL, 1, 0, None, NOT_PASSED_ON),
        (BY_SHELL, 1, 0, 25, NOT_PASSED_ON),
    ],
)
def test_why_tasks_are_cut_off(
    how: Stopping, killed: int, in_time: int, seconds: float | None, expected: Reason | None
) -> None:
    pods = tuple(f"worker-{one}" for one in range(killed))
    found = risk(Stopped(how, pods, in_time), held(seconds))

    assert (found and found.reason) == expected


@pytest.mark.parametrize(
    ("case", "seconds", "words"),
    [
        (
            Stopped(PLAIN),
            47,
            ["queue scan.vision for 40 s", "terminationGracePeriodSeconds is 30:"],
        ),
        (Stopped(PLAIN), 1_299, ["for 1,000 s"]),
        (Stopped(SLEEPS), 25, ["is 60, of which its preStop sleeps 40 s"]),
        (Stopped(BY_SHELL), None, ["container worker", "by sh -c", "exec", "preStop"]),
        (Stopped(PLAIN, ("a",)), None, ["1 worker was killed", "last pod a", "SIGTERM reaches"]),
        (Stopped(PLAIN, ("a", "b")), 5, ["2 workers were killed", "last pod b", "held for nearly"]),
        (Stopped(BY_SHELL, ("a",)), 5, ["sh, which starts the worker", "exec"]),
    ],
)
def test_the_words_name_what_was_seen_and_what_to_do(
    case: Stopped, seconds: float | None, words: list[str]
) -> None:
    found = risk(case, held(seconds))

    assert found is not None
    for one in words:
        assert one in found.words


@given(st.floats(31, 1e5), st.floats(0, 0.04))
def test_the_words_stay_while_an_average_moves_a_little(seconds: float, more: float) -> None:
    told = {risk(Stopped(PLAIN), held(one)) for one in (seconds, seconds * (1 + more))}
    assert len(told) <= 2
    assert all(one is not None and one.reason is TOO_SHORT for one in told)


def test_only_pods_of_the_present_template_and_of_the_last_hour_count() -> None:
    old, other = NOW - REMEMBERED_SECONDS, replace(PLAIN, grace_seconds=5)
    ended = (
        Ended("first", NOW - 60, True, PLAIN),
        Ended("last", NOW - 30, True, PLAIN),
        Ended("well", NOW - 20, False, PLAIN),
        Ended("old", old, True, PLAIN),
        Ended("other", NOW - 10, True, other),
    )
    there = replace(target(template=replace(TEMPLATE, stopping=PLAIN)), ended=ended)

    assert stopped(there, NOW) == Stopped(PLAIN, ("first", "last"), 1)
    # What has no pod template tells nothing.
    assert stopped(replace(there, template=TEMPLATE), NOW) is None
