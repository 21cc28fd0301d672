"""Workers that are killed among their tasks when replicas are taken away, told before if possible.

What is killed comes back, is done again, and pays its tokens again. In order:

what was seen                              | the reason
workers killed at the end of their grace   | SIGTERM does not arrive, where a shell is in front of
                                           | them, or messages are held for less than half of the
                                           | grace, and no other ended in time; else too short
messages held for longer than the grace    | the grace is too short
a shell in front, and no pod ended in time | SIGTERM does not arrive
"""

from math import floor, log10
from typing import NamedTuple

from scanpool.decide.held import Longest
from scanpool.decide.signals import Stopped
from scanpool.models.conditions import Reason

# Whoever is killed, and had its messages for less than this share of the grace, had time enough.
SHORT_SHARE = 0.5

DONE_AGAIN = "what workers have in hand is done again, and pays its tokens again"
LENGTHEN = "set terminationGracePeriodSeconds above the longest task with its retries"
HAND_ON = (
    "begin the command that starts the worker with exec, or give the container a preStop that "
    "stops the worker"
)


class Risk(NamedTuple):
    """Why tasks may be cut off, and what to do, in words that stay while it is so."""

    reason: Reason
    words: str


def risk(stopped: Stopped, longest: Longest | None) -> Risk | None:
    """Return what kills workers among their tasks; None if nothing is known to.

    `longest` is how long messages were seen to be held; None if that is not known.
    """
    how = stopped.how
    if stopped.killed:
        return _killed(stopped, longest)
    if longest is not None and longest.seconds > how.left_seconds:
        return Risk(Reason.GRACE_TOO_SHORT, _too_short(stopped, longest))
    if how.shell is not None and not stopped.in_time:
        return Risk(
            Reason.SIGNAL_NOT_PASSED_ON,
            f"container {how.container} starts its worker by {how.shell} -c, and {how.shell} "
            "hands no SIGTERM on: unless it gives way to the worker by itself, each stop is a kill "
            f"after {how.grace_seconds:g} s, and {DONE_AGAIN}; {HAND_ON}",
        )
    return None


def _killed(stopped: Stopped, longest: Longest | None) -> Risk:
    how, number = stopped.how, len(stopped.killed)
    were = "1 worker was" if number == 1 else f"{number} workers were"
    told = (
        f"within an hour {were} killed as the {how.grace_seconds:g} s of "
        f"terminationGracePeriodSeconds ended, last pod {stopped.killed[-1]}"
    )
    is_short = longest is not None and longest.seconds < SHORT_SHARE * how.left_seconds
    if stopped.in_time or not (how.shell or is_short):
        hint = "" if stopped.in_time else ", and see that SIGTERM reaches the worker"
        return Risk(Reason.GRACE_TOO_SHORT, f"{told}: {DONE_AGAIN}; {LENGTHEN}{hint}")
    why = (
        f"though no message is held for nearly as long: {DONE_AGAIN}"
        if how.shell is None
        else f"and {how.shell}, which starts the worker, hands no SIGTERM on: {DONE_AGAIN}"
    )
    return Risk(Reason.SIGNAL_NOT_PASSED_ON, f"{told}, {why}; {HAND_ON}")


def _too_short(stopped: Stopped, longest: Longest) -> str:
    how = stopped.how
    slept = f", of which its preStop sleeps {how.slept_seconds:g} s" if how.slept_seconds else ""
    return (
        f"workers hold messages of queue {longest.queue} for {_rounded(longest.seconds):,} s on "
        "average, or longer, by the broker's unacknowledged messages and deliveries, and "
        f"terminationGracePeriodSeconds is {how.grace_seconds:g}{slept}: at each stop "
        f"{DONE_AGAIN}; {LENGTHEN}, or where messages wait in the workers, have them hold fewer "
        "(worker_prefetch_multiplier)"
    )


def _rounded(seconds: float) -> int:
    """Return seconds to one digit, rounded down, so that the words stay while it is so."""
    if seconds < 1:
        return 0
    step = 10 ** floor(log10(seconds))
    return int(seconds // step * step)
