"""The scan pipeline: four queues, what a task of each costs, and where its outcome goes."""

import json
from dataclasses import dataclass
from typing import Literal

from scanpool_sandbox.openai_wire import Endpoint

HOUR_MS = 3_600_000
FIVE_MINUTES_MS = 300_000


@dataclass(frozen=True, slots=True)
class Step:
    """One kind of task: its queue, its LLM call if it makes one, and how long messages wait."""

    queue: str
    ttl_ms: int
    tokens: int
    endpoint: Endpoint | None


VISION = Step("scan.vision", HOUR_MS, 3_000, "responses")
RULE = Step("scan.rule", FIVE_MINUTES_MS, 0, None)
ANSWER = Step("scan.answer", HOUR_MS, 1_500, "chat/completions")
REWARD = Step("scan.reward", HOUR_MS, 0, None)
STEPS = (VISION, RULE, ANSWER, REWARD)
TOKENS_PER_SCAN = sum(step.tokens for step in STEPS)

RESULTS_QUEUE = "scan.results"
DEAD_LETTER_EXCHANGE = "scan.dlx"
DEAD_LETTER_QUEUE = "scan.dead"
"""Where messages go that waited longer than their queue's TTL."""


def next_queue(step: Step) -> str:
    """Return where a task's success leads."""
    following = STEPS.index(step) + 1
    return STEPS[following].queue if following < len(STEPS) else RESULTS_QUEUE


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
    def decode(cls, body: bytes) -> "Result":
        """Read a message body."""
        document = json.loads(body)
        return cls(document["scan_id"], document["status"], document["reason"])


def encode_task(scan_id: str) -> bytes:
    """Return the message body of any step's task."""
    return json.dumps({"scan_id": scan_id}).encode()


def decode_task(body: bytes) -> str:
    """Return the scan's id from a task's message body."""
    return str(json.loads(body)["scan_id"])
