"""The states a container goes through, and the pod status they add up to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from scanpool_sandbox.kube.objects import copied, rfc3339, set_condition

if TYPE_CHECKING:
    from scanpool_sandbox.kube.objects import Obj


@dataclass
class ContainerState:
    """One container as the pod's status reports it; `state` has one of its three forms."""

    name: str
    image: str
    container_id: str = ""
    state: Obj = field(default_factory=lambda: {"waiting": {"reason": "ContainerCreating"}})
    last: Obj = field(default_factory=dict)
    ready: bool = False
    started: bool = False
    restarts: int = 0

    def wait(self, reason: str, message: str = "") -> None:
        """Report that the container is not running, and why."""
        self.ready = self.started = False
        self.state = {"waiting": {"reason": reason, **({"message": message} if message else {})}}

    def run(self, container_id: str) -> None:
        """Report that the container runs."""
        self.container_id = container_id
        self.state = {"running": {"startedAt": rfc3339()}}

    def end(self, exit_code: int, reason: str) -> None:
        """Report that the container has ended."""
        started = (self.state.get("running") or {}).get("startedAt") or rfc3339()
        self.ready = self.started = False
        self.state = {
            "terminated": {
                "exitCode": exit_code,
                "reason": reason,
                "startedAt": started,
                "finishedAt": rfc3339(),
                "containerID": self.container_id,
            }
        }

    def begin_restart(self) -> None:
        """Move the ended run to lastState and count it."""
        self.last = copied(self.state)
        self.restarts += 1

    def status(self) -> Obj:
        """Build the entry of status.containerStatuses."""
        return {
            "name": self.name,
            "image": self.image,
            "imageID": self.image,
            "containerID": self.container_id,
            "ready": self.ready,
            "started": self.started,
            "restartCount": self.restarts,
            "state": copied(self.state),
            "lastState": copied(self.last),
        }


def pod_status(before: Obj, states: list[ContainerState], restart_policy: str, ip: str) -> Obj:
    """Add up container states to a pod status; conditions keep their transition times."""
    ended = [s.state["terminated"]["exitCode"] for s in states if "terminated" in s.state]
    all_ended = len(ended) == len(states) and restart_policy != "Always"
    if all_ended and (restart_policy == "Never" or not any(ended)):
        phase = "Failed" if any(ended) else "Succeeded"
    elif any("running" in s.state or s.restarts for s in states):
        phase = "Running"
    else:
        phase = "Pending"
    shown = {
        "status": {
            **copied(before),
            "phase": phase,
            "hostIP": "127.0.0.1",
            "podIP": ip,
            "podIPs": [{"ip": ip}],
            "containerStatuses": [state.status() for state in states],
        }
    }
    shown["status"].setdefault("startTime", rfc3339())
    unready = [state.name for state in states if not state.ready]
    set_condition(shown, "Initialized", "True", "", "")
    for kind in ("ContainersReady", "Ready"):
        if unready:
            message = f"containers with unready status: [{' '.join(unready)}]"
            set_condition(shown, kind, "False", "ContainersNotReady", message)
        else:
            set_condition(shown, kind, "True", "", "")
    for condition in shown["status"]["conditions"]:
        for empty in ("reason", "message"):
            if not condition.get(empty):
                condition.pop(empty, None)
    return dict(shown["status"])
