"""Nodes, the scheduler, and the Deployment that an autoscaler scales."""

from scanpool_replay.pod import Notices, Phase, Pod
from scanpool_replay.provider import Account, Caller
from scanpool_replay.settings import Nodes, Worker
from scanpool_replay.work import Shop

MILLI = 1000
# Eviction's order of who goes first when a replica is not needed any more.
_STOPPED_FIRST = {Phase.PENDING: 0, Phase.STARTING: 1, Phase.READY: 2}


class Node:
    """A node and the pods on it."""

    __slots__ = ("_settings", "name", "pods")

    def __init__(self, name: str, settings: Nodes) -> None:
        self._settings = settings
        self.name = name
        self.pods: list[Pod] = []

    def fits(self, worker: Worker) -> bool:
        """Tell whether the requests of one more pod fit beside those that are there."""
        count = len(self.pods) + 1
        return (
            count * worker.memory_request_mebibytes <= self._settings.memory_mebibytes
            and count * worker.cpu_request_millicores <= self._settings.cpu_millicores
            and count <= self._settings.pods
        )

    def memory(self) -> float:
        """Return the working sets of its pods, in MiB."""
        return sum(pod.memory for pod in self.pods)

    def is_overfull(self) -> bool:
        """Tell whether its pods use more memory than there is."""
        return self.memory() > self._settings.memory_mebibytes

    def share_cpu(self, limit_millicores: int) -> None:
        """Give each busy pod an equal part of the CPU, up to its limit."""
        busy = [pod for pod in self.pods if pod.cpu.busy]
        if busy:
            cores = min(limit_millicores, self._settings.cpu_millicores / len(busy)) / MILLI
            for pod in busy:
                pod.cpu.set_capacity(cores)


class Cluster:
    """The pods, those of the Deployment and those outside it, on their nodes."""

    def __init__(self, shop: Shop, nodes: Nodes, worker: Worker, replicas: int) -> None:
        self._shop = shop
        self._worker = worker
        self._numbers = dict.fromkeys(Caller, 0)
        self.settings = nodes
        self.nodes = {
            name: Node(name, nodes) for name in (f"node-{one}" for one in range(nodes.count))
        }
        self.pods: list[Pod] = []  # of the Deployment, the stopping ones too
        self.oom_kills = 0
        self.desired = replicas
        for _ in range(worker.outside_pods):
            self._place(self._create(shop.canary), is_old=True)
        for _ in range(replicas):
            pod = self._create(shop.pool)
            self.pods.append(pod)
            self._place(pod, is_old=True)

    def members(self) -> list[Pod]:
        """Return the pods that count as replicas."""
        return [pod for pod in self.pods if pod.belongs]

    def ready(self) -> int:
        """Return how many replicas are ready."""
        return sum(pod.phase is Phase.READY for pod in self.pods)

    def capacity(self) -> int:
        """Return how many replicas the scheduler could place at most, beside the pods outside."""
        worker, nodes = self._worker, self.settings
        per_node = [nodes.pods]
        if worker.memory_request_mebibytes:
            per_node.append(nodes.memory_mebibytes // worker.memory_request_mebibytes)
        if worker.cpu_request_millicores:
            per_node.append(nodes.cpu_millicores // worker.cpu_request_millicores)
        return max(min(per_node) * nodes.count - worker.outside_pods, 0)

    def scale(self, replicas: int) -> None:
        """Set the Deployment's replicas; pods come and go for it at once."""
        self.desired = replicas
        members = self.members()
        for _ in range(replicas - len(members)):
            pod = self._create(self._shop.pool)
            self.pods.append(pod)
            self._place(pod, is_old=False)
        surplus = len(members) - replicas
        if surplus > 0:
            # As a ReplicaSet does: first those that are not ready, then the youngest.
            order = sorted(members, key=lambda pod: (_STOPPED_FIRST[pod.phase], -pod.created_at))
            for pod in order[:surplus]:
                pod.stop()

    def kill_busiest(self) -> None:
        """Kill the container of the replica with the most in hand."""
        ready = [pod for pod in self.pods if pod.phase is Phase.READY]
        if ready:
            max(ready, key=lambda pod: pod.in_hand).kill()

    def _create(self, account: Account) -> Pod:
        self._numbers[account.caller] += 1
        kind = "scan-worker" if account.caller is Caller.POOL else "scan-worker-canary"
        name = f"{kind}-{self._numbers[account.caller]}"
        return Pod(
            name, account, self._shop, self._worker, Notices(self._grown, self._gone, self._busy)
        )

    def _place(self, pod: Pod, *, is_old: bool) -> None:
        """Put a pod on the emptiest node that has room for its requests, if there is one."""
        open_nodes = [node for node in self.nodes.values() if node.fits(self._worker)]
        if not open_nodes:
            return
        node = min(open_nodes, key=lambda one: len(one.pods))
        node.pods.append(pod)
        if is_old:
            pod.node = node.name
            pod.be_ready()
        else:
            pod.place(node.name)

    def _grown(self, pod: Pod) -> None:
        """Kill what uses too much memory: the pod over its limit, or the largest of a full node."""
        if pod.memory > self._worker.memory_limit_mebibytes:
            self._kill_for_memory(pod)
        elif pod.node is not None and (node := self.nodes[pod.node]).is_overfull():
            self._kill_for_memory(max(node.pods, key=lambda one: one.memory))

    def _kill_for_memory(self, pod: Pod) -> None:
        def kill() -> None:
            if pod.memory:  # not killed since
                self.oom_kills += 1
                pod.kill(out_of_memory=True)

        self._shop.engine.after(0.0, kill)

    def _gone(self, pod: Pod) -> None:
        if pod.node is not None:
            self.nodes[pod.node].pods.remove(pod)
        if pod in self.pods:
            self.pods.remove(pod)
        for waiting in self.pods:
            if waiting.phase is Phase.PENDING:
                self._place(waiting, is_old=False)

    def _busy(self, pod: Pod) -> None:
        if pod.node is not None:
            self.nodes[pod.node].share_cpu(self._worker.cpu_limit_millicores)
