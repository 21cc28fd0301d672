"""One tick of one pool, from top to bottom: observe, assess, learn, decide, act, report."""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import replace
from functools import cache, partial
from typing import NamedTuple

from pydantic import ValidationError

from scanpool.controller.claims import Claims
from scanpool.controller.draining import Draining
from scanpool.controller.pruned import Pruned
from scanpool.decide import (
    Memory,
    Peers,
    after_observing,
    after_scaling,
    assess,
    checkpoint,
    decide,
    followed,
    heard,
    learn,
    probe_ages,
    restore,
    schedules,
)
from scanpool.decide.breaker import Quota
from scanpool.decide.decision import Decision
from scanpool.decide.memory import LlmMemory
from scanpool.decide.observed import Change
from scanpool.decide.permit import permit
from scanpool.decide.signals import Signals
from scanpool.keda.permits import Permits
from scanpool.kube.cluster import Cluster, Happening, Object
from scanpool.kube.events import Events
from scanpool.models.conditions import Reason
from scanpool.models.llm import Llm
from scanpool.models.observation import Observation, Target, of_limits
from scanpool.models.pool import Pool
from scanpool.models.reading import Unavailable
from scanpool.models.spec import Mode, PoolSpec
from scanpool.models.units import Clock
from scanpool.observe.observer import Observer
from scanpool.report import conditions, status
from scanpool.report.metrics import Metrics
from scanpool.report.news import is_news
from scanpool.report.pool_status import PoolStatus
from scanpool.report.status import Outcome, Scaled, Since

# A claim outlives so many missed ticks and the longest one: the pool may only be slow to read. So
# does what a ScaledObject is told.
CLAIM_INTERVALS = 3
CLAIM_SECONDS = 60.0
# A standby sees in the status what the leader's probes were told. Its own only keep the limits
# known, which are remembered for an hour, and cost next to nothing this seldom.
FOLLOWING_PROBE_SECONDS = 300.0

# By the names of limits, and of the keys of each.
ProbeAges = Mapping[str, Mapping[str, float]]
Keys = Mapping[str, Mapping[str, str]]

ENFORCES = Unavailable(
    Reason.SCALING_ENABLED,
    "the pool scales the target itself, which two must not do: give it mode Observe",
)

logger = logging.getLogger(__name__)


class Shown(NamedTuple):
    """Where a pool is to be seen beside its status."""

    metrics: Metrics
    permits: Permits
    events: Events


class Reconciler:
    """Carries out ticks. One for all pools; `clock` tells seconds since the epoch."""

    def __init__(
        self, cluster: Cluster, observer: Observer, claims: Claims, shown: Shown, clock: Clock
    ) -> None:
        self._cluster, self._observer, self._claims = cluster, observer, claims
        self._metrics, self._permits, self._events = shown
        self._clock = clock
        self._draining = Draining(cluster, observer)
        self._pruned = Pruned()

    async def tick(self, pool: Pool, memory: Memory | None) -> tuple[Pool, Memory | None]:
        """Bring a pool one step nearer to what it should be.

        Returns the pool with the status that it now has, and the memory for its next tick; None
        before the first decision of this process.
        """
        since = Since(_previous(pool), pool.generation)
        pool = replace(pool, status=since.status)
        if isinstance(pool.spec, Unavailable):
            return await self._give_up(pool, since, pool.spec), memory
        spec = schedules.under(pool.spec, schedules.in_force(pool.spec, self._clock()))
        target = await self._observer.read_target(pool.namespace, spec.scale_target_ref)
        if isinstance(target, Unavailable):
            return await self._give_up(pool, since, target), memory

        if memory is None:
            memory = restore(since.status.checkpoint, self._clock())
        current, memory = await self._step(pool, since, spec, target.value, memory)
        # What was seen and decided is let go before the write, which may have to wait for many.
        return await self._publish(pool, since.status, current), memory

    async def _step(
        self, pool: Pool, since: Since, spec: PoolSpec, target: Target, memory: Memory
    ) -> tuple[PoolStatus, Memory]:
        """Observe, decide and act; return how the pool then stands, and what was learned."""
        ages = _probe_ages(since, spec, memory)
        seen = await self._observe(pool, spec, target, ages)
        keys = await self._keys(pool.namespace, spec)
        signals, memory, decision = self._think(pool, spec, seen, memory, keys)
        scaled, refusal = await self._act(pool, spec, target, decision)
        if scaled is not None:
            memory = after_scaling(memory, scaled.before, scaled.after, signals.now)
        memory = _observed(spec, signals, memory, decision)
        enforces = spec.mode is Mode.ENFORCE
        found = ENFORCES if enforces else permit(spec, signals, decision)
        self._permits.tell(pool.namespace, pool.name, found, _lasts_seconds(pool))
        elsewhere = self._elsewhere(pool, spec, keys)
        watched = memory.observed, elsewhere, memory.spent
        outcome = Outcome(signals, decision, scaled, refusal, *watched)
        return status.of_tick(since, spec, outcome, checkpoint(memory)), memory

    async def report_stuck(self, pool: Pool) -> None:
        """Say in a pool's conditions that its ticks did not end, and that it begins anew."""
        told = "no tick of this pool has ended in time, and its loop was started anew"
        hint = "see the operator's log, and report it as a defect if it happens again"
        since = Since(_previous(pool), pool.generation)
        stuck = Unavailable(Reason.TICKS_STUCK, f"{told}; {hint}")
        await self._give_up(pool, since, stuck)

    async def follow(self, pool: Pool, memory: Memory | None) -> Memory | None:
        """Learn what a tick would, and leave acting and telling to the process that leads."""
        if isinstance(pool.spec, Unavailable):
            return memory
        spec = schedules.under(pool.spec, schedules.in_force(pool.spec, self._clock()))
        target = await self._observer.read_target(pool.namespace, spec.scale_target_ref)
        if isinstance(target, Unavailable):
            return memory
        since = Since(_previous(pool), pool.generation)
        memory = self.heard(pool, memory) or restore(since.status.checkpoint, self._clock())
        ages = {
            name: {key: max(age, FOLLOWING_PROBE_SECONDS) for key, age in those.items()}
            for name, those in _probe_ages(since, spec, memory).items()
        }
        seen = await self._observe(pool, spec, target.value, ages)
        keys = await self._keys(pool.namespace, spec)
        signals, memory, decision = self._think(pool, spec, seen, memory, keys)
        return _observed(spec, signals, memory, decision)

    def heard(self, pool: Pool, memory: Memory | None) -> Memory | None:
        """Return the memory of a process that follows, after reading the leader's last status."""
        told = _previous(pool)
        if memory is None or told.checkpoint is None:
            return memory
        return heard(memory, told.checkpoint, status.scalings(told))

    def forget(self, namespace: str, name: str) -> None:
        """Let go of a pool that was deleted: the others may have its share."""
        self._claims.forget(f"{namespace}/{name}")
        self._draining.forget(f"{namespace}/{name}")
        self._permits.forget(namespace, name)

    async def _observe(
        self, pool: Pool, spec: PoolSpec, target: Target, probe_ages: ProbeAges
    ) -> Observation:
        """Read what the pool asks for beside each of its limits, all at once."""
        observe, namespace = self._observer.observe, pool.namespace
        rivals = await self._observer.read_rivals(namespace, pool.name, spec.scale_target_ref)
        if not probe_ages:
            return replace(await observe(namespace, spec, target, {}), rivals=rivals)
        reads = (
            observe(namespace, spec.only(name), target, ages) for name, ages in probe_ages.items()
        )
        seen = of_limits(dict(zip(probe_ages, await asyncio.gather(*reads), strict=True)))
        return replace(seen, rivals=rivals)

    async def _keys(self, namespace: str, spec: PoolSpec) -> Keys:
        """Return the API keys that the pool burns, by its names for the limits and for the keys."""
        return {
            name: await self._observer.read_keys(namespace, llm)
            for name, llm in spec.limits.items()
        }

    def _elsewhere(
        self, pool: Pool, spec: PoolSpec, keys: Keys
    ) -> Mapping[str, tuple[str, ...]] | None:
        """Return the other shards whose pools use the keys of each limit; None: no shards."""
        used = {
            f"{name}/{key}": (spec.limits[name].provider, text)
            for name, those in keys.items()
            for key, text in those.items()
        }
        found = self._claims.elsewhere(pool.key, used)
        if found is None:
            return None
        return {
            name: tuple(sorted({one for key in those for one in found[f"{name}/{key}"]}))
            for name, those in keys.items()
            if those
        }

    def _think(
        self,
        pool: Pool,
        spec: PoolSpec,
        seen: Observation,
        memory: Memory,
        keys: Keys,
    ) -> tuple[Signals, Memory, Decision]:
        """Decide beside the pools of the same keys and models.

        Nothing is awaited between reading their claims and publishing this one: no two pools take
        the same free share.
        """
        now = self._clock()
        memory = followed(memory, now)
        # The limit of each key is one for itself: another pool may burn only some of the keys.
        identities = {
            name: {
                key: self._claims.identity(llm.provider, text, llm.model, llm.shared_with)
                for key, text in keys[name].items()
            }
            for name, llm in spec.limits.items()
        }
        claims = {
            name: {key: self._claims.peers(one, pool.key, now) for key, one in those.items()}
            for name, those in identities.items()
        }
        signals = assess(spec, seen, memory, now)
        memory = learn(spec, signals, memory)
        decision = decide(spec, signals, memory, Peers(pool.key, claims), pool.pause)

        made = {
            f"{name}/{key}": (identities[name][key], claim)
            for name, by_key in decision.claims.items()
            for key, claim in by_key.items()
            if key in identities[name]
        }
        self._claims.withdraw(pool.key, but=made)
        lasts = _lasts_seconds(pool)
        for limit, (identity, claim) in made.items():
            self._claims.publish(identity, claim, now, lasts, limit)
        return signals, memory, decision

    async def _act(
        self, pool: Pool, spec: PoolSpec, target: Target, decision: Decision
    ) -> tuple[Scaled | None, Unavailable | None]:
        """Scale the target if it has to be; tell what was done, or why it was refused."""
        if spec.mode is Mode.OBSERVE or decision.desired == decision.current:
            return None, None
        ref, scaled = spec.scale_target_ref, Scaled(decision.current, decision.desired)
        await self._draining.prefer_idle(pool, spec, target, decision.desired)
        refusal = await self._cluster.scale(target.resource, pool.namespace, ref.name, *scaled)
        if refusal is not None:
            return None, refusal
        self._observer.scaled(pool.namespace, ref, scaled.after)
        place, limit, reason = f"{pool.namespace}/{ref.name}", decision.limited_by, decision.reason
        logger.info("Scaled %s from %d to %d (limited by %s): %s", place, *scaled, limit, reason)
        change = f"from {scaled.before} to {scaled.after}; limited by {limit}: {reason}"
        self._event(pool, Happening("SuccessfulRescale", f"Scaled {ref.kind} {ref.name} {change}"))
        return scaled, None

    async def _give_up(self, pool: Pool, since: Since, failure: Unavailable) -> Pool:
        # What it still uses is then seen as others' use.
        self.forget(pool.namespace, pool.name)
        self._permits.tell(pool.namespace, pool.name, failure, _lasts_seconds(pool))
        current = status.of_failure_before(since, failure, self._clock())
        return await self._publish(pool, since.status, current)

    async def _publish(self, pool: Pool, previous: PoolStatus, current: PoolStatus) -> Pool:
        """Show the status, and write it if it has news, with an Event for each turned condition."""
        self._metrics.record(pool.namespace, pool.name, current)
        if not is_news(previous, current):
            return pool
        body = cache(partial(current.model_dump, mode="json", by_alias=True, exclude_none=True))
        written = await self._cluster.write_status(pool.namespace, pool.name, body)
        if isinstance(written, Unavailable):
            if written.reason is not Reason.NOT_FOUND:
                logger.warning("The status of %s was not written: %s", pool.key, written.message)
            return pool
        for condition in conditions.turned(previous.conditions, current.conditions):
            told = f"{condition.type} is {condition.status}: {condition.message}"
            is_warning = not conditions.is_good(condition)
            self._event(pool, Happening(condition.reason, told, is_warning))
        self._pruned.look(written.value, body())
        # As it was written: what the server took away would else be news to every tick.
        return replace(pool.changed(written.value), status=current)

    def _event(self, pool: Pool, event: Happening) -> None:
        self._events.tell(Object(pool.namespace, pool.name, pool.uid), event)


def _lasts_seconds(pool: Pool) -> float:
    return CLAIM_INTERVALS * pool.interval_seconds + CLAIM_SECONDS


def _probe_ages(since: Since, spec: PoolSpec, memory: Memory) -> ProbeAges:
    """Return how old the provider's answer may be, in seconds, for each limit and key.

    A change of the spec may be the remedy that an open breaker waits for: it is tried at once.
    """
    is_changed = since.generation != since.status.observed_generation

    def ages(one: LlmMemory, llm: Llm) -> Mapping[str, float]:
        usual = probe_ages(one.probing, one.breaker, one.keys, llm)
        is_open = {key: one.keys.get(key, one.breaker).state is Quota.OPEN for key in usual}
        return {key: 0.0 if is_changed and is_open[key] else age for key, age in usual.items()}

    return {name: ages(memory.of(name), llm) for name, llm in spec.limits.items()}


def _observed(spec: PoolSpec, signals: Signals, memory: Memory, decision: Decision) -> Memory:
    """Remember what a pool that only observes would have done."""
    if spec.mode is not Mode.OBSERVE:
        return replace(memory, observed=None)
    decided = Change(
        signals.now, decision.current, decision.desired, decision.limited_by, decision.reason
    )
    return after_observing(memory, decided, holds=signals.holds)


def _previous(pool: Pool) -> PoolStatus:
    """Return the status that a pool has, read once."""
    if isinstance(pool.status, PoolStatus):
        return pool.status
    try:
        return PoolStatus.model_validate(pool.status)
    except ValidationError:
        # Written by hand, or by another version: nothing in it can be built upon.
        return PoolStatus()
