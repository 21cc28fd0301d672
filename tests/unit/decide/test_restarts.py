"""Workers that a liveness probe kills are counted, and told."""

import pytest

from builders import NOW, observe, pods, pool, settled, target, think
from scanpool.decide.memory import Memory
from scanpool.decide.restarts import REMEMBERED_SECONDS
from scanpool.models.conditions import ConditionType, Reason
from scanpool.report.conditions import of_tick


def restarted(*times: float) -> Memory:
    """What is known once the one worker was seen to have been restarted at these times."""
    known = settled(1)
    for at in times:
        there = observe(1, 0, target=target(1, pods(1, restarted_at=(at,))))
        known = think(pool(), there, known, at + 1).memory
    return known


def test_each_restart_counts_once_however_often_it_is_seen() -> None:
    known = restarted(NOW, NOW, NOW + 60, NOW + 60, NOW + 120)
    assert [one.at for one in known.restarts] == [NOW, NOW + 60, NOW + 120]


def test_what_is_an_hour_old_counts_no_longer() -> None:
    known = think(pool(), observe(1, 0), restarted(NOW), NOW + REMEMBERED_SECONDS).memory
    assert known.restarts == ()


@pytest.mark.parametrize(
    ("times", "reason", "words"),
    [
        ((), Reason.RECONCILED, "is scaled"),
        ((NOW,), Reason.WORKERS_RESTARTED, "1 time and"),
        ((NOW - 60, NOW), Reason.WORKERS_RESTARTED, "2 times and started them again, last in pod"),
    ],
)
def test_the_pool_is_ready_and_says_that_its_workers_are_restarted(times, reason, words) -> None:
    found = think(pool(), observe(1, 0), restarted(*times), NOW + 10)
    state = of_tick(pool(), found.signals, found.decision, None)[ConditionType.READY]
    assert (state.status, state.reason) == ("True", reason)
    assert words in state.message
