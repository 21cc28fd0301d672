"""Several queues that a pattern means, as one."""

from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanpool.models.broker import Operation, Pattern
from scanpool.models.conditions import Reason
from scanpool.models.observation import QueueDepth, QueueRates
from scanpool.models.reading import Unavailable
from scanpool.observe import patterns
from scanpool.observe.queue_belief import Seen

SUM, MAX, AVG = (Pattern("^scan", operation) for operation in Operation)
DOWN = Unavailable(Reason.QUEUE_DOWN, "down")
UNSUITABLE = Unavailable(Reason.QUEUE_UNSUITABLE, "a stream")
NEW = Unavailable(Reason.STATISTICS_NOT_FOUND, "new")
RECOVERING = Unavailable(Reason.BROKER_RECOVERING, "wait")
COUNTS = st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 10**6)), min_size=1, max_size=20)


def known(ready: int, unacked: int, doubt: Unavailable | None = None) -> Seen:
    return Seen(QueueDepth("any", ready, unacked), doubt)


@pytest.mark.parametrize(
    ("pattern", "ready", "messages"),
    # The most that is ready, and the most of all, may be in different queues.
    [(SUM, 23, 62), (MAX, 20, 42), (AVG, 8, 21)],
)
def test_ready_and_all_messages_are_joined_by_the_operation(
    pattern: Pattern, ready: int, messages: int
) -> None:
    joined, doubt = patterns.depth(pattern, [known(20, 0), known(3, 39), known(0, 0)])

    assert joined is not None
    assert (joined.name, joined.ready, joined.messages) == ("^scan", ready, messages)
    assert doubt is None


@pytest.mark.parametrize(
    ("seen", "messages", "reason"),
    [
        ([known(3, 1), Seen(None, DOWN)], 4, Reason.QUEUE_DOWN),
        ([known(3, 1), known(0, 0, DOWN)], 4, Reason.QUEUE_DOWN),
        ([Seen(None, DOWN)], None, Reason.QUEUE_DOWN),
        # Replies and logs beside the work are nothing that the pattern means.
        ([known(3, 1), Seen(None, UNSUITABLE)], 4, None),
        ([Seen(None, UNSUITABLE)], None, Reason.QUEUE_NOT_FOUND),
        ([], None, Reason.QUEUE_NOT_FOUND),
    ],
)
def test_a_doubt_about_one_is_a_doubt_about_all_and_none_is_not_an_empty_one(
    seen: list[Seen], messages: int | None, reason: Reason | None
) -> None:
    joined, doubt = patterns.depth(SUM, seen)

    assert (joined and joined.messages) == messages
    assert (doubt and doubt.reason) is reason


@given(COUNTS, st.integers(1, 10**4))
def test_an_average_asks_for_as_many_replicas_as_if_it_were_not_rounded(
    counts: list[tuple[int, int]], per_replica: int
) -> None:
    joined, _ = patterns.depth(AVG, [known(*one) for one in counts])

    assert joined is not None
    total = sum(ready + unacked for ready, unacked in counts)
    assert ceil(joined.messages / per_replica) == -(-total // (len(counts) * per_replica))


@given(COUNTS)
def test_the_sum_is_no_less_than_the_largest_and_that_no_less_than_the_average(
    counts: list[tuple[int, int]],
) -> None:
    made = [patterns.depth(one, [known(*each) for each in counts])[0] for one in (SUM, MAX, AVG)]

    for figures in ([one.ready for one in made if one], [one.messages for one in made if one]):
        assert len(figures) == len(made)
        assert figures == sorted(figures, reverse=True)


@pytest.mark.parametrize("pattern", [SUM, MAX, AVG])
def test_all_that_is_worked_off_is_the_pools_own_use_whatever_the_operation(
    pattern: Pattern,
) -> None:
    found = {"a": QueueRates("a", 2.0), "b": QueueRates("b", 1.5), "c": NEW}

    assert patterns.rates(pattern, found) == QueueRates("^scan", 3.5)


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        ({"a": QueueRates("a", 2.0), "b": RECOVERING}, Reason.BROKER_RECOVERING),
        ({"a": NEW, "b": RECOVERING}, Reason.BROKER_RECOVERING),
        ({"a": NEW}, Reason.STATISTICS_NOT_FOUND),
        ({}, Reason.QUEUE_NOT_FOUND),
    ],
)
def test_a_rate_that_is_unknown_is_not_left_out_of_the_sum(
    found: dict[str, QueueRates | Unavailable], reason: Reason
) -> None:
    told = patterns.rates(SUM, found)

    assert isinstance(told, Unavailable)
    assert told.reason is reason
