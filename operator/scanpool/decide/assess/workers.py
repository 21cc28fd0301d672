"""The target and its pods, as a decision needs them."""

from scanpool.decide.signals import Restart, Workers
from scanpool.models.observation import Target

# A pod's start when none has been seen to start: image, probe delay, connection.
POD_START_SECONDS = 60.0
# A Deployment's default progress deadline. Ready's transition time moves whenever a probe fails:
# a pod that became ready later than this became ready again.
LONGEST_POD_START_SECONDS = 600.0


def workers(target: Target, scaled_at: float) -> Workers:
    """Return what there is of the target, whose replicas were last changed at `scaled_at`."""
    pods = target.pods
    ready_at = [pod.ready_at or 0.0 for pod in pods if pod.ready]
    are_all_ready = len(ready_at) == len(pods) == target.replicas
    return Workers(
        replicas=target.replicas,
        pods=len(pods),
        ready=target.ready_replicas,
        steady_since=max([scaled_at, *ready_at]) if are_all_ready else None,
        start_seconds=start_seconds(target),
        selector=target.selector,
        # Those that are too many are told to go in a moment.
        draining=target.draining + max(len(pods) - target.replicas, 0),
    )


def restarts(target: Target) -> tuple[Restart, ...]:
    """Return the last restart of each worker that the kubelet has stopped."""
    return tuple(Restart(pod.name, at) for pod in target.pods for at in pod.restarted_at)


def start_seconds(target: Target) -> float:
    """Return how long the slowest of the pool's pods took from its creation until ready."""
    starts = [pod.ready_at - pod.created_at for pod in target.pods if pod.ready_at is not None]
    # A pod that was ready at once was there before anyone looked.
    likely = [one for one in starts if 0 < one <= LONGEST_POD_START_SECONDS]
    return max(likely, default=POD_START_SECONDS)
