from dataclasses import replace

import pytest

from builders import NOW
from scanpool.models.broker import BrokerNode, BrokerState, QueueReport, RateReport
from scanpool.models.conditions import Reason
from scanpool.models.observation import QueueDepth, QueueRates
from scanpool.models.reading import Unavailable
from scanpool.observe.broker_history import (
    Counts,
    History,
    Leaders,
    count,
    follow,
    silent,
    step,
)
from scanpool.observe.queue_belief import SETTLE_SECONDS, depth, rates

WINDOW = 60
ONE, TWO = "rabbit@one", "rabbit@two"
QUEUE = QueueReport("q", 7, 2, "running", "classic", ONE)
QUORUM = replace(QUEUE, kind="quorum", members=3, online=3)
COUNTED = RateReport("q", True, acked=9_000, acked_per_second=2.0)


def broker(*uptimes: float | None, **changes: object) -> BrokerState:
    """Build a broker with a node for each uptime."""
    names = [ONE, TWO][: len(uptimes)]
    nodes = tuple(
        BrokerNode(name, is_running=True, uptime=uptime)
        for name, uptime in zip(names, uptimes, strict=True)
    )
    return replace(BrokerState(nodes=nodes, opened=100), **changes)


UP = broker(86_400.0)
CALM = step(History(), UP, NOW)


def test_a_queue_that_runs_on_a_broker_that_has_long_been_up_is_believed() -> None:
    assert depth(QUEUE, UP, CALM, Leaders(), NOW) == (QueueDepth("q", 7, 2), None)


@pytest.mark.parametrize(
    ("queue", "state", "reason", "words", "is_known"),
    [
        (replace(QUEUE, kind="stream"), UP, Reason.QUEUE_UNSUITABLE, "length of a log", False),
        (replace(QUEUE, is_exclusive=True), UP, Reason.QUEUE_UNSUITABLE, "exclusive", False),
        (replace(QUEUE, ready=None, state="down"), UP, Reason.QUEUE_DOWN, "state down", False),
        (replace(QUEUE, unacked=None), UP, Reason.QUEUE_DOWN, "do not declare it anew", False),
        (replace(QUEUE, state="crashed"), UP, Reason.QUEUE_DOWN, "state crashed", True),
        (replace(QUEUE, state="minority"), UP, Reason.QUEUE_DOWN, "bring the nodes", True),
        (replace(QUORUM, online=1), UP, Reason.QUEUE_DOWN, ONE, True),
        (replace(QUORUM, members=2, online=1), UP, Reason.QUEUE_DOWN, ONE, True),
        (replace(QUEUE, state="flow"), UP, Reason.QUEUE_IN_FLOW, "flow control", True),
        (QUEUE, replace(UP, alarms=(f"memory of {ONE}",)), Reason.BROKER_ALARM, "memory of", True),
        (
            QUEUE,
            replace(UP, nodes=(BrokerNode(ONE, True, 9e4, others=(TWO,)),)),
            Reason.BROKER_PARTITIONED,
            f"{ONE} does not see {TWO}",
            False,
        ),
    ],
)
def test_what_is_wrong_is_told_by_name_and_never_an_empty_queue(
    queue: QueueReport, state: BrokerState, reason: Reason, words: str, is_known: bool
) -> None:
    known, doubt = depth(queue, state, CALM, Leaders(), NOW)
    assert (known is not None) == is_known
    assert doubt is not None
    assert doubt.reason is reason
    assert words in doubt.message


STOPPED = BrokerNode(TWO, is_running=False)


@pytest.mark.parametrize(
    ("looks", "calm_for"),
    [
        pytest.param([UP], 86_400, id="up"),
        pytest.param([broker(40.0)], 40, id="just-started"),
        pytest.param([broker(None)], 0, id="so-new-that-it-tells-no-uptime"),
        pytest.param([UP, broker(80.0)], 0, id="restarted-unseen"),
        pytest.param([UP, UP], 86_400, id="an-uptime-that-is-told-anew-every-30-s"),
        pytest.param([broker(9e4, 50.0)], 50, id="the-youngest-node-counts"),
        pytest.param([broker(9e4, 9e4), broker(9e4)], 0, id="a-node-gone"),
        pytest.param([broker(9e4), broker(9e4, None)], 0, id="a-node-come-back"),
        pytest.param([replace(UP, nodes=(*(UP.nodes or ()), STOPPED))], 0, id="one-is-away"),
        pytest.param([replace(UP, nodes=None)], 0, id="nothing-tells"),
        pytest.param([UP, replace(UP, nodes=None, opened=99)], 0, id="a-count-that-fell"),
        pytest.param(
            [replace(UP, nodes=None, opened=99), replace(UP, nodes=None, opened=3)],
            0,
            id="a-count-that-fell-for-a-user-who-sees-no-nodes",
        ),
    ],
)
def test_a_broker_is_calm_since_its_youngest_node_started(
    looks: list[BrokerState], calm_for: float
) -> None:
    history = History()
    for index, look in enumerate(looks):
        history = step(history, look, NOW + index)
    assert history.calm_since is not None
    assert NOW + len(looks) - 1 - history.calm_since == pytest.approx(calm_for, abs=1)


@pytest.mark.parametrize(("silences", "calm_for"), [(0, 10), (1, 0)])
def test_a_broker_that_counts_nothing_may_have_restarted_whenever_it_was_silent(
    silences: int, calm_for: float
) -> None:
    bare = BrokerState(statistics_off="x", nodes=(BrokerNode(ONE, is_running=True),))
    history = step(History(), bare, NOW)
    for _ in range(silences):
        history = silent(history)
    history = step(history, bare, NOW + 10)
    assert history.calm_since == NOW + 10 - calm_for


@pytest.mark.parametrize(
    ("state", "seconds", "reason"),
    [
        (broker(SETTLE_SECONDS - 1), 0, Reason.BROKER_RECOVERING),
        (broker(SETTLE_SECONDS - 1), 2, None),
        (broker(None), 0, Reason.BROKER_RECOVERING),
    ],
)
def test_a_queue_may_hold_more_than_it_shows_until_the_broker_has_settled(
    state: BrokerState, seconds: float, reason: Reason | None
) -> None:
    history = step(History(), state, NOW)
    known, doubt = depth(QUORUM, state, history, Leaders(), NOW + seconds)
    assert known == QueueDepth("q", 7, 2)
    assert (doubt and doubt.reason) is reason


def test_a_new_leader_counts_from_zero() -> None:
    leaders = follow(Leaders(), [QUORUM], NOW - 100)
    elsewhere = replace(QUORUM, ready=0, unacked=0, node=TWO)
    for now, is_doubted in ((NOW, True), (NOW + SETTLE_SECONDS, False)):
        leaders = follow(leaders, [elsewhere], now)
        _, doubt = depth(elsewhere, UP, CALM, leaders, now)
        assert (doubt is not None) == is_doubted


def rate(
    queue: RateReport, state: BrokerState, *, after: float = 0.0, history: History | None = None
) -> QueueRates | Unavailable:
    since = step(History(), state, NOW) if history is None else history
    return rates(queue, state, since, Counts(), WINDOW, NOW + after)


NEW = RateReport("q", has_statistics=True)


@pytest.mark.parametrize(
    ("queue", "state", "expected"),
    [
        (COUNTED, UP, 2.0),
        # A broker that counts, and has long done so: never counted is a true zero.
        (NEW, UP, 0.0),
        (NEW, broker(65.0), Reason.BROKER_RECOVERING),
        (NEW, broker(75.0), 0.0),
        (COUNTED, broker(65.0), Reason.BROKER_RECOVERING),
        (COUNTED, broker(9e4, 65.0), Reason.BROKER_RECOVERING),
        (RateReport("q", has_statistics=False), UP, Reason.STATISTICS_NOT_FOUND),
        (RateReport("q", True, acked=9), UP, Reason.STATISTICS_NOT_FOUND),
        (COUNTED, replace(UP, rates_off="rates_mode"), Reason.STATISTICS_OFF),
        (NEW, replace(UP, statistics_off="disable_stats"), Reason.STATISTICS_OFF),
        # Who sees no nodes is told by a count that began before the window.
        (COUNTED, replace(UP, nodes=None), 2.0),
        (RateReport("q", True, 60, 1.0), replace(UP, nodes=None), Reason.BROKER_RECOVERING),
        (NEW, replace(UP, nodes=None), Reason.BROKER_RECOVERING),
    ],
)
def test_a_rate_is_known_once_a_whole_window_was_counted(
    queue: RateReport, state: BrokerState, expected: float | Reason
) -> None:
    found = rate(queue, state)
    told = found.reason if isinstance(found, Unavailable) else found.acked_per_second
    assert told == expected


def test_what_is_switched_off_is_named() -> None:
    found = rate(COUNTED, replace(UP, rates_off="management.rates_mode is none"))
    assert isinstance(found, Unavailable)
    assert "management.rates_mode is none" in found.message


def test_a_count_that_falls_is_no_rate_until_the_window_has_passed() -> None:
    counts = count(count(Counts(), [COUNTED], NOW - 5), [replace(COUNTED, acked=10)], NOW)
    for after, is_known in ((0, False), (65, False), (75, True)):
        found = rates(COUNTED, UP, CALM, counts, WINDOW, NOW + after)
        assert isinstance(found, QueueRates) == is_known


def test_a_clock_that_is_set_back_costs_the_usual_wait_and_no_hour() -> None:
    """Whatever was seen to change is then yet to come, and counts from now."""
    ahead = NOW + 3_600
    elsewhere, fewer = replace(QUORUM, node=TWO), replace(COUNTED, acked=1)
    restarted = step(step(History(), UP, ahead), broker(1.0), ahead)
    leaders = follow(follow(Leaders(), [QUORUM], ahead), [elsewhere], ahead)
    counts = count(count(Counts(), [COUNTED], ahead), [fewer], ahead)

    assert step(restarted, broker(2.0), NOW).calm_since == NOW
    assert follow(leaders, [elsewhere], NOW).changed_at("q") == NOW
    assert count(counts, [fewer], NOW).fell_at("q") == NOW
