"""Each pod has an address of its own among those of the loopback interface."""

from uuid import UUID

from scanpool_sandbox.kube.objects import Obj

HOST = 127
LOWEST, HIGHEST = 1, 254
"""Of each further part: what Linux answers for without being told."""


def pod_ip(pod: Obj) -> str:
    """Return a pod's address, which its uid tells: two of some hundred pods seldom share one."""
    number, parts = UUID(pod["metadata"]["uid"]).int, []
    for _ in range(3):
        number, rest = divmod(number, HIGHEST - LOWEST + 1)
        parts.append(LOWEST + rest)
    return ".".join(map(str, (HOST, *parts)))
