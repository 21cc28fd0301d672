"""What a person does in the story with kubectl, and what everybody sees of it."""

import json
from collections.abc import Callable
from typing import Any

from scanpool_sandbox.demo.screen import Screen
from scanpool_sandbox.demo.world import API_KEY, World

POLLING_SECONDS = 2


class Hands:
    """Commands against the demo's cluster. Each raises a RuntimeError if it fails."""

    def __init__(self, world: World, screen: Screen) -> None:
        self._world = world
        self._screen = screen

    async def kubectl(
        self,
        *arguments: str,
        stdin: str | None = None,
        show: Callable[[str], str] = lambda output: output,
    ) -> None:
        """Run kubectl and show what it says."""
        output = await self._world.kubectl(*arguments, stdin=stdin)
        self._screen.command(f"kubectl {' '.join(arguments)}", show(output))

    async def patch(self, namespace: str, kind: str, name: str, patch: dict[str, Any]) -> None:
        """Merge-patch an object; what a Secret gets is not shown."""
        document = json.dumps(patch)
        arguments = ("-n", namespace, "patch", kind, name, "--type", "merge", "-p")
        output = await self._world.kubectl(*arguments, document)
        shown = "'...'" if kind == "secret" else f"'{document}'"
        self._screen.command(f"kubectl {' '.join(arguments)} {shown}", output)

    async def point(self, namespace: str, secret: str) -> None:
        """Point a pool and its workers at this machine's servers."""
        world = self._world
        values = {
            "CELERY_BROKER_URL": world.rabbitmq.amqp_url(),
            "RABBITMQ_API_URL": f"{world.rabbitmq.management_url}/eco2",
            "OPENAI_API_KEY": API_KEY,
            "OPENAI_BASE_URL": world.openai.base_url,
        }
        await self.patch(namespace, "secret", secret, {"stringData": values})

    async def restart(self, namespace: str, deployment: str) -> None:
        """Start workers anew that have begun before their Secret was right."""
        await self.kubectl("-n", namespace, "rollout", "restart", "deployment", deployment)

    async def hasten_pool(self, namespace: str, pool: str) -> None:
        """Let a pool look more often, and measure its use by its workers' own metrics."""
        prometheus = {
            "url": self._world.prometheus.url,
            "ownLabels": [{"name": "namespace", "value": namespace}],
        }
        spec = {
            "minReplicas": 1,
            "pollingIntervalSeconds": POLLING_SECONDS,
            "llm": {
                "baseUrl": self._world.openai.base_url,
                "probe": {"intervalSeconds": POLLING_SECONDS},
                "usage": {"windowSeconds": 15, "prometheus": prometheus},
            },
            "behavior": {"scaleDown": {"stabilizationWindowSeconds": 10}},
        }
        await self.patch(namespace, "scanworkerpool", pool, {"spec": spec})

    async def press_memory(self, node: str, status: str) -> None:
        """Let a node report memory pressure, or none any more."""
        condition = {"type": "MemoryPressure", "status": status, "reason": "Demo"}
        await self._world.patch_status(f"/api/v1/nodes/{node}", {"conditions": [condition]})
