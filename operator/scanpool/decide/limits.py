"""The limits per minute: what the spec, the probe and the Admin API say, and which counts.

Precedence: the provider's word is the probe's answer (its headers, else the message of its 429),
and where that tells no limit, the Admin API's. Of the provider's word and the spec's the smaller
counts. A provider's limit that falls is believed at once, one that rises only when a later answer
agrees: a single odd header must not let a pool run into 429s.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

from scanpool.models.base import Model
from scanpool.models.claims import Unit
from scanpool.models.llm import Llm, Provider

PROBE, ADMIN, SPEC = "probe", "admin", "spec"
# A limit that nobody has told for this long is forgotten: headers may come and go behind gateways.
KEPT_SECONDS = 3600.0
# An enumeration lists its members anew each time.
UNITS = tuple(Unit)
# Limits that are kept in checkpoints, by all pools of this process: those of one key have the same.
KEPT_LIMITS = 256
TOKEN_UNITS = (Unit.TOKENS, Unit.INPUT_TOKENS, Unit.OUTPUT_TOKENS)


class KnownLimit(NamedTuple):
    """A limit per minute that is believed, since when and from whom.

    `higher` was told by one answer at `higher_at`: it counts once a later answer agrees.
    """

    value: int
    source: str
    at: float
    higher: int | None = None
    higher_at: float | None = None


Told = Mapping[Unit, KnownLimit]


@dataclass(frozen=True, slots=True)
class KnownLimits:
    """The provider's limits by unit, and whose they are: provider, model and address.

    So many `keys` add up to them; what the spec says is of each.
    """

    by_unit: Told = field(default_factory=dict)
    whose: tuple[str, str, str] | None = None
    keys: int = 1

    @property
    def answered_at(self) -> float:
        """When the probe last told one; 0 where it never did."""
        return max((one.at for one in self.by_unit.values() if one.source == PROBE), default=0.0)


@dataclass(frozen=True, slots=True)
class Limit:
    """A limit per minute, who told it, and when (seconds since the epoch; None: the spec)."""

    value: int
    source: str
    at: float | None = None


def step(known: KnownLimits, llm: Llm, told: Told | None, now: float, keys: int = 1) -> KnownLimits:
    """Return what is believed after a tick in which the provider told these; None: nobody is asked.

    So many `keys` count in what it told. Limits of another provider, model or address say nothing
    of this one.
    """
    if told is None:
        return KnownLimits(keys=keys)
    whose = (llm.provider, llm.model, llm.api_base)
    before = known.by_unit if known.whose in (None, whose) else {}
    kept = {unit: one for unit, one in before.items() if now - one.at <= KEPT_SECONDS}
    believed = {unit: _believe(kept.get(unit), limit) for unit, limit in told.items()}
    return KnownLimits({**kept, **believed}, whose, keys)


def declared(llm: Llm) -> Mapping[Unit, int]:
    """Return the limits that the spec says each key has."""
    # Gemini's TPM is one of input (ai.google.dev, rate limits).
    tokens = Unit.INPUT_TOKENS if llm.provider is Provider.GEMINI else Unit.TOKENS
    said = {
        tokens: llm.tokens_per_minute,
        Unit.REQUESTS: llm.requests_per_minute,
        Unit.TOKENS_A_DAY: llm.tokens_per_day,
        Unit.REQUESTS_A_DAY: llm.requests_per_day,
    }
    return {unit: value for unit, value in said.items() if value is not None}


def in_force(known: KnownLimits, llm: Llm) -> Mapping[Unit, Limit]:
    """Return the limits that count, by unit; what nobody tells is absent."""
    told, ours = known.by_unit, declared(llm)
    found = {}
    for unit in UNITS:
        theirs = told.get(unit)
        own = ours[unit] * known.keys if unit in ours else None
        if theirs is not None and (own is None or theirs.value <= own):
            found[unit] = Limit(theirs.value, theirs.source, theirs.at)
        elif own is not None:
            found[unit] = Limit(own, SPEC)
    return found


def of_level(known: KnownLimits) -> Unit:
    """Return whose bucket the provider tells the level of: all tokens, where it limits those."""
    told = known.by_unit
    return (
        Unit.INPUT_TOKENS if Unit.INPUT_TOKENS in told and Unit.TOKENS not in told else Unit.TOKENS
    )


class KeptLimit(Model):
    """A limit of the provider that was believed."""

    unit: Unit
    value: int
    source: str


class KeptLimits(Model):
    """What of them survives the process."""

    limits: tuple[KeptLimit, ...] = ()


def kept(known: KnownLimits) -> KeptLimits:
    """Return what the next process needs."""
    limits = sorted(known.by_unit.items())
    return KeptLimits(limits=tuple(_kept(unit, one.value, one.source) for unit, one in limits))


@lru_cache(KEPT_LIMITS)
def _kept(unit: Unit, value: int, source: str) -> KeptLimit:
    return KeptLimit(unit=unit, value=value, source=source)


def restored(kept: KeptLimits, now: float) -> KnownLimits:
    """Return what a process starts with."""
    return KnownLimits({one.unit: KnownLimit(one.value, one.source, now) for one in kept.limits})


def _believe(known: KnownLimit | None, told: KnownLimit) -> KnownLimit:
    if known is None or told.value <= known.value:
        return told
    if known.higher is None or known.higher_at is None:
        return known._replace(at=told.at, higher=told.value, higher_at=told.at)
    if told.at <= known.higher_at:
        return known
    agreed = min(known.higher, told.value)
    if told.value > agreed:
        return KnownLimit(agreed, told.source, told.at, told.value, told.at)
    return KnownLimit(agreed, told.source, told.at)
