"""The second pool of the story: chats, in a namespace of their own, on the same key."""

from typing import Any

from scanpool_sandbox.demo.watch import Watch
from scanpool_sandbox.demo.world import World

NAMESPACE, POOL, TARGET, SECRET = "chat", "chat-worker", "chat-worker", "chat-secret"
MANIFEST = "manifests/samples/chat.yaml"
IN_FLIGHT = 10
"""Chats that ask for two replicas."""
ANSWERED = 20
"""Chats that show that the second pool works beside the first."""
ROUNDING = 1.02
"""Figures of a status have three digits."""


def grants(watch: Watch) -> tuple[int, int, int] | None:
    """Return what each pool gets, the first's first, and what there is for both; None: not yet.

    In tokens per minute. They know of each other once each names the other.
    """
    budgets = [_budget(watch.status), _budget(watch.second)]
    if not all(budget.get("others") for budget in budgets):
        return None
    first, second = (int(budget["grantTokensPerMinute"]) for budget in budgets)
    return first, second, max(int(budget["tokensPerMinute"]) for budget in budgets)


def shares(watch: Watch, world: World) -> bool:
    """Tell whether both pools work, and know of each other."""
    answered = world.chats.counts().completed
    return answered >= ANSWERED and grants(watch) is not None


def _budget(status: dict[str, Any]) -> dict[str, Any]:
    budget: dict[str, Any] = status.get("llm", {}).get("budget", {})
    return budget
