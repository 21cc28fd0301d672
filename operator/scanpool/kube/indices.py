"""What is kept of the cluster's objects, found by what is asked for.

Only what a decision needs of each object is kept (`kube.objects`): of a pod some hundred bytes.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import TypeVar

from scanpool.kube.objects import Json, Placed, Workload, node, placed, workload
from scanpool.models.observation import Node
from scanpool.models.placement import HostPort

At = tuple[str, str]
"""Namespace and name."""
Label = tuple[str, str, str]
"""Namespace, key and value."""
Group = TypeVar("Group", str, Label)


def at(obj: Json) -> At:
    """Return where an object is; the namespace of a cluster's own is empty."""
    return obj["metadata"].get("namespace", ""), obj["metadata"]["name"]


class Workloads:
    """The objects of a kind of apps/v1, of a cluster or of some namespaces."""

    def __init__(self) -> None:
        self._kept: dict[At, Workload] = {}

    async def replace(self, namespace: str, objects: Iterable[Json]) -> None:
        """Take what there is in a namespace, in all of them if it is empty."""
        others = {key: one for key, one in self._kept.items() if namespace not in ("", key[0])}
        self._kept = others | {at(one): workload(one) for one in objects}

    async def put(self, obj: Json) -> None:
        """Take one that is new or has changed."""
        self._kept[at(obj)] = workload(obj)

    async def drop(self, obj: Json) -> None:
        """Let go of one that is gone."""
        self._kept.pop(at(obj), None)

    async def get(self, namespace: str, name: str) -> Workload | None:
        """Return one by its name."""
        return self._kept.get((namespace, name))

    def scaled(self, namespace: str, name: str, replicas: int) -> None:
        """Take what was just written, which the watch tells a moment later."""
        if (found := self._kept.get((namespace, name))) is not None:
            self._kept[namespace, name] = replace(found, replicas=replicas)


@dataclass(slots=True)
class Taken:
    """What the pods on a node hold of it, in bytes and millicores."""

    memory: int = 0
    cpu: int = 0
    pods: int = 0
    extended: Counter[str] = field(default_factory=Counter)
    ports: Counter[HostPort] = field(default_factory=Counter)


class Pods:
    """Pods, by their labels and by what they hold on each node."""

    def __init__(self) -> None:
        self._kept: dict[At, Placed] = {}
        self._labelled: defaultdict[Label, set[At]] = defaultdict(set)
        self._in: defaultdict[str, set[At]] = defaultdict(set)
        self.taken: defaultdict[str, Taken] = defaultdict(Taken)
        """By the node's name."""
        self.changes = 0
        """How often what is taken has changed so far."""

    async def replace(self, namespace: str, objects: Iterable[Json]) -> None:
        """Take what there is in a namespace, in all of them if it is empty."""
        there = {at(one): placed(one) for one in objects}
        for key in [key for key in self._kept if namespace in ("", key[0]) and key not in there]:
            self._forget(key)
        for key, pod in there.items():
            self._take(key, pod)

    async def put(self, obj: Json) -> None:
        """Take one that is new or has changed."""
        self._take(at(obj), placed(obj))

    async def drop(self, obj: Json) -> None:
        """Let go of one that is gone."""
        self._forget(at(obj))

    def of(self, target: Workload) -> Iterator[Placed]:
        """Return the pods that a workload selects, those that go away among them."""
        for key in sorted(self._candidates(target)):
            pod = self._kept[key]
            if target.rules.selects(pod.labels):
                yield pod

    def _candidates(self, target: Workload) -> set[At]:
        """Return the smallest set in the index that holds all pods of a workload."""
        if not target.must:
            return self._in.get(target.namespace, set())
        sets = [
            self._labelled.get((target.namespace, key, value), set()) for key, value in target.must
        ]
        return min(sets, key=len)

    def _take(self, key: At, pod: Placed) -> None:
        self._forget(key)
        self._kept[key] = pod
        self._in[pod.namespace].add(key)
        for label, value in pod.labels.items():
            self._labelled[pod.namespace, label, value].add(key)
        self._count(pod, 1)

    def _forget(self, key: At) -> None:
        pod = self._kept.pop(key, None)
        if pod is None:
            return
        _leave(self._in, pod.namespace, key)
        for label, value in pod.labels.items():
            _leave(self._labelled, (pod.namespace, label, value), key)
        self._count(pod, -1)

    def _count(self, pod: Placed, by: int) -> None:
        if not pod.room or pod.pod.node is None:
            return
        self.changes += 1
        taken = self.taken[pod.pod.node]
        taken.memory += by * pod.memory_requested
        taken.cpu += by * pod.cpu_requested
        taken.pods += by
        for name, amount in pod.extended_requested.items():
            taken.extended[name] += by * amount
        for port in pod.ports:
            taken.ports[port] += by
        if not taken.pods:
            del self.taken[pod.pod.node]


class Nodes:
    """The nodes of a cluster."""

    def __init__(self) -> None:
        self._kept: dict[At, Node] = {}
        self._made: tuple[int, tuple[Node, ...]] | None = None

    async def replace(self, _: str, objects: Iterable[Json]) -> None:
        """Take what there is."""
        self._kept, self._made = {at(one): node(one) for one in objects}, None

    async def put(self, obj: Json) -> None:
        """Take one that is new or has changed."""
        self._kept[at(obj)], self._made = node(obj), None

    async def drop(self, obj: Json) -> None:
        """Let go of one that is gone."""
        self._kept.pop(at(obj), None)
        self._made = None

    def with_pods(self, pods: Pods) -> tuple[Node, ...]:
        """Return all nodes with what the pods on them hold now.

        What all pools make of them is the same, and made once for each change: a room that is older
        than the replicas counts those twice that have started since.
        """
        if self._made is None or self._made[0] != pods.changes:
            self._made = pods.changes, tuple(self._with(pods))
        return self._made[1]

    def _with(self, pods: Pods) -> Iterator[Node]:
        for one in self._kept.values():
            taken = pods.taken.get(one.name, Taken())
            yield replace(
                one,
                memory_requested=taken.memory,
                cpu_requested=taken.cpu,
                pods_running=taken.pods,
                extended_free={
                    name: amount - taken.extended[name]
                    for name, amount in one.extended_free.items()
                },
                ports=frozenset(+taken.ports),
            )


def _leave(sets: dict[Group, set[At]], group: Group, key: At) -> None:
    """Take a pod out of a set, and the set away once it is empty."""
    sets[group].discard(key)
    if not sets[group]:
        del sets[group]
