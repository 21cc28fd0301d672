"""docs/migration.md, command by command: who scales is known at every moment of the move.

KEDA's own part is played here: by its documentation a pause in one direction disables that one in
the HPA, and a whole pause deletes the HPA.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from sandbox.foreign import HPAS, SCALED_OBJECTS, definition
from sandbox.kube_client import KubeClient
from sandbox.patience import until
from sandbox.scene import Scene
from sandbox.shell import shell

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "migration.md"
NAMESPACE, NAME, QUEUE = "shop", "orders", "orders"
WAITING, PER_REPLICA = 25, 10
PAUSED, PAUSED_IN = "autoscaling.keda.sh/paused", "autoscaling.keda.sh/paused-scale-in"

DEFINITIONS = (
    definition(*SCALED_OBJECTS),
    definition("keda.sh", "v1alpha1", "TriggerAuthentication", "triggerauthentications"),
    definition(*HPAS),
)


def commands(*headings: str) -> list[str]:
    """The commands below headings of the document, in their order."""
    found = []
    for heading in headings:
        text = DOCUMENT.read_text()
        assert f"\n{heading}\n" in text
        level = heading.partition(" ")[0]
        below = text.partition(f"\n{heading}\n")[2]
        section = re.split(rf"^#{{1,{len(level)}}} ", below, maxsplit=1, flags=re.MULTILINE)[0]
        found += re.findall(r"^\$ (.+)$", section, re.MULTILINE)
    return found


@dataclass
class Move:
    """A Deployment under KEDA that is about to be a pool's."""

    scene: Scene
    directory: Path

    @property
    def kube(self) -> KubeClient:
        return self.scene.kube

    @property
    def scaled_object(self) -> str:
        return f"/apis/keda.sh/v1alpha1/namespaces/{self.scene.namespace}/scaledobjects/{NAME}"

    @property
    def hpa(self) -> str:
        path = f"/apis/autoscaling/v2/namespaces/{self.scene.namespace}"
        return f"{path}/horizontalpodautoscalers/keda-hpa-{NAME}"

    def start(self, management_url: str) -> None:
        """Bring up what there is before the move."""
        trigger = {
            "type": "rabbitmq",
            "metadata": {
                "protocol": "http", "host": management_url, "queueName": QUEUE,
                "mode": "QueueLength", "value": str(PER_REPLICA),
            },
        }  # fmt: skip
        spec = {
            "scaleTargetRef": {"name": NAME},
            "minReplicaCount": 1,
            "pollingInterval": 1,
            "triggers": [trigger],
            "advanced": {"restoreToOriginalReplicaCount": True},
        }
        body = {"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject"}
        collection = self.scaled_object.rpartition("/")[0]
        self.kube.post(collection, {**body, "metadata": {"name": NAME}, "spec": spec})
        self.play_keda()

    def run(self, command: str) -> str:
        """Run one command of the document, as it stands there but for the namespace."""
        line = re.sub(rf"\b{NAMESPACE}\b", self.scene.namespace, command)
        return shell(line, self.kube.kubeconfig, self.directory)

    def play_keda(self) -> None:
        """Do what KEDA does of its ScaledObject's annotations."""
        found = self.kube.find(self.scaled_object)
        annotations = {} if found is None else found["metadata"].get("annotations", {})
        wants_hpa = found is not None and annotations.get(PAUSED) != "true"
        if found is not None:
            paused = "False" if wants_hpa else "True"
            condition = {"type": "Paused", "status": paused}
            self.kube.patch(self.scaled_object, {"status": {"conditions": [condition]}})
        has_hpa = self.kube.find(self.hpa) is not None
        if wants_hpa and not has_hpa:
            body = {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler"}
            metadata = {"name": f"keda-hpa-{NAME}"}
            self.kube.post(self.hpa.rpartition("/")[0], {**body, "metadata": metadata, "spec": {}})
        elif has_hpa and not wants_hpa:
            self.kube.delete(self.hpa)

    def keda_moves(self) -> set[str]:
        """In which directions KEDA scales."""
        if self.kube.find(self.hpa) is None:
            return set()
        annotations = self.kube.get(self.scaled_object)["metadata"].get("annotations", {})
        return {"up"} if annotations.get(PAUSED_IN) == "true" else {"up", "down"}

    def pool_moves(self) -> set[str]:
        """In which directions the pool scales."""
        pool = self.kube.find(f"{self.scene.pools}/{NAME}")
        if pool is None or pool["spec"]["mode"] != "Enforce":
            return set()
        rules = pool["spec"]["behavior"]["scaleDown"]
        return {"up"} if rules["selectPolicy"] == "Disabled" else {"up", "down"}

    def follow(self, steps: list[str]) -> None:
        """Run commands; after each somebody scales up, and no two disagree."""
        for step in steps:
            self.run(step)
            self.check(step)
            self.play_keda()
            self.check(step)

    def check(self, step: str) -> None:
        keda, pool = self.keda_moves(), self.pool_moves()
        assert "up" in keda | pool, f"nobody scales after: {step}"
        if keda and pool:
            assert keda | pool == {"up"}, f"two scale, and one down, after: {step}"


@pytest.fixture
def move(scene: Scene, tmp_path: Path) -> Iterator[Move]:
    for one in DEFINITIONS:
        scene.kube.kubectl("apply", "-f", "-", stdin=json.dumps(one))
    scene.queues.publish(QUEUE, WAITING)
    scene.create_deployment(NAME)
    move = Move(scene, tmp_path)
    move.start(scene.secret("RABBITMQ_API_URL"))
    yield move
    if move.kube.find(move.scaled_object) is not None:
        move.kube.delete(move.scaled_object)
    move.play_keda()


def test_the_move_leaves_no_moment_without_a_scaler_or_with_two(move: Move) -> None:
    convert = [one for one in commands("## Convert") if not one.startswith("rabbitmqctl")]
    before = commands("### Make the Secrets", "### Look on")
    move.follow(convert[:2] + before)
    assert move.scene.replicas(NAME) == 1, "the pool only looks on"
    assert move.scene.status(NAME)["desiredReplicas"] == 3

    handover = commands("### Hand over")
    move.follow(handover)
    assert (move.keda_moves(), move.pool_moves()) == (set(), {"up", "down"})
    move.scene.wait_replicas(NAME, 3)

    move.follow(commands("### Delete the ScaledObject"))
    assert move.kube.find(move.scaled_object) is None
    until("the pool still scales", lambda: move.scene.status(NAME).get("replicas") == 3)


def test_the_way_back_is_as_safe(move: Move) -> None:
    convert = commands("## Convert")[:2]
    move.follow([*convert, *commands("### Make the Secrets", "### Look on", "### Hand over")])

    back = commands("## Back")
    for step in back:
        if " wait " in step:
            move.play_keda()
        move.run(step)
        move.check(step)

    assert (move.keda_moves(), move.pool_moves()) == ({"up", "down"}, set())
