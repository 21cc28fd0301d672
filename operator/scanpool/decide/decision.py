"""What a tick decided, with every number that a person needs to follow it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from math import ceil
from typing import Self

from scanpool.decide import key_sharing
from scanpool.decide.breaker import Verdict
from scanpool.decide.contest import Contest
from scanpool.decide.cost import Cost
from scanpool.decide.day import Left
from scanpool.decide.held import Longest
from scanpool.decide.key_sharing import Shares
from scanpool.decide.keys import Breakers
from scanpool.decide.limits import Limit
from scanpool.decide.sharing import Entitlement
from scanpool.decide.signals import Restart
from scanpool.decide.spend import Budget
from scanpool.decide.watermarks import NO_LEVEL, Level
from scanpool.models.claims import Claim, Unit
from scanpool.models.conditions import LimitedBy
from scanpool.models.llm import ONLY
from scanpool.models.pause import NO_PAUSE, Pause


class Rung(StrEnum):
    """The rungs of the ladder; those of ceilings are named after them (`ceiling_rung`)."""

    DEMAND = "demand"
    TOLERANCE = "tolerance"
    STABILIZATION = "stabilization"
    POLICIES = "policies"
    ACTIVATION = "activation"
    BOUNDS = "bounds"
    HOLD = "hold"
    LEVEL = "level"
    FALLBACK = "fallback"
    FLOOR = "floor"
    BREAKER = "billing breaker"
    BUDGET = "budget"
    PAUSE = "pause"
    CONTEST = "contest"


# What others use is told with the help of what a replica costs, which may be a guess: half of the
# replicas are enough to see the level answer.
SHRINK_SHARE = 0.5
CEILING_RUNG = " ceiling"


def ceiling_rung(limit: LimitedBy) -> str:
    """Return the name of the rung that takes replicas below a ceiling."""
    return f"{limit.lower()}{CEILING_RUNG}"


@dataclass(frozen=True, slots=True)
class Step:
    """One rung of the ladder: what it made of the replicas, and why, in words."""

    step: str
    before: int
    after: int
    reason: str


@dataclass(frozen=True, slots=True)
class Ceiling:
    """The most replicas that a limit allows, and why. None: unknown, so no growth.

    A pool may grow up to `replicas`; one that is already larger is left alone up to `keeps`, and
    beyond gives back no more than half at once where the limit `is_gradual`.
    """

    replicas: int | None
    keeps: int | None
    reason: str
    is_gradual: bool = False

    def allows(self, current: int) -> int:
        """Return the most replicas that a pool of `current` replicas may have."""
        if self.replicas is None or self.keeps is None:
            return current
        if current <= self.keeps:
            return max(self.replicas, current)
        half = ceil(SHRINK_SHARE * current)
        return max(self.replicas, half) if self.is_gradual else self.replicas


@dataclass(frozen=True, slots=True)
class LlmDecision:
    """What was made of one provider's limit.

    `ceilings` are those of this limit alone. `limits` are those in force, and `binding` is the one
    on tokens whose ceiling is the smallest.
    `factor` is the back-off in force, since `backoff_at`. `claim` is what the pool asks of the
    limits that it shares, `level` where the bucket stands, and `shared` how the tightest limit on
    tokens is split among the pools of the key. `days` is what is left of limits of a day. `breaker`
    is what its breaker makes of the pool, and the next probe comes `next_probe_seconds` after the
    last one at the latest. `shares` are those of the keys that count in the limits, and `keys` the
    breakers of several.
    """

    ceilings: Mapping[LimitedBy, Ceiling]
    limits: Mapping[Unit, Limit]
    cost: Cost
    factor: float
    backoff_at: float | None
    claim: Claim
    level: Level = NO_LEVEL
    binding: Unit | None = None
    shared: Entitlement | None = None
    days: Mapping[Unit, Left] = field(default_factory=dict)
    breaker: Verdict | None = None
    next_probe_seconds: float | None = None
    shares: Shares = field(default_factory=dict)
    keys: Breakers = field(default_factory=dict)

    @property
    def claims(self) -> Mapping[str, Claim]:
        """What the pool asks of the limit of each of its keys that count."""
        return {name: key_sharing.of_key(self.claim, share) for name, share in self.shares.items()}


@dataclass(frozen=True, slots=True)
class Decision:
    """The outcome of one tick.

    `current` is what the target asked for when it was observed, `contest` who else sets it, and
    `restarts` are those of its workers of the last hour, and `held` is how long these were seen to
    hold messages. `ceilings` are those that apply, the
    smallest of each kind. `llms` is what was made of each of the provider's limits, and `tightest`
    the name of the one with the smallest ceiling; `breaker` and `next_probe_seconds` are what their
    breakers come to. `budget` is what is left of the day's money.
    """

    current: int
    demand: int | None
    desired: int
    limited_by: LimitedBy
    steps: tuple[Step, ...]
    ceilings: Mapping[LimitedBy, Ceiling]
    contest: Contest | None = None
    restarts: tuple[Restart, ...] = ()
    held: Longest | None = None
    llms: Mapping[str, LlmDecision] = field(default_factory=dict)
    tightest: str = ONLY
    breaker: Verdict | None = None
    pause: Pause = NO_PAUSE
    budget: Budget | None = None
    next_probe_seconds: float | None = None

    @property
    def llm(self) -> LlmDecision | None:
        """What was made of the limit with the smallest ceiling."""
        return self.llms.get(self.tightest)

    def only(self, name: str) -> Self:
        """Return the decision with what was made of one limit in the place of all."""
        one = self.llms[name]
        return replace(
            self,
            llms={ONLY: one},
            tightest=ONLY,
            breaker=one.breaker,
            next_probe_seconds=one.next_probe_seconds,
        )

    @property
    def reason(self) -> str:
        """Why the replicas are what they are: the last rung that changed them, else the last."""
        changed = [step for step in self.steps if step.before != step.after]
        return (changed or list(self.steps))[-1].reason

    @property
    def claims(self) -> Mapping[str, Mapping[str, Claim]]:
        """What the pool asks of each limit, and of each of its keys, by their names."""
        return {name: one.claims for name, one in self.llms.items()}
