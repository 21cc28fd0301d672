"""What the queues ask for."""

import pytest

from builders import ANSWER, VISION, depth, observe, pool, queue, seen, target
from scanpool.decide.assess.queues import backlog, demand, within_tolerance
from scanpool.decide.signals import Demand
from scanpool.models.spec import Behavior, ScalingRules


@pytest.mark.parametrize(
    ("ready", "unacked", "per_replica", "replicas"),
    [
        (0, 0, 10, 0),
        (1, 0, 10, 1),
        (10, 0, 10, 1),
        (11, 0, 10, 2),
        (0, 61, 10, 7),  # what KEDA took for an idle queue: all of it was in flight
        (40, 61, 10, 11),
        (40, None, 10, 4),  # AMQP does not show unacked messages
        (795, 0, 1, 795),
    ],
)
def test_a_queue_asks_for_ready_and_unacked_over_messages_per_replica_rounded_up(
    ready: int, unacked: int | None, per_replica: int, replicas: int
) -> None:
    wanted = demand([queue(per_replica=per_replica)], {VISION: depth(ready, unacked)})

    assert wanted == Demand(replicas, VISION, ready + (unacked or 0), per_replica)


@pytest.mark.parametrize(
    ("ready", "unacked", "replicas"),
    [
        (0, 600, 0),  # a thousand countdown tasks in the workers' memory are no load
        (11, 600, 2),
        (11, None, 2),
    ],
)
def test_unacked_messages_can_be_left_out_of_what_a_queue_asks_for(
    ready: int, unacked: int | None, replicas: int
) -> None:
    chosen = queue(per_replica=10).model_copy(update={"exclude_unacknowledged": True})

    assert demand([chosen], {VISION: depth(ready, unacked)}).replicas == replicas


def test_what_is_left_out_of_one_queue_still_counts_of_another_and_is_shown() -> None:
    left_out = queue(VISION).model_copy(update={"exclude_unacknowledged": True})
    spec = pool(left_out, queue(ANSWER))
    seen_now = observe(
        queues=seen((depth(0, 90), depth(0, 40, name=ANSWER))), target=target(replicas=1)
    )
    found = backlog(spec, seen_now, 1)

    assert found is not None
    assert (found.messages, found.ready, found.demand.replicas) == (40, 0, 4)
    assert [(one.unacked, one.counted) for one in found.queues] == [(90, 0), (40, 40)]
    assert [one.tokens_waiting for one in found.queues] == [0, 40 * 3_000]


@pytest.mark.parametrize(("is_left_out", "is_active"), [(True, False), (False, True)])
def test_a_pool_at_zero_does_not_start_for_messages_that_are_left_out(
    is_left_out: bool, is_active: bool
) -> None:
    spec = pool(queue().model_copy(update={"exclude_unacknowledged": is_left_out}))
    found = backlog(spec, observe(replicas=0, messages=5), 0)

    assert found is not None
    assert found.is_active == is_active


def test_the_queue_that_asks_for_the_most_counts_and_queues_are_not_added_up() -> None:
    queues = [queue(VISION, per_replica=10), queue(ANSWER, per_replica=20)]
    depths = {VISION: depth(50), ANSWER: depth(120, name=ANSWER)}

    assert demand(queues, depths) == Demand(6, ANSWER, 120, 20)


def test_of_queues_that_ask_for_the_same_the_more_loaded_one_counts() -> None:
    queues = [queue(VISION, per_replica=10), queue(ANSWER, per_replica=10)]
    depths = {VISION: depth(41), ANSWER: depth(49, name=ANSWER)}

    assert demand(queues, depths).queue == ANSWER


def test_a_queue_without_a_depth_is_an_error_rather_than_an_empty_queue() -> None:
    with pytest.raises(KeyError):
        demand([queue(VISION), queue(ANSWER)], {VISION: depth(50)})


@pytest.mark.parametrize(
    ("messages", "per_replica", "current", "is_near"),
    [
        (100, 10, 10, True),
        (109, 10, 10, True),
        (110, 10, 10, True),  # 10% is within a tolerance of 10%
        (11, 10, 1, True),
        (111, 10, 10, False),
        (91, 10, 10, True),
        (90, 10, 10, True),
        (89, 10, 10, False),
        (9, 10, 1, True),
        (0, 10, 1, False),
        (1, 10, 0, False),  # nothing to compare with
        (0, 10, 0, False),
    ],
)
def test_ten_percent_of_the_target_is_near_enough(
    messages: int, per_replica: int, current: int, is_near: bool
) -> None:
    wanted = Demand(0, VISION, messages, per_replica)

    assert within_tolerance(wanted, current, Behavior()) is is_near


@pytest.mark.parametrize(
    ("messages", "is_near"), [(101, False), (100, True), (99, True), (50, True), (49, False)]
)
def test_each_direction_has_its_own_tolerance(messages: int, is_near: bool) -> None:
    rules = Behavior(scale_up=ScalingRules(tolerance=0.0), scale_down=ScalingRules(tolerance=0.5))

    assert within_tolerance(Demand(0, VISION, messages, 10), 10, rules) is is_near
