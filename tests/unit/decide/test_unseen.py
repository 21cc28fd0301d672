"""A queue that is missing, or may hold more than it shows, forbids shrinking and not growth."""

from dataclasses import replace

import pytest

from builders import decided, depth, observe, pool, queue, seen, settled, think, unseen
from scanpool.models.conditions import ConditionType, LimitedBy, Reason
from scanpool.models.observation import Observation
from scanpool.report.conditions import of_tick

GONE = "scan.gone"
SPEC = pool(queue(), queue(GONE), max_replicas=10)
GAP = unseen(Reason.QUEUE_NOT_FOUND)


def partly(current: int, messages: int) -> Observation:
    """Observe a pool of whose two queues one is missing."""
    return observe(current, queues=seen((depth(messages),)), queue_gaps=(GAP,))


@pytest.mark.parametrize(
    ("current", "messages", "desired"),
    [
        pytest.param(5, 0, 5, id="an-empty-other-queue-takes-nothing-away"),
        pytest.param(5, 20, 5, id="nor-one-that-asks-for-less"),
        pytest.param(2, 60, 6, id="one-that-asks-for-more-gets-it"),
        pytest.param(0, 10, 1, id="from-zero-too"),
        pytest.param(12, 0, 10, id="the-bounds-hold"),
    ],
)
def test_what_the_other_queues_ask_for_counts_upwards(
    current: int, messages: int, desired: int
) -> None:
    assert decided(SPEC, partly(current, messages)).desired == desired


def test_a_depth_that_may_be_too_low_counts_upwards_too() -> None:
    recovering = (unseen(Reason.BROKER_RECOVERING),)
    both = seen((depth(0), depth(30, name=GONE)))
    for current, desired in ((1, 3), (5, 5)):
        observation = observe(current, queues=both, queue_gaps=recovering)
        assert decided(SPEC, observation).desired == desired


def test_the_step_says_which_queue_keeps_the_replicas() -> None:
    decision = decided(SPEC, partly(5, 0))
    assert decision.limited_by is LimitedBy.NONE
    (step,) = [step for step in decision.steps if step.step == "hold"]
    assert (step.before, step.after) == (0, 5)
    assert GAP.message in step.reason


def test_ready_tells_the_gap_while_scaling_stays_active() -> None:
    signals, _, decision = think(SPEC, partly(2, 60), settled(2))
    found = of_tick(SPEC, signals, decision, None)
    for kind in (ConditionType.READY, ConditionType.METRICS_AVAILABLE):
        assert (found[kind].status, found[kind].reason) == ("False", Reason.QUEUE_NOT_FOUND)
    assert found[ConditionType.SCALING_ACTIVE].status == "True"


def test_a_depth_that_is_missing_without_a_word_is_an_error_and_not_an_empty_queue() -> None:
    with pytest.raises(KeyError, match=GONE):
        decided(SPEC, observe(5, queues=seen((depth(0),))))


def test_what_needs_a_person_names_the_reason_before_what_passes() -> None:
    passing = unseen(Reason.STATISTICS_NOT_FOUND)
    broken = unseen(Reason.PROMETHEUS_UNREACHABLE)
    signals, _, decision = think(SPEC, partly(2, 60), settled(2))
    both = replace(signals, gaps=(passing, broken), unseen=())
    found = of_tick(SPEC, both, decision, None)
    assert found[ConditionType.READY].reason is broken.reason
    assert found[ConditionType.SCALING_ACTIVE].reason is broken.reason
    alone = of_tick(SPEC, replace(signals, gaps=(passing,), unseen=()), decision, None)
    assert alone[ConditionType.READY].reason is passing.reason
