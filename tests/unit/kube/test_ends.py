"""The ends of pods that the API server has forgotten."""

from typing import Any

from scanpool.kube.ends import KEPT_SECONDS, Ends
from scanpool.kube.objects import workload
from scanpool.models.units import epoch, timestamp

BEGIN = epoch("2026-01-28T08:00:00Z")
DEPLOYMENT: dict[str, Any] = {
    "metadata": {"namespace": "scan", "name": "worker", "uid": "1"},
    "spec": {
        "replicas": 2,
        "selector": {"matchLabels": {"app": "scan"}},
        "template": {"spec": {"containers": [{"name": "c"}]}},
    },
}


def pod(
    name: str, after: float, namespace: str = "scan", app: str = "scan", code: int = 137
) -> dict[str, Any]:
    """A pod that was killed so long after the beginning, as its grace of 30 s ended."""
    at = timestamp(BEGIN + after)
    return {
        "metadata": {
            "namespace": namespace,
            "name": name,
            "labels": {"app": app},
            "deletionTimestamp": at,
            "deletionGracePeriodSeconds": 30,
        },
        "spec": {"containers": [{"name": "c"}]},
        "status": {
            "containerStatuses": [
                {"name": "c", "state": {"terminated": {"exitCode": code, "finishedAt": at}}}
            ]
        },
    }


def names(ends: Ends) -> list[str]:
    return [one.pod for one in ends.of(workload(DEPLOYMENT))]


async def test_a_pod_that_is_gone_is_known_to_have_ended() -> None:
    ends = Ends()
    await ends.replace("", [pod("listed", 0)])
    await ends.put(pod("changed", 1))
    await ends.drop(pod("gone", 2))
    # Once more, as the API server tells it last.
    await ends.drop(pod("changed", 1))
    for other in (pod("elsewhere", 3, namespace="other"), pod("others", 3, app="chat")):
        await ends.drop(other)
    staying = pod("staying", 3)
    del staying["metadata"]["deletionTimestamp"]
    await ends.put(staying)

    assert names(ends) == ["changed", "gone", "listed"]
    # A list anew does not have them any more, which is no news.
    await ends.replace("", [])
    assert len(names(ends)) == 3


async def test_ends_are_kept_for_an_hour() -> None:
    ends = Ends()
    for after in (0, KEPT_SECONDS / 2, KEPT_SECONDS):
        await ends.drop(pod(f"pod-{after:g}", after))

    assert names(ends) == ["pod-1800", "pod-3600"]
