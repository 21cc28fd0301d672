"""One tick of one pool, from top to bottom: parse -> observe -> decide -> act -> status."""

import logging
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from pydantic import ValidationError

from scanpool import changes, conditions, status
from scanpool.budgets import Budgets
from scanpool.cluster import Cluster
from scanpool.decide import after_scaling, checkpoint, decide, probe_age, restore
from scanpool.metrics import Metrics
from scanpool.models.conditions import Reason
from scanpool.models.decision import Decision
from scanpool.models.memory import Memory, Quota
from scanpool.models.observation import Observation
from scanpool.models.reading import Unavailable
from scanpool.models.spec import Mode, PoolSpec
from scanpool.models.status import PoolStatus
from scanpool.observe import Observer
from scanpool.status import Scaled
from scanpool.threads import in_thread

T = TypeVar("T")

# A claim outlives so many missed ticks and the longest one: the pool may only be slow to read.
CLAIM_INTERVALS = 3
CLAIM_SECONDS = 60.0

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Pool:
    """A ScanWorkerPool as the API server sent it."""

    namespace: str
    name: str
    uid: str
    generation: int
    spec: Mapping[str, Any]
    status: Mapping[str, Any]

    @classmethod
    def from_body(cls, body: Mapping[str, Any]) -> "Pool":
        """Take what a tick needs of an object of the API."""
        metadata = body["metadata"]
        return cls(
            namespace=metadata["namespace"],
            name=metadata["name"],
            uid=metadata["uid"],
            generation=metadata.get("generation", 0),
            spec=body.get("spec") or {},
            status=body.get("status") or {},
        )


class Reconciler:
    """Carries out ticks. One for all pools; `clock` tells seconds since the epoch."""

    def __init__(
        self,
        cluster: Cluster,
        observer: Observer,
        budgets: Budgets,
        metrics: Metrics,
        executor: Executor,
        clock: Callable[[], float],
    ) -> None:
        self._cluster = cluster
        self._observer = observer
        self._budgets = budgets
        self._metrics = metrics
        self._executor = executor
        self._clock = clock

    async def is_gone(self, pool: Pool) -> bool:
        """Tell whether the API server knows that the pool exists no more.

        A watch does not always tell: what is deleted while it is broken, or in the moment in which
        the CRD goes, is never heard of.
        """
        found = await in_thread(self._executor, self._cluster.read_pool, pool.namespace, pool.name)
        if isinstance(found, Unavailable):
            return found.reason is Reason.NOT_FOUND
        return Pool.from_body(found.value).uid != pool.uid

    async def tick(self, pool: Pool, memory: Memory | None) -> tuple[Pool, Memory | None]:
        """Bring a pool one step nearer to what it should be.

        Returns the pool with the status that it now has, and the memory for its next tick; None
        before the first decision of this process.
        """
        previous = _previous(pool)
        spec = parse(pool)
        if isinstance(spec, Unavailable):
            return await self._give_up(pool, previous, spec), memory
        target = await self._observer.read_target(pool.namespace, spec.scale_target_ref.name)
        if isinstance(target, Unavailable):
            return await self._give_up(pool, previous, target), memory

        if memory is None:
            memory = restore(previous.checkpoint, self._clock())
        max_age = _probe_age(pool, previous, spec, memory)
        observation = await self._observer.observe(pool.namespace, spec, target.value, max_age)
        now = self._clock()
        decision, memory = self._decide(pool, spec, observation, memory, now)
        scaled, refusal = await self._act(pool, spec, decision)
        if scaled is not None:
            memory = after_scaling(memory, scaled.before, scaled.after, now)
        current = status.of_tick(
            previous,
            pool.generation,
            spec,
            observation,
            decision,
            checkpoint(memory),
            scaled,
            refusal,
            now,
        )
        self._metrics.record(pool.namespace, pool.name, current)
        return await self._publish(pool, previous, current), memory

    def forget(self, namespace: str, name: str) -> None:
        """Let go of a pool that was deleted: the others may have its share."""
        self._budgets.forget(f"{namespace}/{name}")

    def _decide(
        self, pool: Pool, spec: PoolSpec, observation: Observation, memory: Memory, now: float
    ) -> tuple[Decision, Memory]:
        """Decide beside the pools of the same key and model.

        Nothing is awaited between reading their claims and publishing this one: no two pools take
        the same free share.
        """
        name, identity = f"{pool.namespace}/{pool.name}", observation.identity
        peers = () if identity is None else self._budgets.peers(identity, name, now)
        decision, memory = decide(spec, replace(observation, pool=name, peers=peers), memory, now)
        lasts = CLAIM_INTERVALS * spec.polling_interval_seconds + CLAIM_SECONDS
        if identity is None:
            self._budgets.forget(name)
        else:
            self._budgets.publish(identity, name, decision.claim, now, lasts)
        return decision, memory

    async def _act(
        self, pool: Pool, spec: PoolSpec, decision: Decision
    ) -> tuple[Scaled | None, Unavailable | None]:
        """Scale the target if it has to be; tell what was done, or why it was refused."""
        if spec.mode is Mode.OBSERVE or decision.desired == decision.current:
            return None, None
        name = spec.scale_target_ref.name
        refusal = await in_thread(
            self._executor,
            self._cluster.scale,
            pool.namespace,
            name,
            decision.current,
            decision.desired,
        )
        if refusal is not None:
            return None, refusal
        logger.info(
            "Scaled %s/%s from %d to %d (limited by %s): %s",
            pool.namespace, name, decision.current, decision.desired, decision.limited_by,
            decision.reason,
        )  # fmt: skip
        await self._event(
            pool,
            warning=False,
            reason="SuccessfulRescale",
            message=f"Scaled Deployment {name} from {decision.current} to {decision.desired}; "
            f"limited by {decision.limited_by}: {decision.reason}",
        )
        return Scaled(decision.current, decision.desired), None

    async def _give_up(self, pool: Pool, previous: PoolStatus, failure: Unavailable) -> Pool:
        # What it still uses is then seen as others' use.
        self.forget(pool.namespace, pool.name)
        current = status.of_failure_before(previous, pool.generation, failure, self._clock())
        self._metrics.record(pool.namespace, pool.name, current)
        return await self._publish(pool, previous, current)

    async def _publish(self, pool: Pool, previous: PoolStatus, current: PoolStatus) -> Pool:
        """Write the status if it has news, with an Event for each condition that has turned."""
        if not changes.is_news(previous, current):
            return pool
        body = current.model_dump(mode="json", by_alias=True, exclude_none=True)
        written = await in_thread(
            self._executor, self._cluster.write_status, pool.namespace, pool.name, body
        )
        if isinstance(written, Unavailable):
            if written.reason is not Reason.NOT_FOUND:
                logger.warning(
                    "The status of %s/%s was not written: %s",
                    pool.namespace, pool.name, written.message,
                )  # fmt: skip
            return pool
        for condition in conditions.turned(previous.conditions, current.conditions):
            await self._event(
                pool,
                warning=not conditions.is_good(condition),
                reason=condition.reason,
                message=f"{condition.type} is {condition.status}: {condition.message}",
            )
        return Pool.from_body(written.value)

    async def _event(self, pool: Pool, *, warning: bool, reason: str, message: str) -> None:
        refusal = await in_thread(
            self._executor,
            self._cluster.emit_event,
            pool.namespace,
            pool.name,
            pool.uid,
            warning=warning,
            reason=reason,
            message=message,
        )
        if refusal is not None:
            logger.warning("An Event was not written: %s", refusal.message)


def parse(pool: Pool) -> PoolSpec | Unavailable:
    """Return the pool's spec, or what is wrong with it and where."""
    try:
        return PoolSpec.model_validate(pool.spec)
    except ValidationError as error:
        wrong = "; ".join(
            f"spec{''.join(f'.{part}' for part in one['loc'])}: "
            f"{one['msg'].removeprefix('Value error, ')}"
            for one in error.errors(include_url=False, include_input=False)
        )
        return Unavailable(Reason.INVALID_SPEC, wrong)


def _probe_age(pool: Pool, previous: PoolStatus, spec: PoolSpec, memory: Memory) -> float:
    """Return how old the provider's answer may be, in seconds.

    A change of the spec may be the remedy that an open breaker waits for: it is tried at once.
    """
    is_changed = pool.generation != previous.observed_generation
    if spec.llm is None or (is_changed and memory.quota is Quota.OPEN):
        return 0.0
    return probe_age(spec.llm, memory)


def _previous(pool: Pool) -> PoolStatus:
    try:
        return PoolStatus.model_validate(pool.status)
    except ValidationError:
        # Written by hand, or by another version: nothing in it can be built upon.
        return PoolStatus()
