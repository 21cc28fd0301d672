"""The brokers that pools name: each read once for all of them, and believed as far as it may be."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import NamedTuple, TypeVar

from scanpool.models.broker import BrokerState, Pattern, QueueReport, RateReport
from scanpool.models.deliveries import Consuming
from scanpool.models.observation import QueueDepth, QueuePace, QueueRates
from scanpool.models.reading import Available, Reading, Unavailable
from scanpool.models.units import Clock
from scanpool.observe import broker_history, paces, patterns, queue_belief
from scanpool.observe.asking import Asking, together
from scanpool.observe.broker_history import Counts, History, Leaders
from scanpool.observe.lately import Lately
from scanpool.observe.noted import Note
from scanpool.observe.paces import Counted
from scanpool.observe.queue_belief import Seen
from scanpool.observe.shared_reads import FORGET_SECONDS, SharedReads
from scanpool.sources import broker_state, deliveries, management, matching
from scanpool.sources.broker_access import Access
from scanpool.sources.http import HttpClients

T = TypeVar("T")

# The broker renews its statistics every 5 s (collect_statistics_interval): asking more often
# repeats the same figures.
STATISTICS_SECONDS = 5.0
# What only warns may be half a minute old, where nothing else asks for the statistics.
PACES_SECONDS = 30.0
# Measured on 3.10: a queue of a list of 3,000 takes 0.13 to 0.25 ms, one asked for by name 3 ms.
LISTED_FOR_ONE_NAMED = 15


class SeenQueues(NamedTuple):
    """The depths that are known of a pool's queues, and why others are not, or may be more."""

    depths: tuple[QueueDepth, ...]
    gaps: tuple[Unavailable, ...] = ()


class Brokers:
    """All of them, by how they are reached; forgotten when nobody has asked for them for long.

    `note` is told of each read.
    """

    def __init__(self, http: HttpClients, shared: SharedReads, note: Note, clock: Clock) -> None:
        self._http = http
        self._shared = shared
        self._note = note
        self._clock = clock
        self._brokers: dict[Access, Broker] = {}
        self._lately: Lately[Access] = Lately(FORGET_SECONDS)

    def get(self, access: Access) -> "Broker":
        """Return the broker that is reached so. Raises SourceError for unusable certificates."""
        place = access.place
        broker = self._brokers.get(place)
        if broker is None:
            broker = self._brokers[place] = self._new(place)
        for forgotten in self._lately.want(place, self._clock()):
            del self._brokers[forgotten]
        broker.ask_with(access.token)
        return broker

    def _new(self, place: Access) -> "Broker":
        asking = Asking(self._http, self._shared, self._note, place, self._clock)
        return Broker(asking, self._clock)


class Broker:
    """A virtual host of a broker, as the management API shows it."""

    def __init__(self, asking: Asking, clock: Clock) -> None:
        self._asking = asking
        self._clock = clock
        self._history = History()
        self._leaders = Leaders()
        self._counts = Counts()
        self._wanted: Lately[str] = Lately(FORGET_SECONDS)
        self._auto_deleted: set[str] = set()
        # By expression, the names that it matched at the last look.
        self._matched: dict[str, frozenset[str]] = {}

    def ask_with(self, token: str | None) -> None:
        """Ask with this token from now on: they end, and what is known of the broker does not."""
        self._asking.ask_with(token)

    async def depths(self, asked: Sequence[str | Pattern], age: float) -> Reading[SeenQueues]:
        """Read the depths of queues, no older than `age` seconds; of a pattern's as one.

        Unavailable only if none of them is known.
        """
        state = await self._state(age)
        if isinstance(state, Unavailable):
            return state
        names = [one for one in asked if isinstance(one, str)]
        found = await self._reports(names, age, state.value)
        if isinstance(found, Unavailable):
            return found
        self._follow(found.value[name] for name in names if name in found.value)
        seen = []
        for one in asked:
            if isinstance(one, str):
                seen.append(self._judged(one, found.value.get(one), state.value))
                continue
            matched = await self._matching(one, age, state.value)
            if isinstance(matched, Unavailable):
                return matched
            self._follow(matched.value.values())
            judged = [self._judged(*each, state.value) for each in matched.value.items()]
            seen.append(patterns.depth(one, judged))
        depths = tuple(one.depth for one in seen if one.depth is not None)
        gaps = tuple(dict.fromkeys(one.doubt for one in seen if one.doubt is not None))
        if not depths and gaps:
            return gaps[0]
        return Available(SeenQueues(depths, gaps), found.at, found.source)

    async def rates(
        self, asked: Sequence[str | Pattern], window: int
    ) -> Reading[Mapping[str, QueueRates | Unavailable]]:
        """Read what is worked off of queues, averaged over `window` seconds; and why not."""
        found = await self._counted(asked, window, STATISTICS_SECONDS)
        if isinstance(found, Unavailable):
            return found
        judged = {
            _name(one): patterns.rates(one, counted.rated)
            if isinstance(one, Pattern)
            else counted.rated[one]
            for one, counted in zip(asked, found.value, strict=True)
        }
        return Available(judged, found.at, found.source)

    async def paces(
        self, asked: Sequence[str | Pattern], window: int
    ) -> Reading[tuple[QueuePace, ...]]:
        """Read how long messages of queues may wait, and how fast they are worked off."""
        found = await self._counted(asked, window, PACES_SECONDS)
        if isinstance(found, Unavailable):
            return found
        told = map(paces.together, map(_name, asked), found.value)
        return Available(tuple(told), found.at, found.source)

    async def _counted(
        self, asked: Sequence[str | Pattern], window: int, age: float
    ) -> Reading[tuple[Counted, ...]]:
        """Read what was acknowledged of each entry's queues, no older than `age` seconds."""
        state = await self._state(age)
        if isinstance(state, Unavailable):
            return state
        names = [one for one in asked if isinstance(one, str)]
        found = await self._rate_reports(names, window, age, state.value)
        if isinstance(found, Unavailable):
            return found
        counted = []
        for one in asked:
            if isinstance(one, str):
                none = RateReport(one, has_statistics=False)
                reports: Mapping[str, RateReport] = {one: found.value.get(one, none)}
            else:
                read = (matching.read_matching_rates, one.expression, window)
                matched = await self._read_rates("matching rates", age, *read)
                if isinstance(matched, Unavailable):
                    return matched
                reports = matched.value
            rated = {name: self._rated(each, state.value, window) for name, each in reports.items()}
            counted.append(Counted(reports, rated))
        return Available(tuple(counted), found.at, found.source)

    def _rated(
        self, report: RateReport, state: BrokerState, window: int
    ) -> QueueRates | Unavailable:
        now = self._clock()
        return queue_belief.rates(report, state, self._history, self._counts, window, now)

    async def consuming(self) -> Reading[tuple[Consuming, ...]]:
        """Read which connections hold how many messages now: never what was read before."""
        return await self._asking.in_turn(deliveries.read_consuming)

    async def _state(self, age: float) -> Reading[BrokerState]:
        return await self._asking.share("broker", age, self._look)

    async def _look(self) -> Reading[BrokerState]:
        found = await self._asking.in_turn(broker_state.read_broker)
        if isinstance(found, Unavailable):
            self._history = broker_history.silent(self._history)
        else:
            self._history = broker_history.step(self._history, found.value, self._clock())
        return found

    async def _reports(
        self, names: Sequence[str], age: float, state: BrokerState
    ) -> Reading[Mapping[str, QueueReport]]:
        """Read the queues one by one or all at once, whichever costs the broker less."""
        if not names:
            return Available({}, self._clock(), management.SOURCE)
        if not self._is_listed_whole(names, state):
            return await self._named(names, age)
        listed = await self._asking.read("queues", age, management.read_queues)
        if isinstance(listed, Unavailable):
            return listed
        # One whose leader is away is not in the list, and still exists.
        absent = [name for name in names if name not in listed.value]
        if not absent:
            return listed
        named = await self._named(absent, age)
        if isinstance(named, Unavailable):
            return named
        return Available({**listed.value, **named.value}, listed.at, listed.source)

    def _is_listed_whole(self, names: Sequence[str], state: BrokerState) -> bool:
        now = self._clock()
        for name in names:
            self._wanted.want(name, now)
        return _is_small(state, len(self._wanted))

    async def _named(self, names: Sequence[str], age: float) -> Reading[Mapping[str, QueueReport]]:
        read = management.read_queue
        found = await asyncio.gather(
            *(self._asking.read("queue", age, read, name) for name in names)
        )
        return together(names, found, self._clock())

    async def _rate_reports(
        self, names: Sequence[str], window: int, age: float, state: BrokerState
    ) -> Reading[Mapping[str, RateReport]]:
        if not names:
            return Available({}, self._clock(), management.SOURCE)
        if self._is_listed_whole(names, state):
            return await self._read_rates("rates", age, management.read_rates, window)
        read = management.read_queue_rates
        found = await asyncio.gather(
            *(self._read_rates("rate", age, read, name, window) for name in names)
        )
        return together(names, found, self._clock())

    async def _matching(
        self, pattern: Pattern, age: float, state: BrokerState
    ) -> Reading[Mapping[str, QueueReport]]:
        """Read the queues that match, and those that did and may only be away."""
        before = self._matched.get(pattern.expression, frozenset())
        is_small = _is_small(state, max(len(before), 1))
        read = matching.read_matching if is_small else matching.read_matching_statistics
        found = await self._asking.read("matching", age, read, pattern.expression)
        if isinstance(found, Unavailable):
            return found
        away = await self._named(sorted(before - found.value.keys()), age)
        if isinstance(away, Unavailable):
            return away
        reports = {**found.value, **away.value}
        self._matched[pattern.expression] = frozenset(reports)
        gone = before - reports.keys()
        self._leaders, self._counts = self._leaders.without(gone), self._counts.without(gone)
        return Available(reports, found.at, found.source)

    def _judged(self, name: str, report: QueueReport | None, state: BrokerState) -> Seen:
        if report is None:
            return queue_belief.missing(name, was_auto_deleted=name in self._auto_deleted)
        return queue_belief.depth(report, state, self._history, self._leaders, self._clock())

    def _follow(self, reports: Iterable[QueueReport]) -> None:
        known = list(reports)
        self._auto_deleted |= {one.name for one in known if one.is_auto_deleted}
        self._leaders = broker_history.follow(self._leaders, known, self._clock())

    async def _read_rates(
        self,
        what: str,
        age: float,
        read: Callable[..., Awaitable[Reading[T]]],
        *asked: str | int,
    ) -> Reading[T]:
        """Read rates; what they count is taken note of once, for all who share the answer."""

        async def counted() -> Reading[T]:
            found = await self._asking.in_turn(read, *asked)
            if isinstance(found, Available):
                reports = _each(found.value)
                self._counts = broker_history.count(self._counts, reports, self._clock())
            return found

        return await self._asking.share((what, *asked), age, counted)


def _name(asked: str | Pattern) -> str:
    """Return what a pool calls an entry of its queues."""
    return asked.expression if isinstance(asked, Pattern) else asked


def _is_small(state: BrokerState, wanted: int) -> bool:
    """Tell whether to ask for all queues costs the broker less than to ask for those wanted."""
    # By its name, or by a pattern, a queue of a large vhost shows only its statistics.
    few = LISTED_FOR_ONE_NAMED * wanted
    return bool(state.statistics_off) or state.queues is None or state.queues <= few


def _each(found: object) -> Iterable[RateReport]:
    """Return the reports of an answer: a list of queues, one of them, or none."""
    if isinstance(found, Mapping):
        return found.values()
    return (found,) if isinstance(found, RateReport) else ()
