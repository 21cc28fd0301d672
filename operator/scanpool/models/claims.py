"""What pools on one key and model ask of the limit that they share."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from math import inf


class Unit(StrEnum):
    """What a limit counts, per minute or a day."""

    TOKENS = "TPM"
    INPUT_TOKENS = "input TPM"
    OUTPUT_TOKENS = "output TPM"
    REQUESTS = "RPM"
    TOKENS_A_DAY = "TPD"
    REQUESTS_A_DAY = "RPD"

    @property
    def per_minute(self) -> "Unit":
        """The unit in which use and cost are compared with it."""
        return _PER_MINUTE.get(self, self)


_PER_MINUTE = {Unit.TOKENS_A_DAY: Unit.TOKENS, Unit.REQUESTS_A_DAY: Unit.REQUESTS}
DAY_UNITS = tuple(_PER_MINUTE)


@dataclass(frozen=True, slots=True)
class Need:
    """A pool's view of one limit, in the limit's unit per minute.

    `plan` is what it finds for everyone on the key, the back-off `factor` in it: the target share
    of the limit. `keep` is the same up to the edge beyond which replicas are given back. `others`
    use some of it, the other pools among them; all together may not grow beyond `most`. `spare` is
    what its replicas would use and have not for a while, None where that is not known.

    `has_level`: the bucket's level decides. `is_full`: it is full, and gives what the plan has
    `beyond` the limit; `has_spare`: it has been so for long.
    """

    per_replica: float
    own: float
    plan: float
    keep: float
    others: float = 0.0
    factor: float = 1.0
    most: float = inf
    spare: float | None = None
    is_full: bool = False
    has_level: bool = False
    beyond: float = 0.0
    has_spare: bool = False

    def times(self, share: float) -> "Need":
        """Return what of it concerns a part of the limit."""
        return replace(
            self,
            per_replica=self.per_replica * share,
            own=self.own * share,
            plan=self.plan * share,
            keep=self.keep * share,
            others=self.others * share,
            most=self.most * share,
            spare=None if self.spare is None else self.spare * share,
            beyond=self.beyond * share,
        )

    def plus(self, other: "Need") -> "Need":
        """Return what two parts of a limit come to together."""
        return replace(
            self,
            per_replica=self.per_replica + other.per_replica,
            own=self.own + other.own,
            plan=self.plan + other.plan,
            keep=self.keep + other.keep,
            others=self.others + other.others,
            factor=min(self.factor, other.factor),
            most=self.most + other.most,
            spare=None if self.spare is None or other.spare is None else self.spare + other.spare,
            is_full=self.is_full and other.is_full,
            has_level=self.has_level and other.has_level,
            has_spare=self.has_spare and other.has_spare,
            beyond=self.beyond + other.beyond,
        )


@dataclass(frozen=True, slots=True)
class Claim:
    """What one pool asks of the limits that it shares, in replicas.

    `floor` is its minReplicas, `wanted` what it would have without the limits that are shared, and
    `held` what it has or is about to have. One that `is_idle` uses nothing of what it holds, and
    the others may: the bucket lasts until they have given it back. A higher `priority` comes first;
    `draining` are replicas beyond those held that are not gone yet, and `wanted_lately` is the most
    that it wanted within a minute. One that `is_busy` has a message waiting for each of its
    replicas, as far as is known. No more than are `ready` use anything yet; None: all do.
    """

    pool: str
    weight: int
    floor: int
    wanted: int
    held: int
    needs: Mapping[Unit, Need]
    is_idle: bool = False
    priority: int = 0
    draining: int = 0
    wanted_lately: int = 0
    is_busy: bool = True
    ready: int | None = None


@dataclass(frozen=True, slots=True)
class Share:
    """One pool's part of a shared limit, in tokens per minute."""

    pool: str
    weight: int
    claim: float
    grant: float
