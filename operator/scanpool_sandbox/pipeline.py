"""The scan pipeline: four queues, what a task of each costs, and where its outcome goes."""

import json
from dataclasses import dataclass
from typing import Literal

CONSUMER = "scan-worker"
"""What the workers call themselves where the provider counts."""
HOUR_MS = 3_600_000
FIVE_MINUTES_MS = 300_000


@dataclass(frozen=True, slots=True)
class Step:
    """One kind of task: its queue, how long messages wait, and the tokens of its LLM call."""

    queue: str
    ttl_ms: int
    tokens: int


VISION = Step("scan.vision", HOUR_MS, 3_000)
RULE = Step("scan.rule", FIVE_MINUTES_MS, 0)
ANSWER = Step("scan.answer", HOUR_MS, 1_500)
REWARD = Step("scan.reward", HOUR_MS, 0)
STEPS = (VISION, RULE, ANSWER, REWARD)
TOKENS_PER_SCAN = sum(step.tokens for step in STEPS)

RESULTS_QUEUE = "scan.results"
DEAD_LETTER_EXCHANGE = "scan.dlx"
DEAD_LETTER_QUEUE = "scan.dead"
"""Where messages go that waited longer than their queue's TTL."""


@dataclass(frozen=True, slots=True)
class Result:
    """The outcome of a scan; `reason` says why it failed, as `step: error code`."""

    scan_id: str
    status: Literal["completed", "failed"]
    reason: str = ""

    def encode(self) -> bytes:
        """Return the message body."""
        document = {"scan_id": self.scan_id, "status": self.status, "reason": self.reason}
        return json.dumps(document).encode()

    @classmethod
    def decode(cls, body: bytes | str) -> "Result":
        """Read a message body."""
        document = json.loads(body)
        return cls(document["scan_id"], document["status"], document["reason"])
