"""Two operators on one cluster: one acts, and the other takes over, whenever the first is killed.

`make takeovers` does it twenty times with the default terms, `make test` twice and with a
shorter Lease.
"""

import itertools
import os
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from sandbox.broker import Queues
from sandbox.operator_process import Operator
from sandbox.patience import until
from sandbox.scene import Scene, open_scene
from sandbox.stage import HOME, Stage
from scanpool.lead.election import Terms
from scanpool_sandbox.kube.access.audit import AuditEntry
from scanpool_sandbox.rabbitmq_server import RabbitMQServer

NAME, QUEUE = "scan-worker", "scan.vision"
KILLS = int(os.environ.get("SCANPOOL_KILLS", "2"))
TERMS = Terms(int(os.environ.get("SCANPOOL_LEASE_SECONDS", "6")))
SEED = 11
TAKEOVER_SECONDS = 20.0
"""From a kill until the standby leads, and writes where there is something to write."""
WINDOW_SECONDS = 2 * TERMS.seconds
"""Of stabilization: longer than a takeover takes."""
SLOW_DOWN = {
    "scaleUp": {"policies": [{"type": "Pods", "value": 100, "periodSeconds": 1}]},
    "scaleDown": {
        "policies": [{"type": "Pods", "value": 100, "periodSeconds": 1}],
        "stabilizationWindowSeconds": WINDOW_SECONDS,
    },
}


@dataclass
class Replica:
    """A process with an account of its own, so that the record of requests tells who wrote."""

    account: str
    operator: Operator

    @property
    def user(self) -> str:
        return f"system:serviceaccount:{HOME}:{self.account}"


class Pair:
    """Two replicas, and what they wrote."""

    def __init__(self, stage: Stage, replicas: list[Replica]) -> None:
        self.stage, self.replicas = stage, replicas

    def start(self) -> None:
        for replica in self.replicas:
            replica.operator.start()
            until("one leads", lambda: any(one.operator.leads() for one in self.replicas))

    @property
    def leader(self) -> Replica:
        (found,) = (one for one in self.replicas if one.operator.leads())
        return found

    def other(self, than: Replica) -> Replica:
        (found,) = (one for one in self.replicas if one is not than)
        return found

    def requests(self) -> list[AuditEntry]:
        """All requests that were granted, oldest first."""
        audit = self.stage._background.call(lambda: list(self.stage.emulator.audit))
        return [one for one in audit if one.code < 300]

    def writes(self, replica: Replica | None = None) -> list[AuditEntry]:
        """What was written of pools: scales, statuses and Events."""
        users = {one.user for one in self.replicas} if replica is None else {replica.user}
        return [
            one
            for one in self.requests()
            if one.is_write and one.user in users and one.resource != "leases"
        ]

    def takings(self) -> list[AuditEntry]:
        """What was written of the Lease."""
        return [one for one in self.requests() if one.is_write and one.resource == "leases"]


@pytest.fixture
def pair(stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """The two, in the place of the operator of all other tests."""
    single = stage.operator
    single.stop()
    stage.kube.delete(f"/apis/coordination.k8s.io/v1/namespaces/{HOME}/leases/scanpool")
    replicas = []
    rbac = "/apis/rbac.authorization.k8s.io/v1"
    bindings = (
        (f"{rbac}/clusterrolebindings", "ClusterRole", "scanpool"),
        (f"{rbac}/namespaces/{HOME}/rolebindings", "Role", "scanpool-lease"),
    )
    for account in ("scanpool-a", "scanpool-b"):
        stage.kube.post(
            f"/api/v1/namespaces/{HOME}/serviceaccounts", {"metadata": {"name": account}}
        )
        for path, kind, name in bindings:
            subject = {"kind": "ServiceAccount", "name": account, "namespace": HOME}
            role = {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name}
            body = {"metadata": {"name": account}, "roleRef": role, "subjects": [subject]}
            stage.kube.post(path, body)
        directory = tmp_path_factory.mktemp(account)
        token = stage.emulator.token_for(HOME, account)
        kubeconfig = stage.emulator.write_kubeconfig(directory / "kubeconfig", token, HOME)
        lease = ("--lease-seconds", str(TERMS.seconds))
        replicas.append(Replica(account, Operator(directory / "operator", kubeconfig, *lease)))
    made = Pair(stage, replicas)
    # A scene asks it, at its end, whether its pools are forgotten.
    stage.operator = replicas[0].operator
    try:
        made.start()
        yield made
        for replica in replicas:
            assert "Traceback" not in replica.operator.log
    finally:
        for replica in replicas:
            replica.operator.kill()
        for account in ("scanpool-a", "scanpool-b"):
            for path, _, _ in bindings:
                stage.kube.delete(f"{path}/{account}")
            stage.kube.delete(f"/api/v1/namespaces/{HOME}/serviceaccounts/{account}")
        stage.kube.delete(f"/apis/coordination.k8s.io/v1/namespaces/{HOME}/leases/scanpool")
        stage.operator = single
        single.start()


@pytest.fixture
def scene(stage: Stage, pair: Pair, rabbitmq: RabbitMQServer) -> Iterator[Scene]:
    """A pool that grows at once and shrinks after its window; the pair works it."""
    with open_scene(stage, rabbitmq) as scene:
        scene.queues.declare(QUEUE)
        scene.create_deployment(NAME)
        scene.create_pool(NAME, QUEUE, behavior=SLOW_DOWN)
        until("the pool is worked", pair.writes)
        yield scene
        scene.kube.delete(f"{scene.pools}/{NAME}")


def burst(queues: Queues, seconds: float) -> None:
    """Let messages come for some time, twenty a second."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        queues.publish(QUEUE, 2)
        time.sleep(0.1)


def test_the_standby_takes_over_from_a_leader_that_is_killed(pair: Pair, scene: Scene) -> None:
    chance = random.Random(SEED)
    for kill in range(KILLS):
        leader, standby = pair.leader, pair.other(than=pair.leader)
        standby.operator.wait_ticks(2)
        scene.queues.purge(QUEUE)
        scene.queues.publish(QUEUE, 30)
        until("three replicas at least", lambda: scene.replicas(NAME) >= 3)

        if kill % 2 == 0:
            killed_at = kill_while_the_queue_grows(pair, scene, leader, chance.uniform(0, 3))
        else:
            moment = chance.uniform(0, TERMS.seconds / 3)
            killed_at = kill_within_the_window(pair, scene, leader, moment)

        assert first_of(pair.takings(), standby, killed_at) - killed_at <= TAKEOVER_SECONDS
        check_nobody_wrote_beside_another(pair)
        leader.operator.start()
        assert standby.operator.leads()


def kill_while_the_queue_grows(pair: Pair, scene: Scene, leader: Replica, moment: float) -> float:
    """Kill the leader in a burst: the standby has to go on with it. Returns when that was."""
    standby = pair.other(than=leader)
    burst(scene.queues, moment)
    killed_at = kill_now(leader)
    scene.queues.publish(QUEUE, 40)
    until("the standby writes", lambda: after(pair.writes(standby), killed_at))
    assert first_of(pair.writes(), standby, killed_at) - killed_at <= TAKEOVER_SECONDS
    scene.wait_replicas(NAME, min(-(-scene.queues.ready(QUEUE) // 10), 10))
    return killed_at


def kill_within_the_window(pair: Pair, scene: Scene, leader: Replica, moment: float) -> float:
    """Kill the leader while it recommends fewer replicas, of which nothing may be lost."""
    standby, before = pair.other(than=leader), scene.replicas(NAME)
    scene.queues.purge(QUEUE)
    purged_at = time.time()
    time.sleep(moment)
    killed_at = kill_now(leader)

    def scales() -> list[AuditEntry]:
        return [one for one in after(pair.writes(standby), killed_at) if one.subresource == "scale"]

    (scaled, *_) = until("it has fewer replicas", scales)
    assert scene.replicas(NAME) < before
    # Not before the window is over, which began with the last recommendation of more; nor as late
    # as if the window had begun anew with the takeover.
    assert scaled.time >= purged_at + WINDOW_SECONDS - 1.5
    assert scaled.time < first_of(pair.takings(), standby, killed_at) + WINDOW_SECONDS
    return killed_at


def test_at_sigterm_the_standby_takes_over_at_once(pair: Pair, scene: Scene) -> None:
    leader = pair.leader
    standby = pair.other(than=leader)
    standby.operator.wait_ticks(2)
    asked_at = time.time()
    assert leader.operator.stop() == 0
    scene.queues.publish(QUEUE, 20)
    until("the standby writes", lambda: after(pair.writes(standby), asked_at))

    took_at = first_of(pair.takings(), standby, asked_at)
    assert pair.writes(leader)[-1].time <= took_at
    # By the next look at the Lease, and long before it would have run out.
    given_back_at = [one for one in pair.takings() if one.user == leader.user][-1].time
    assert took_at - given_back_at < TERMS.seconds / 2
    leader.operator.start()


def kill_now(replica: Replica) -> float:
    replica.operator.kill()
    return time.time()


def after(entries: list[AuditEntry], at: float) -> list[AuditEntry]:
    return [one for one in entries if one.time > at]


def first_of(entries: list[AuditEntry], replica: Replica, since: float) -> float:
    """When a replica wrote first since then, of these."""
    return next(one.time for one in entries if one.user == replica.user and one.time > since)


def check_nobody_wrote_beside_another(pair: Pair) -> None:
    """Each write fell into the time for which its writer held the Lease, and in no other's.

    A Lease changes hands when it was given back, or as long after its last renewal as it lasts.
    """
    record = [one for one in pair.requests() if one.is_write]
    users = {one.user for one in pair.replicas}
    record = [one for one in record if one.user in users]
    leases = [one for one in record if one.resource == "leases"]
    for before, then in itertools.pairwise(leases):
        if before.user != then.user:
            assert then.time - before.time >= TERMS.seconds
    holder, renewed_at = "", 0.0
    for entry in record:
        if entry.resource == "leases":
            holder, renewed_at = entry.user, entry.time
        else:
            assert entry.user == holder
            assert entry.time < renewed_at + TERMS.seconds
