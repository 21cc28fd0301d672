"""The bucket as a buffer: two watermarks between which its level carries what replicas cannot.

What a limit feeds is seldom a whole number of replicas. A pool, or the pools of a key together,
alternates between the two whole numbers around it, and the bucket carries the difference:

level            | may grow to                   | has to shrink, once beyond    | down to
at the high mark | what the limit feeds + APART, | never                         | -
                 | one more while it stays full  |                               |
between          | what the limit feeds - SURELY | never                         | -
at the low mark  | what it has                   | what the limit feeds + NEARLY | as much
in the reserve   | what it has                   | what refills it               | what refills it

The marks are compared with where the level will be once a change shows: up after a pod's start,
down after the delay of everything that is measured. The reserve is never planned with.
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from math import inf
from typing import NamedTuple, Self

from scanpool.decide import looks
from scanpool.decide.bucket import Bucket
from scanpool.decide.limits import SPEC, Limit
from scanpool.decide.looks import EMPTY_SHARE
from scanpool.models.units import SECONDS_PER_MINUTE, WHOLE_PERCENT

# The high mark, as a share of the limit: what flows into a full bucket is lost.
HIGH_SHARE = 0.9
# The low mark lies this share of the limit above the reserve: as deep as one replica too many
# empties the bucket within half a minute, where the limit feeds two and a half.
ABOVE_RESERVE_SHARE = 0.1
# At the smallest distance of the marks a pool still alternates, if often.
APART_SHARE = 0.05
# A change of replicas takes a look at the level (10 s), a tick (10 s) and a pod's end (5 s).
DELAY_SECONDS = 25.0
# A level that was told longer ago tells nothing: reckoned on for so long, it is off by three tenths
# of the bucket.
LOST_SECONDS = 600.0
# Use is known to so much of the limit: a level that is only reckoned on is off by this much more
# with each minute, and the marks close in by as much.
UNSURE_SHARE = 0.03
# Growth waits for no pod that takes longer: the level would be reckoned on too far.
LONGEST_START_SECONDS = 30.0
# In replicas. One more is worth it where at least three tenths of it are fed; where less is, the
# bucket has to be seen to stay full (`Bucket.has_spare`).
APART = 0.7
# Where the limit feeds many, the bucket lasts for one more for longer, and so less is enough. A
# tenth of a replica may be an error of its cost.
MOST_APART = 0.9
LASTS_MINUTES = 5.0
# Beside somebody who takes much at once others' use is known to half a replica only.
APART_BESIDE_BURSTS = 0.3
# Between the marks a replica is given only where it is fed for certain, and beside a cost that is a
# guess only where there is time to see that it is wrong.
SURELY = 0.5
# At the low mark what is nearly fed stays: it empties the bucket too slowly to reach the reserve.
NEARLY = 0.3
# In the reserve at least so much of a replica flows back.
REFILL = 0.2
# Where the reserve does not rise, what is known of use or cost is wrong: so much less, then, and a
# replica at least.
FEWER_SHARE = 0.2
# A level that may stand for the replicas before the last change is no reason for another.
SETTLE_SECONDS = 20.0


class State(StrEnum):
    """Where the level stands, or why it decides nothing."""

    HIGH = "High"
    BETWEEN = "Between"
    LOW = "Low"
    RESERVE = "Reserve"
    LEFT_ALONE = "LeftAlone"
    NOT_TOLD = "NotTold"
    STALE = "Stale"
    OWN_LIMIT = "OwnLimit"
    STEPPED = "Stepped"


FALLS = frozenset({State.LOW, State.RESERVE})
"""The states in which replicas are given back."""
DECIDES = frozenset({State.HIGH, State.BETWEEN, State.LOW, State.RESERVE})
"""The states in which the level decides; in the others the law without it does."""


@dataclass(frozen=True, slots=True)
class Level:
    """The level now, reckoned on from the last look, and its marks, all in tokens.

    `at` is when the provider told it. `use` is the key's, `others` its part outside of the pool, in
    tokens per minute; beside it the level `has_risen`, or `has_spare` for a replica more. Somebody
    may take much of it at once (`is_taken_at_once`).
    """

    state: State
    tokens: float | None = None
    low: float | None = None
    high: float | None = None
    reserve: float | None = None
    at: float | None = None
    use: float | None = None
    has_risen: bool = False
    has_spare: bool = False
    others: float = 0.0
    is_taken_at_once: bool = False

    @property
    def is_upper(self) -> bool:
        """Whether it is nearer to the high mark than to the low one."""
        if self.tokens is None or self.low is None or self.high is None:
            return False
        return self.tokens >= (self.low + self.high) / 2

    @property
    def is_drained(self) -> bool:
        """Whether replicas are given back whatever else cannot be read.

        A bucket that is still full is only reckoned to be low in a while, by a cost that nothing
        bears out meanwhile: the next look does, or does not.
        """
        if self.tokens is None or self.high is None:
            return False
        return self.state in FALLS and self.tokens < self.high

    @property
    def decides(self) -> bool:
        """Whether replicas follow the level."""
        return self.state in DECIDES

    def of_part(self, limit_share: float, use_share: float) -> Self:
        """Return the level of input or output, whose limit and use are these shares of the whole.

        It is as full as the emptiest, which is the one that the provider's level is of.
        """
        if limit_share == use_share == 1:
            return self

        def part(tokens: float | None, share: float) -> float | None:
            return None if tokens is None else tokens * share

        return replace(
            self,
            tokens=part(self.tokens, limit_share),
            low=part(self.low, limit_share),
            high=part(self.high, limit_share),
            reserve=part(self.reserve, limit_share),
            use=part(self.use, use_share),
            others=self.others * use_share,
        )


NO_LEVEL = Level(State.NOT_TOLD)


class Replica(NamedTuple):
    """What a replica costs, in tokens per minute, and whether that was measured (`is_learned`).

    `is_settled`: the level stands for the replicas that there are.
    """

    tokens: float
    is_learned: bool
    is_settled: bool


@dataclass(frozen=True, slots=True)
class Allowance:
    """What everyone on the key may use, in tokens per minute.

    `plan` is shared out, what is beyond `keep` has to go, and none of the pools grows where all
    together would use more than `most`. A full bucket gives what the plan has `beyond` the limit.
    """

    plan: float
    keep: float
    most: float = inf
    beyond: float = 0.0


def level(
    bucket: Bucket, in_force: Limit, reserve_percent: int, start_seconds: float, now: float
) -> Level:
    """Return where the level stands; a pod of the pool takes `start_seconds` to start."""
    limit = in_force.value
    if reserve_percent >= WHOLE_PERCENT:
        return Level(State.LEFT_ALONE)
    look = bucket.latest
    if look is None:
        return NO_LEVEL
    if look.limit > limit and in_force.source == SPEC:
        # The spec's own limit is the smaller one: what the bucket holds is not the pool's.
        return Level(State.OWN_LIMIT)
    if looks.is_stepped(bucket.looks):
        return Level(State.STEPPED)
    told_at = bucket.told_at
    if told_at is None or now - told_at > LOST_SECONDS:
        return Level(State.STALE)
    reserve = limit * reserve_percent / WHOLE_PERCENT
    unsure = 0.0 if look.is_told else UNSURE_SHARE * limit * (now - told_at) / SECONDS_PER_MINUTE
    high = HIGH_SHARE * limit - unsure
    low = min(reserve + ABOVE_RESERVE_SHARE * limit + unsure, high - APART_SHARE * limit)
    use, fall = bucket.use, looks.largest_fall(bucket.looks)
    change = 0.0 if use is None else limit - use
    tokens = looks.carried_on(look.tokens, change, now - look.at, limit)
    later = looks.carried_on(tokens, min(change, 0.0), DELAY_SECONDS, limit)
    started = looks.carried_on(
        tokens, max(change, 0.0), min(start_seconds, LONGEST_START_SECONDS), limit
    )
    if later <= min(reserve, low):
        state = State.RESERVE
    elif later <= low:
        state = State.LOW
    elif started >= high and high - fall > low:
        state = State.HIGH
    else:
        state = State.BETWEEN
    has_risen = looks.has_risen(bucket.looks, bucket.changed_at)
    others = 0.0 if bucket.others is None else bucket.others.tokens
    return Level(
        state,
        tokens,
        low,
        high,
        reserve,
        told_at,
        use,
        has_risen,
        bucket.has_spare,
        others,
        looks.is_at_once(fall, look.limit),
    )


def allowance(level: Level, limit: int, cost: Replica) -> Allowance:
    """Return what everyone may use while the level decides, beside what a replica costs."""
    per_replica = cost.tokens
    match level.state:
        case State.HIGH:
            # Beside a cost that is a guess only what is fed: the first calls of all that start take
            # what the bucket could give one more.
            plan = limit + (_apart(level, per_replica) * per_replica if cost.is_learned else 0.0)
            if level.has_spare and not level.is_taken_at_once and level.use is not None:
                plan = max(plan, level.use + per_replica)
            return Allowance(plan, inf, beyond=plan - limit)
        case State.BETWEEN:
            is_sure = cost.is_learned or level.is_upper
            return Allowance(limit, inf, limit - SURELY * per_replica if is_sure else 0.0)
        case State.LOW:
            nearly = limit + NEARLY * per_replica
            found = Allowance(nearly, nearly, 0.0)
        case _:
            refill = limit - REFILL * per_replica
            if level.use is not None and not level.has_risen:
                refill = min(refill, level.use - max(per_replica, FEWER_SHARE * level.use))
            # Where others leave any room somebody keeps a replica.
            refill = max(refill, min(level.others + 1.0, limit))
            found = Allowance(refill, refill, 0.0)
    # The pool alone uses more than there is: no look is needed to know that it is too large.
    is_too_large = level.use is not None and level.use - level.others > limit
    is_certain = is_too_large and level.tokens is not None and level.tokens < EMPTY_SHARE * limit
    return found if cost.is_settled or is_certain else replace(found, keep=inf)


def _apart(level: Level, per_replica: float) -> float:
    """Return how many replicas beyond what the limit feeds a key may have at the high mark."""
    if level.is_taken_at_once:
        return APART_BESIDE_BURSTS
    lasts = ((level.high or 0.0) - (level.low or 0.0)) / (LASTS_MINUTES * per_replica)
    return min(max(APART, lasts), MOST_APART)
