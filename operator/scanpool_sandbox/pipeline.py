"""Scans and chats: their queues, what a task of each costs, and where its outcome goes."""

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

CHAT = Step("chat.process", HOUR_MS, 2_500)
"""What a message costs is assumed: an answer in words, with the conversation before it."""


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Steps of which each hands on to the next, on queues that all begin with its name.

    `consumer` is what its workers call themselves where the provider counts.
    """

    name: str
    consumer: str
    steps: tuple[Step, ...]

    @property
    def results(self) -> str:
        """The queue of the outcomes."""
        return f"{self.name}.results"

    @property
    def dead_letter_exchange(self) -> str:
        """Where messages go that waited longer than their queue's TTL."""
        return f"{self.name}.dlx"

    @property
    def dead_letters(self) -> str:
        """The queue in which they end."""
        return f"{self.name}.dead"


SCANS = Pipeline("scan", CONSUMER, STEPS)
CHATS = Pipeline("chat", "chat-worker", (CHAT,))
RESULTS_QUEUE, DEAD_LETTER_QUEUE = SCANS.results, SCANS.dead_letters


@dataclass(frozen=True, slots=True)
class Result:
    """The outcome of a scan or a chat; `reason` says why it failed, as `step: error code`."""

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
