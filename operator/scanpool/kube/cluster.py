"""What the operator asks of the Kubernetes API; what it watches is in `kube.watched`."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar

from scanpool.kube import objects, rights
from scanpool.kube.answers import Json
from scanpool.kube.api import KubeApi
from scanpool.kube.secret import Secret
from scanpool.kube.watch import PODS, POOLS, SCALE, Kind
from scanpool.models.conditions import Reason
from scanpool.models.deliveries import DELETION_COST
from scanpool.models.names import GROUP, KIND, VERSION
from scanpool.models.reading import Available, Reading, Unavailable
from scanpool.models.resource import Resource
from scanpool.models.units import Clock, timestamp

T = TypeVar("T")

SECRETS, EVENTS = Kind("/api/v1", "secrets"), Kind("/api/v1", "events")
PODS_USED, NODES_USED = (Kind("/apis/metrics.k8s.io/v1beta1", one) for one in ("pods", "nodes"))
# The API server answers from its watch cache: fresh enough to plan with, and cheap for it.
FROM_CACHE = "0"
COMPONENT = "scanpool"


class Object(NamedTuple):
    """An object that an Event is about."""

    namespace: str
    name: str
    uid: str


class Happening(NamedTuple):
    """What an Event says."""

    reason: str
    message: str
    is_warning: bool = False


class Cluster:
    """What is asked for and not watched, and the four kinds of write that the operator makes."""

    def __init__(self, api: KubeApi, clock: Clock) -> None:
        self._api = api
        self._clock = clock

    async def read_pods_used(self, namespace: str) -> Reading[Mapping[tuple[str, str], int]]:
        """Read the working sets of a namespace's pods, of all of them if it is empty, in bytes.

        Empty where metrics.k8s.io is not served: it is a bonus.
        """
        metrics = await self._api.list(PODS_USED.path(namespace))
        return self._seen(objects.pods_used(_items(metrics)))

    async def read_nodes_used(self) -> Reading[Mapping[str, int]]:
        """Read what is in use of the nodes' memory, in bytes; empty as for the pods."""
        metrics = await self._api.list(NODES_USED.path(""))
        return self._seen(objects.nodes_used(_items(metrics)))

    async def read_secret(self, namespace: str, name: str) -> Reading[Secret]:
        """Read a Secret, with all of its keys: whoever names another key of it shares the read."""
        where = f"Secret {namespace}/{name}"
        found = await self._api.get(SECRETS.path_of(namespace, name))
        if isinstance(found, Unavailable):
            return _missing(found, Reason.SECRET_NOT_FOUND, f"{where} does not exist: create it")
        return self._seen(Secret.from_body(found, where))

    async def scale(
        self, of: Resource, namespace: str, name: str, current: int, desired: int
    ) -> Unavailable | None:
        """Set an object's replicas from `current` to `desired`; None if that was done.

        Nothing is written if someone else has changed the replicas since they were observed, nor
        if anyone writes the object in between: the next tick then decides anew.
        """
        path = Kind.of(of).path_of(namespace, name, SCALE)
        scale = await self._api.get(path)
        if isinstance(scale, Unavailable):
            return rights.told(scale, of, namespace)
        found = scale["spec"].get("replicas", 0)
        if found != current:
            return Unavailable(
                Reason.SCALE_CONFLICT,
                f"{of.kind} {namespace}/{name} went from {current} to {found} replicas while "
                "this tick was deciding; the next one decides anew",
            )
        seen = {"resourceVersion": scale["metadata"]["resourceVersion"]}
        done = await self._api.patch(path, {"metadata": seen, "spec": {"replicas": desired}})
        return rights.told(done, of, namespace) if isinstance(done, Unavailable) else None

    async def set_deletion_cost(
        self, namespace: str, pod: str, cost: str | None
    ) -> Unavailable | None:
        """Say how dear a pod is when replicas are taken away, or no more; None if that was done."""
        patch = {"metadata": {"annotations": {DELETION_COST: cost}}}
        done = await self._api.patch(PODS.path_of(namespace, pod), patch)
        return done if isinstance(done, Unavailable) else None

    async def write_status(
        self, namespace: str, name: str, status: Callable[[], Mapping[str, Any]]
    ) -> Reading[Json]:
        """Replace the status of a pool, and return the pool as it then is.

        Replaced as a whole, so that nothing of an older status stays behind. `status` is
        called once it is sent (KubeApi.json_patch).
        """
        path = POOLS.path_of(namespace, name, "/status")

        def changes() -> list[Json]:
            return [{"op": "add", "path": "/status", "value": status()}]

        written = await self._api.json_patch(path, changes)
        return written if isinstance(written, Unavailable) else self._seen(written)

    async def emit_event(self, about: Object, event: Happening, at: float) -> Unavailable | None:
        """Add an Event to a pool, of what happened at a time; None if that was done."""
        now = timestamp(at)
        body = {
            "metadata": {"generateName": f"{about.name}."[:200], "namespace": about.namespace},
            "involvedObject": {"apiVersion": f"{GROUP}/{VERSION}", "kind": KIND, **about._asdict()},
            "type": "Warning" if event.is_warning else "Normal",
            "reason": event.reason,
            "message": event.message[:1024],
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
            "source": {"component": COMPONENT},
            "reportingComponent": COMPONENT,
            "reportingInstance": COMPONENT,
        }
        done = await self._api.create(EVENTS.path(about.namespace), body)
        return done if isinstance(done, Unavailable) else None

    async def read_pool(self, namespace: str, name: str) -> Reading[Json]:
        """Read a ScanWorkerPool as it is."""
        pool = await self._api.get(POOLS.path_of(namespace, name))
        return pool if isinstance(pool, Unavailable) else self._seen(pool)

    async def read_pools(self, namespace: str | None) -> Reading[tuple[Json, ...]]:
        """Read all ScanWorkerPools of a namespace; of all of them if it is None."""
        cached = {"resourceVersion": FROM_CACHE}
        pools = await self._api.list(POOLS.path(namespace or ""), cached)
        return pools if isinstance(pools, Unavailable) else self._seen(tuple(_items(pools)))

    def _seen(self, value: T) -> Available[T]:
        return Available(value, self._clock(), "kubernetes")


def _items(listed: Json | Unavailable) -> list[Json]:
    """Return a list's items; none where metrics.k8s.io is not served: it is a bonus."""
    return [] if isinstance(listed, Unavailable) else listed["items"]


def _missing(refusal: Unavailable, reason: Reason, message: str) -> Unavailable:
    """Say what a 404 means for this object; leave every other refusal as it is."""
    return Unavailable(reason, message) if refusal.reason is Reason.NOT_FOUND else refusal
