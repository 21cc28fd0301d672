"""The provider's own account of every call: totals, per consumer, a log, and metrics.

The sandbox's claims (429s, tokens) are checked against this, not against what clients say.
"""

import time
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from prometheus_client import CollectorRegistry, Histogram, generate_latest

from scanpool_sandbox.openai_wire import Charge

LOG_ENTRIES = 20_000
"""About eight minutes at the sandbox's busiest, 40 calls per second."""
RATE_WINDOW_SECONDS = 60.0

PROVIDER = "openai"
TOKEN_BUCKETS = (1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304)
SECONDS_BUCKETS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96)
"""The bounds that OpenTelemetry's GenAI conventions advise for token usage and for durations."""


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One call. `code` is empty for an accepted one, else the error's; `kind` is the error's type.

    `time` is in seconds since the epoch; `tokens` is what was charged, 0 if refused.
    """

    time: float
    consumer: str
    model: str
    tokens: int
    status: int
    code: str
    kind: str


@dataclass(slots=True)
class Tally:
    """Calls and tokens of one consumer, or of all; `rate_limited` tells tokens from requests."""

    calls: int = 0
    accepted: int = 0
    tokens: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    error_codes: Counter[str] = field(default_factory=Counter)
    rate_limited: Counter[str] = field(default_factory=Counter)

    def add(self, entry: LogEntry) -> None:
        """Count one call."""
        self.calls += 1
        self.tokens += entry.tokens
        self.statuses[str(entry.status)] += 1
        if not entry.code:
            self.accepted += 1
            return
        self.error_codes[entry.code] += 1
        if entry.code == "rate_limit_exceeded":
            self.rate_limited[entry.kind] += 1

    def summary(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {
            "calls": self.calls,
            "accepted": self.accepted,
            "tokens": self.tokens,
            "statuses": dict(self.statuses),
            "error_codes": dict(self.error_codes),
            "rate_limited": dict(self.rate_limited),
        }


class Ledger:
    """Counts calls as they are admitted or refused, and usage as answers leave."""

    def __init__(self) -> None:
        self.total = Tally()
        self.consumers: dict[str, Tally] = {}
        self._log: deque[LogEntry] = deque(maxlen=LOG_ENTRIES)
        self._registry = CollectorRegistry()
        self._usage = Histogram(
            "gen_ai_client_token_usage",
            "Tokens used, by type.",
            ["gen_ai_token_type", "gen_ai_request_model", "gen_ai_provider_name", "consumer"],
            buckets=TOKEN_BUCKETS,
            registry=self._registry,
        )
        self._duration = Histogram(
            "gen_ai_client_operation_duration_seconds",
            "Duration of calls, by the code of their error (empty if answered).",
            ["error_type", "gen_ai_request_model", "gen_ai_provider_name", "consumer"],
            buckets=SECONDS_BUCKETS,
            registry=self._registry,
        )

    def record(self, entry: LogEntry) -> None:
        """Count a call that was just admitted or refused."""
        self._log.append(entry)
        self.total.add(entry)
        self.consumers.setdefault(entry.consumer, Tally()).add(entry)

    def record_usage(self, consumer: str, model: str, charge: Charge) -> None:
        """Observe the tokens of an answer, as a gateway does once the answer has passed."""
        for kind, tokens in (("input", charge.input_tokens), ("output", charge.output_tokens)):
            self._usage.labels(kind, model, PROVIDER, consumer).observe(tokens)

    def record_duration(self, consumer: str, model: str, seconds: float, code: str = "") -> None:
        """Observe how long a call took, with the error's code as its type if it was refused."""
        self._duration.labels(code, model, PROVIDER, consumer).observe(seconds)

    def entries(self, *, limit: int, consumer: str | None = None) -> list[LogEntry]:
        """Return the last calls, oldest first."""
        chosen: list[LogEntry] = []
        for entry in self._newest_first():
            if len(chosen) == limit:
                break
            if consumer in (None, entry.consumer):
                chosen.append(entry)
        return chosen[::-1]

    def summary(self) -> dict[str, Any]:
        """Return the totals and each consumer's, with tokens of the last minute."""
        recent: Counter[str] = Counter()
        oldest = time.time() - RATE_WINDOW_SECONDS
        for entry in self._newest_first():
            if entry.time < oldest:
                break
            recent[entry.consumer] += entry.tokens
        return self.total.summary() | {
            "tokens_last_minute": recent.total(),
            "consumers": {
                name: tally.summary() | {"tokens_last_minute": recent[name]}
                for name, tally in self.consumers.items()
            },
        }

    def metrics(self) -> bytes:
        """Return the Prometheus text exposition."""
        return generate_latest(self._registry)

    def _newest_first(self) -> Iterator[LogEntry]:
        return reversed(self._log)
