"""The bucket as a buffer: what its level lets a key use."""

from dataclasses import dataclass, field, replace
from math import inf
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from builders import API_KEY, NOW, depth, llm, observe, pods, pool, seen, target
from scanpool.decide import Memory, Peers, after_scaling, assess, decide, learn, probe_age
from scanpool.decide.bucket import Bucket, OthersUse
from scanpool.decide.limits import Limit
from scanpool.decide.looks import Look
from scanpool.decide.watermarks import (
    DECIDES,
    FALLS,
    Allowance,
    Level,
    Replica,
    State,
    allowance,
    level,
)
from scanpool.models.claims import Claim
from scanpool.models.llm import ONLY
from scanpool.models.observation import KeyUsage, ProviderState

LIMIT = 2_000_000
COST = 500_000.0
IN_FORCE = Limit(LIMIT, "spec")
KNOWN = Replica(COST, is_learned=True, is_settled=True)


def bucket(share: float, use: float = LIMIT, age: float = 0, limit: int = LIMIT) -> Bucket:
    """Return a bucket that was seen at a level, while the key's use is so much."""
    look = Look(NOW - age, int(share * limit), limit, 0.0, 0, 0)
    return Bucket((look,), OthersUse(NOW - age, use), COST, 0, told_at=NOW - age)


@pytest.mark.parametrize(
    ("share", "use", "state"),
    [
        pytest.param(1.0, LIMIT, State.HIGH, id="full"),
        pytest.param(0.9, LIMIT, State.HIGH, id="at-the-high-mark"),
        pytest.param(0.89, LIMIT, State.BETWEEN, id="below-it"),
        # A quarter of the limit a minute flows in: 0.125 of it while a pod starts, in 30 s.
        pytest.param(0.78, 0.75 * LIMIT, State.HIGH, id="there-once-a-pod-has-started"),
        pytest.param(0.77, 0.75 * LIMIT, State.BETWEEN, id="not-there-by-then"),
        pytest.param(0.26, LIMIT, State.BETWEEN, id="above-the-low-mark"),
        pytest.param(0.25, LIMIT, State.LOW, id="at-the-low-mark"),
        # A quarter a minute flows out: a tenth of the limit in the 25 s until a change shows.
        pytest.param(0.35, 1.25 * LIMIT, State.LOW, id="there-before-a-change-shows"),
        pytest.param(0.36, 1.25 * LIMIT, State.BETWEEN, id="not-there-yet"),
        pytest.param(0.15, LIMIT, State.RESERVE, id="in-the-reserve"),
        pytest.param(0.25, 1.25 * LIMIT, State.RESERVE, id="in-it-before-a-change-shows"),
        pytest.param(0.0, 0, State.RESERVE, id="empty"),
    ],
)
def test_the_marks_are_compared_with_where_the_level_will_be(
    share: float, use: float, state: State
) -> None:
    found = level(bucket(share, use), IN_FORCE, 15, 30, NOW)

    assert found.state is state
    assert (found.low, found.high, found.reserve) == (500_000, 1_800_000, 300_000)


def test_the_level_is_reckoned_on_from_the_last_answer() -> None:
    assert level(bucket(0.5, 1.5 * LIMIT, age=30), IN_FORCE, 15, 30, NOW).tokens == 500_000
    assert level(bucket(0.5, 0, age=60), IN_FORCE, 15, 30, NOW).tokens == LIMIT


@pytest.mark.parametrize(
    ("silent_seconds", "low", "high"),
    [(0, 500_000, 1_800_000), (60, 560_000, 1_740_000), (600, 1_100_000, 1_200_000)],
)
def test_the_marks_close_in_while_the_level_is_only_reckoned(
    silent_seconds: float, low: float, high: float
) -> None:
    """Nobody knows whether it is a little higher or lower by now."""
    told = bucket(0.6)
    (look,) = told.looks
    silent = replace(told, told_at=NOW - silent_seconds, looks=(replace(look, is_told=False),))

    found = level(silent, IN_FORCE, 15, 30, NOW)
    assert (found.low, found.high) == (pytest.approx(low), pytest.approx(high))
    assert found.state is (State.HIGH if high <= 0.6 * LIMIT else State.BETWEEN)


@pytest.mark.parametrize(
    ("found", "reserve", "state"),
    [
        (Bucket(), 15, State.NOT_TOLD),
        (bucket(1.0), 100, State.LEFT_ALONE),
        (bucket(1.0, age=601), 15, State.STALE),
        (bucket(0.5, limit=2 * LIMIT), 15, State.OWN_LIMIT),
        (
            Bucket((Look(NOW - 10, 100_000, LIMIT), Look(NOW, LIMIT, LIMIT)), told_at=NOW),
            15,
            State.STEPPED,
        ),
    ],
)
def test_where_the_level_decides_nothing_it_says_why(
    found: Bucket, reserve: int, state: State
) -> None:
    assert level(found, IN_FORCE, reserve, 30, NOW) == Level(state)
    assert state not in DECIDES


def test_no_replica_more_while_somebody_takes_what_the_high_mark_leaves() -> None:
    """Who has taken two thirds of the bucket at once may do it again."""
    looks = tuple(
        Look(NOW - 50 + 10 * index, int(share * LIMIT), LIMIT, 0.0, 0, 0)
        for index, share in enumerate((0.96, 0.3, 0.46, 0.62, 0.78, 0.9))
    )
    found = replace(bucket(0.9), looks=looks)

    assert level(found, IN_FORCE, 15, 30, NOW).state is State.BETWEEN


@given(st.integers(1, 99))
def test_the_marks_are_apart_whatever_is_kept_in_reserve(percent: int) -> None:
    found = level(bucket(1.0), IN_FORCE, percent, 30, NOW)

    assert found.state is State.HIGH
    assert 0 < (found.low or 0) < (found.high or 0) < LIMIT


@pytest.mark.parametrize(
    ("found", "replica", "allowed"),
    [
        (Level(State.HIGH), KNOWN, Allowance(2_350_000, inf, beyond=350_000)),
        (
            Level(State.HIGH, use=2e6, has_spare=True),
            KNOWN,
            Allowance(2_500_000, inf, beyond=500_000),
        ),
        (
            Level(State.HIGH, use=1e6, has_spare=True),
            KNOWN,
            Allowance(2_350_000, inf, beyond=350_000),
        ),
        (Level(State.HIGH), KNOWN._replace(is_learned=False), Allowance(2_000_000, inf)),
        (Level(State.BETWEEN), KNOWN, Allowance(2_000_000, inf, 1_750_000)),
        (
            Level(State.BETWEEN, 1_000_000, 500_000, 1_800_000),
            KNOWN._replace(is_learned=False),
            Allowance(2_000_000, inf, 0),
        ),
        (
            Level(State.BETWEEN, 1_150_000, 500_000, 1_800_000),
            KNOWN._replace(is_learned=False),
            Allowance(2_000_000, inf, 1_750_000),
        ),
        (Level(State.LOW), KNOWN, Allowance(2_150_000, 2_150_000, 0)),
        (Level(State.LOW), KNOWN._replace(is_settled=False), Allowance(2_150_000, inf, 0)),
        (Level(State.RESERVE), KNOWN, Allowance(1_900_000, 1_900_000, 0)),
        (Level(State.RESERVE, use=2e6), KNOWN, Allowance(1_500_000, 1_500_000, 0)),
        (Level(State.RESERVE, use=2e6, has_risen=True), KNOWN, Allowance(1_900_000, 1_900_000, 0)),
        # Beside an empty bucket a pool that uses more than there is waits for no look.
        (
            Level(State.RESERVE, 100_000.0, use=2_400_000.0),
            KNOWN._replace(is_settled=False),
            Allowance(1_900_000, 1_900_000, 0),
        ),
        (
            Level(State.RESERVE, 100_000.0, use=2_400_000.0, others=500_000.0),
            KNOWN._replace(is_settled=False),
            Allowance(1_900_000, inf, 0),
        ),
        (
            Level(State.RESERVE, 200_000.0, use=2_400_000.0),
            KNOWN._replace(is_settled=False),
            Allowance(1_900_000, inf, 0),
        ),
        # A replica that costs more than there is stays, as long as others leave anything.
        (
            Level(State.RESERVE, use=2e6, others=700_000.0),
            Replica(2e6, is_learned=True, is_settled=True),
            Allowance(700_001, 700_001, 0),
        ),
    ],
)
def test_what_the_level_allows(found: Level, replica: Replica, allowed: Allowance) -> None:
    assert allowance(found, LIMIT, replica) == allowed


@pytest.mark.parametrize(
    ("feeds", "apart"),
    [(2.5, 0.7), (5.0, 0.7), (6.0, 0.78), (6.9, 0.897), (7.0, 0.9), (40.0, 0.9)],
)
def test_where_the_limit_feeds_many_one_more_is_worth_it_for_less(
    feeds: float, apart: float
) -> None:
    """The bucket lasts for longer: 65% of six replicas' minute is five minutes of 0.78 of one."""
    cost = LIMIT / feeds
    many = KNOWN._replace(tokens=cost)
    high = Level(State.HIGH, 1_900_000, 500_000, 1_800_000)

    assert allowance(high, LIMIT, many).plan == pytest.approx(LIMIT + apart * cost)
    assert allowance(replace(high, is_taken_at_once=True), LIMIT, many).plan == pytest.approx(
        LIMIT + 0.3 * cost
    )


shares = st.floats(0, 1)
uses = st.floats(0, 3 * LIMIT)
reserves = st.integers(0, 99)
silences = st.just(0.0) | st.floats(0, 600)
RANKS = {State.RESERVE: 0, State.LOW: 1, State.BETWEEN: 2, State.HIGH: 3}


def stood(share: float, use: float, reserve: int, silent_seconds: float) -> Level:
    """Return where a level stands that has only been reckoned on for so long."""
    told = bucket(share, use)
    (look,) = told.looks
    silent = replace(told, told_at=NOW - silent_seconds)
    if silent_seconds:
        silent = replace(silent, looks=(replace(look, is_told=False),))
    return level(silent, IN_FORCE, reserve, 30, NOW)


@given(shares, shares, uses, reserves, silences)
def test_a_higher_level_never_stands_lower(
    one: float, two: float, use: float, reserve: int, silent_seconds: float
) -> None:
    lower, higher = (stood(share, use, reserve, silent_seconds) for share in sorted((one, two)))

    assert RANKS[lower.state] <= RANKS[higher.state]
    assert lower.low is not None
    assert lower.high is not None
    assert lower.high - lower.low >= 0.05 * LIMIT - 1


@given(shares, uses, reserves, silences, st.floats(1, 3 * LIMIT), st.booleans(), st.booleans())
def test_no_level_lets_a_key_have_a_replica_beyond_what_is_fed_unless_the_bucket_stays_full(
    share: float,
    use: float,
    reserve: int,
    silent_seconds: float,
    cost: float,
    is_learned: bool,
    is_settled: bool,
) -> None:
    found = stood(share, use, reserve, silent_seconds)
    allowed = allowance(found, LIMIT, Replica(cost, is_learned, is_settled))

    assert 0 < allowed.plan < LIMIT + cost
    assert allowed.plan <= allowed.keep
    if found.state in FALLS:
        assert allowed.most == 0, "nobody grows while it falls"
    else:
        assert allowed.keep == inf, "and nothing is taken while it does not"


# --- In a closed loop with a bucket, of pools that are as busy as they can be ---


@dataclass
class World:
    """A bucket of a limit, and pools whose replicas start within 30 s and cost so much each.

    `by_clock`: it is filled up every minute, and does not refill as it is used.
    """

    limit: int
    cost: float
    by_clock: bool = False
    probe_seconds: float = 0.0
    level: float = field(init=False)
    refused: float = 0.0
    used: float = 0.0
    probed: Any = None

    def __post_init__(self) -> None:
        self.level = float(self.limit)

    def flow(self, seconds: int, replicas: int, now: float) -> None:
        for second in range(seconds):
            if self.by_clock and (now + second) % 60 == 0:
                self.level = float(self.limit)
            elif not self.by_clock:
                self.level = min(self.level + self.limit / 60, float(self.limit))
            wanted = replicas * self.cost / 60
            given = min(wanted, self.level)
            self.level -= given
            self.used += given
            self.refused += wanted - given

    def probe(self, age: float, now: float) -> Any:
        if self.probed is None or now - self.probed.at >= max(age, self.probe_seconds):
            state = ProviderState(self.limit, tokens_remaining=int(self.level))
            self.probed = seen(state, now)
        return self.probed


@dataclass
class Busy:
    """One pool of it, that ticks on its own."""

    name: str
    spec: Any
    replicas: int = 1
    memory: Memory = field(default_factory=Memory)
    ready: list[float] = field(default_factory=lambda: [NOW - 600])
    changes: list[float] = field(default_factory=list)
    claim: Claim | None = None

    def count(self, now: float) -> int:
        return sum(one <= now for one in self.ready)

    def tick(self, world: World, peers: tuple[Claim, ...], now: float) -> None:
        there = tuple(
            replace(pod, ready=at <= now, created_at=at - 30, ready_at=at if at <= now else None)
            for pod, at in zip(pods(self.replicas), self.ready, strict=True)
        )
        # Rates are never the same twice, or they are a gauge that nobody updates.
        own = self.count(now) * world.cost + now % 97
        observation = observe(
            target=target(self.replicas, there),
            queues=seen((depth(10_000),), now),
            provider=world.probe(
                probe_age(self.memory.llm.probing, self.memory.llm.breaker, self.spec.llm), now
            ),
            usage=seen(KeyUsage(own, own_tokens_per_minute=own), now),
        )
        signals = assess(self.spec, observation, self.memory, now)
        self.memory = learn(self.spec, signals, self.memory)
        decision = decide(self.spec, signals, self.memory, Peers(self.name, {ONLY: {ONLY: peers}}))
        self.claim = decision.claims.get(ONLY, {}).get(ONLY)
        if decision.desired != self.replicas:
            self.memory = after_scaling(self.memory, self.replicas, decision.desired, now)
            self.ready = (self.ready + [now + 30] * decision.desired)[: decision.desired]
            self.replicas = decision.desired
            self.changes.append(now)


def busy_pool(name: str = "scan/pool", cost: float = COST, **changes: Any) -> Busy:
    usual = {"tokens_per_replica_minute": int(cost), "api_key_secret_ref": API_KEY}
    spec = pool(llm=llm(**{**usual, "tokens_per_minute": None, **changes}), max_replicas=100)
    return Busy(name, spec)


def play(world: World, *players: Busy, minutes: int = 30) -> None:
    """Let the pools tick every ten seconds, one second after the other."""
    for second in range(minutes * 60):
        now = NOW + second
        world.flow(1, sum(one.count(now) for one in players), now)
        for index, one in enumerate(players):
            if second % 10 == index % 10:
                others = tuple(
                    two.claim for two in players if two is not one and two.claim is not None
                )
                one.tick(world, others, now)


@pytest.mark.parametrize("ratio", [1.4, 2.5, 3.2, 3.5, 3.8, 7.2, 15.2])
def test_a_pool_uses_all_of_the_limit_and_nothing_is_refused(ratio: float) -> None:
    world, alone = World(LIMIT, LIMIT / ratio), busy_pool(cost=LIMIT / ratio)

    play(world, alone, minutes=60)
    assert world.refused == 0
    assert world.used >= 0.97 * (60 * LIMIT + LIMIT - world.level)


def test_a_replica_that_costs_more_than_the_limit_stays() -> None:
    world, alone = World(LIMIT, 1.25 * LIMIT), busy_pool(cost=1.25 * LIMIT)

    play(world, alone)
    assert (alone.replicas, alone.changes) == (1, [])


def test_a_bucket_that_is_filled_by_the_clock_is_used_by_the_law_without_it() -> None:
    world, alone = World(LIMIT, LIMIT / 8, by_clock=True), busy_pool(cost=LIMIT / 8)

    play(world, alone)
    assert alone.replicas == 6, "85% of the limit, in whole replicas"
    assert world.refused == 0
    assert len([at for at in alone.changes if at > NOW + 600]) == 0


def test_a_limit_of_few_requests_is_probed_rarely_and_the_law_without_the_level_holds() -> None:
    world, alone = World(LIMIT, COST, probe_seconds=1_200), busy_pool()

    play(world, alone)
    assert world.refused == 0
    assert alone.replicas <= 4


def test_a_pool_that_restarts_asks_for_the_level_before_it_grows() -> None:
    world, alone = World(LIMIT, COST * 8 / 7), busy_pool(cost=COST * 8 / 7)
    play(world, alone, minutes=10)
    before = len(alone.changes)

    alone.memory, world.probed, world.level = Memory(), None, 0.3 * LIMIT
    alone.tick(world, (), NOW + 600)
    alone.tick(world, (), NOW + 610)
    assert len(alone.changes) == before or alone.changes[-1] >= NOW + 610
    assert alone.replicas <= 4


@settings(max_examples=15)
@example(ratio=3.25, weights=[1, 1], gone=0, again=0)
@example(ratio=3.26, weights=[1, 2], gone=1, again=1)
@given(
    ratio=st.floats(2.5, 20),
    weights=st.lists(st.integers(1, 5), min_size=2, max_size=5),
    gone=st.integers(0, 4),
    again=st.integers(0, 4),
)
def test_a_bucket_is_spent_once_by_the_pools_of_a_key(
    ratio: float, weights: list[int], gone: int, again: int
) -> None:
    """They come, go, start again and look at different times; together they have one too many.

    Seven tenths of one at most, or all of it while the bucket stays full.
    """
    cost = LIMIT / ratio
    world = World(LIMIT, cost)
    players = [
        busy_pool(f"scan/pool-{index}", cost, weight=weight) for index, weight in enumerate(weights)
    ]
    for one in players:
        one.spec = one.spec.model_copy(update={"min_replicas": 0})
        one.replicas, one.ready = 0, []
    left = [one for index, one in enumerate(players) if index != gone % len(players)]
    for some in (players, left, players):
        for one in players:
            if one not in some:
                one.replicas, one.ready, one.claim, one.memory = 0, [], None, Memory()
        players[again % len(players)].memory = Memory()
        play(world, *some, minutes=4)
        held = sum(one.replicas for one in players)
        assert held <= int(ratio) + 1
    assert world.refused == 0
