"""The limits per minute: what the spec, the probe and the Admin API say, and which counts.

Precedence: the provider's word is the probe's answer (its headers, else the message of its 429),
and where that tells no limit, the Admin API's. Of the provider's word and the spec's the smaller
counts. A provider's limit that falls is believed at once, one that rises only when a later answer
agrees: a single odd header must not let a pool run into 429s.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from scanpool.models.budget import Unit
from scanpool.models.llm import Llm
from scanpool.models.memory import KnownLimit, Memory
from scanpool.models.observation import Observation
from scanpool.models.reading import Available

PROBE, ADMIN, SPEC = "probe", "admin", "spec"
# A limit that nobody has told for this long is forgotten: headers may come and go behind gateways.
KEPT_SECONDS = 3600.0
TOKEN_UNITS = (Unit.TOKENS, Unit.INPUT_TOKENS, Unit.OUTPUT_TOKENS)


@dataclass(frozen=True, slots=True)
class Limit:
    """A limit per minute, who told it, and when (seconds since the epoch; None: the spec)."""

    value: int
    source: str
    at: float | None = None


def learn(llm: Llm, observation: Observation, memory: Memory, now: float) -> Memory:
    """Return the memory with what this tick's answers say of the provider's limits.

    Those of another provider, model or address say nothing of this one.
    """
    told = _told(observation)
    if observation.provider is None and observation.configured is None:
        return replace(memory, limits={}, limits_of=None)
    whose = (llm.provider, llm.model, llm.api_base)
    if memory.limits_of not in (None, whose):
        memory = replace(memory, limits={})
    memory = replace(memory, limits_of=whose)
    kept = {unit: one for unit, one in memory.limits.items() if now - one.at <= KEPT_SECONDS}
    believed = {unit: _believe(kept.get(unit), limit) for unit, limit in told.items()}
    return replace(memory, limits={**kept, **believed})


def in_force(llm: Llm, memory: Memory) -> Mapping[Unit, Limit]:
    """Return the limits that count, by unit; what nobody tells is absent."""
    declared = {Unit.TOKENS: llm.tokens_per_minute, Unit.REQUESTS: llm.requests_per_minute}
    found = {}
    for unit in Unit:
        known, own = memory.limits.get(unit), declared.get(unit)
        if known is not None and (own is None or known.value <= own):
            found[unit] = Limit(known.value, known.source, known.at)
        elif own is not None:
            found[unit] = Limit(own, SPEC)
    return found


def is_told(llm: Llm, observation: Observation) -> bool:
    """Tell whether anyone says now what the limit on tokens is."""
    told = _told(observation)
    return llm.tokens_per_minute is not None or any(unit in told for unit in TOKEN_UNITS)


def _told(observation: Observation) -> dict[Unit, KnownLimit]:
    """Return what the provider says now: the Admin API only where the probe's answer is silent."""
    found: dict[Unit, KnownLimit] = {}
    if isinstance(configured := observation.configured, Available):
        for unit, value in (
            (Unit.TOKENS, configured.value.tokens_per_minute),
            (Unit.REQUESTS, configured.value.requests_per_minute),
        ):
            if value is not None:
                found[unit] = KnownLimit(value, ADMIN, configured.at)
    if isinstance(provider := observation.provider, Available):
        for unit, value in (
            (Unit.TOKENS, provider.value.tokens_per_minute),
            (Unit.INPUT_TOKENS, provider.value.input_tokens_per_minute),
            (Unit.OUTPUT_TOKENS, provider.value.output_tokens_per_minute),
            (Unit.REQUESTS, provider.value.requests_per_minute),
        ):
            if value is not None:
                found[unit] = KnownLimit(value, PROBE, provider.at)
    return found


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
