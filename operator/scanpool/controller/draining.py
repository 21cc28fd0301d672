"""Before replicas are taken away: let Kubernetes take the pods whose workers hold the least."""

import asyncio
import logging

from scanpool.decide import victims
from scanpool.kube.cluster import Cluster
from scanpool.models.deliveries import Worker
from scanpool.models.observation import Target
from scanpool.models.pool import Pool
from scanpool.models.reading import Unavailable
from scanpool.models.spec import PoolSpec
from scanpool.observe.observer import Observer

logger = logging.getLogger(__name__)


class Draining:
    """Marks the pods that are to go, at the time of a scale-down only.

    What cannot be read or written holds nothing: Kubernetes then picks. It is told once, and again
    after it went well.
    """

    def __init__(self, cluster: Cluster, observer: Observer) -> None:
        self._cluster, self._observer = cluster, observer
        # By the pool's key, what was told last.
        self._told: dict[str, str] = {}

    async def prefer_idle(self, pool: Pool, spec: PoolSpec, target: Target, desired: int) -> None:
        """Mark the idlest pods where a target gets fewer replicas than it has pods."""
        going = len(target.pods) - desired
        # Of all of them there is nothing to choose.
        if going <= 0 or desired == 0 or spec.rabbitmq.management_url_secret_ref is None:
            return
        workers = [
            Worker(pod.name, pod.address, pod.ready, pod.deletion_cost)
            for pod in target.pods
            if pod.goes_by_cost
        ]
        if not workers:
            return
        told = await self._observer.read_consuming(pool.namespace, spec)
        if isinstance(told, Unavailable):
            self._tell(pool, f"Idle pods of {pool.key} cannot be told: {told.message}")
            return
        costs = victims.choose(workers, told.value, going)
        done = await asyncio.gather(
            *(
                self._cluster.set_deletion_cost(pool.namespace, pod, cost)
                for pod, cost in costs.items()
            )
        )
        refusals = [one.message for one in done if one is not None]
        if refusals:
            self._tell(pool, f"A deletion cost of {pool.key} was not written: {refusals[0]}")
        else:
            self.forget(pool.key)

    def forget(self, key: str) -> None:
        """Let go of a pool that was deleted; `key` is its namespace and name."""
        self._told.pop(key, None)

    def _tell(self, pool: Pool, message: str) -> None:
        if self._told.get(pool.key) != message:
            logger.warning("%s; Kubernetes picks which pods go", message)
        self._told[pool.key] = message
