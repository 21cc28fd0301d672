"""What earlier looks at a broker tell of its figures: since when they count without a break.

A broker that has just started knows nothing yet, and its zeros look like any others. Its nodes tell
their uptime to users with the tag 'monitoring'. To others a restart shows by a count that falls.
"""

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field, replace

from scanpool.models.broker import BrokerState, QueueReport, RateReport

NEVER = float("-inf")


@dataclass(frozen=True, slots=True)
class History:
    """A broker so far.

    `calm_since` is since when no node is known to have started, or to have gone, in seconds since
    the epoch; None before the first look. `is_guessed`: it is the first look, because nothing tells
    what was before. `was_silent`: the last look failed.
    """

    calm_since: float | None = None
    is_guessed: bool = False
    uptimes: Mapping[str, float] = field(default_factory=dict)
    running: frozenset[str] | None = None
    opened: int | None = None
    was_silent: bool = False


def step(history: History, state: BrokerState, now: float) -> History:
    """Return the history after another look."""
    nodes = state.nodes or ()
    running = frozenset(node.name for node in nodes if node.is_running)
    uptimes = {node.name: node.uptime for node in nodes if node.uptime is not None}
    is_first = history.calm_since is None
    is_told = bool(running) and running <= uptimes.keys()
    # Where the clock was set back, what it said before is yet to come, and counts from now.
    known_before = NEVER if history.calm_since is None else min(history.calm_since, now)
    if (
        is_told
        and not _is_disturbed(history, running, uptimes)
        and not (is_first and any(not node.is_running for node in nodes))
    ):
        since = max(known_before, *(now - uptimes[name] for name in running))
        is_guessed = False
    elif is_told or _is_broken(history, state, running):
        since, is_guessed = now, is_first
    else:
        since, is_guessed = known_before, history.is_guessed
    return History(since, is_guessed, uptimes, running, state.opened)


def silent(history: History) -> History:
    """Return the history after a look that failed."""
    return replace(history, was_silent=True)


def _is_disturbed(history: History, running: frozenset[str], uptimes: Mapping[str, float]) -> bool:
    """Tell whether a node has started or gone since the last look, by the nodes themselves."""
    if history.running is None:
        return False
    has_restarted = any(uptimes[name] < history.uptimes.get(name, 0.0) for name in running)
    return has_restarted or running != history.running


def _is_broken(history: History, state: BrokerState, running: frozenset[str]) -> bool:
    """Tell the same where uptimes are not told.

    A node that counts at all tells its uptime, but for the first seconds after its start. What
    counts nothing may have restarted whenever it was silent.
    """
    if history.calm_since is None or (history.running is not None and running != history.running):
        return True
    if state.statistics_off is None and state.nodes is not None:
        return True
    if state.opened is None or history.opened is None:
        return history.was_silent or state.opened != history.opened
    return state.opened < history.opened


@dataclass(frozen=True, slots=True)
class Leaders:
    """Where each quorum queue had its leader, and since when: a new one counts from zero."""

    since: Mapping[str, tuple[str | None, float]] = field(default_factory=dict)

    def changed_at(self, name: str) -> float:
        """Return when a queue's leader was last seen to change."""
        return self.since.get(name, (None, NEVER))[1]

    def without(self, names: Set[str]) -> "Leaders":
        """Return the same without queues that are no more."""
        kept = {name: one for name, one in self.since.items() if name not in names}
        return Leaders(kept) if names else self


def follow(leaders: Leaders, seen: Iterable[QueueReport], now: float) -> Leaders:
    """Return the leaders after another look at some queues."""
    found = dict(leaders.since)
    for queue in seen:
        node, changed_at = found.get(queue.name, (queue.node, NEVER))
        found[queue.name] = (queue.node, min(changed_at, now) if node == queue.node else now)
    return Leaders(found)


@dataclass(frozen=True, slots=True)
class Counts:
    """How many acknowledgements each queue had counted, and when that was last seen to fall."""

    acked: Mapping[str, tuple[int, float]] = field(default_factory=dict)

    def fell_at(self, name: str) -> float:
        """Return when a queue's count was last seen to fall."""
        return self.acked.get(name, (0, NEVER))[1]

    def without(self, names: Set[str]) -> "Counts":
        """Return the same without queues that are no more."""
        kept = {name: one for name, one in self.acked.items() if name not in names}
        return Counts(kept) if names else self


def count(counts: Counts, seen: Iterable[RateReport], now: float) -> Counts:
    """Return the counts after another look at some queues.

    A count falls when a node that had a part of it restarts or goes, or when the queue is made
    anew: the average over the window is then too low until the window has passed.
    """
    found = dict(counts.acked)
    for queue in seen:
        acked = queue.acked or 0
        before, fell_at = found.get(queue.name, (0, NEVER))
        found[queue.name] = (acked, now if acked < before else min(fell_at, now))
    return Counts(found)
