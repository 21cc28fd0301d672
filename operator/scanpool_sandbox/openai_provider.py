"""What the provider grants and how it decides, without HTTP.

One organization with one project: all keys share the limits, which are per model, and one prepaid
quota. Consumers are told apart by the request's `user`, or else by its User-Agent.
"""

import math
import random
import time
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from scanpool_sandbox.limiter import Limiter, Quota, Rejected
from scanpool_sandbox.openai_errors import (
    ApiError,
    limit_error,
    not_an_admin_key,
    overloaded,
    slow_down,
    unknown_model,
    unknown_project,
    wrong_key,
)
from scanpool_sandbox.openai_ledger import Ledger, LogEntry
from scanpool_sandbox.openai_requests import charge, parse_request
from scanpool_sandbox.openai_wire import Charge, Endpoint, rate_limit_headers

ORGANIZATION = "org-sandbox"
PROJECT = "proj_sandbox"


@dataclass(frozen=True, slots=True)
class Latency:
    """How long accepted calls take: log-normal, as measured latencies of LLM calls look.

    `sigma` is the standard deviation of the logarithm: 0 makes every call take the median, and
    at 0.25 19 of 20 calls take between 0.6 and 1.6 times the median.
    """

    median_seconds: float = 0.0
    sigma: float = 0.0

    def sample(self, source: random.Random) -> float:
        """Draw one call's seconds."""
        return self.median_seconds * math.exp(source.gauss(0.0, self.sigma))


@dataclass(frozen=True, slots=True)
class OpenAISettings:
    """What the provider grants: limits are per model, `quota_tokens` None is unlimited."""

    api_keys: tuple[str, ...] = ("sk-sandbox",)
    admin_keys: tuple[str, ...] = ("sk-admin-sandbox",)
    models: tuple[str, ...] = ("gpt-5.2",)
    tokens_per_minute: int = 2_000_000
    requests_per_minute: int = 10_000
    quota_tokens: int | None = None
    latency: Latency = Latency()
    seed: int = 0


@dataclass(slots=True)
class Faults:
    """Trouble at the provider that is no limit of the caller's."""

    outage: bool = False
    slow_down: bool = False


@dataclass(slots=True)
class Call:
    """One request on its way through; `headers` are due on its answer, whatever that is.

    `started_at` is in the monotonic clock's seconds.
    """

    endpoint: Endpoint
    authorization: str
    raw_body: bytes
    consumer: str
    model: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    started_at: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        """How long it has been on its way."""
        return time.monotonic() - self.started_at


class Provider:
    """Admits or refuses calls, and keeps the account of both."""

    def __init__(self, settings: OpenAISettings) -> None:
        self._settings = settings
        self._random = random.Random(settings.seed)
        self.quota = Quota(settings.quota_tokens)
        self._limiters = {
            model: Limiter(
                tokens_per_minute=settings.tokens_per_minute,
                requests_per_minute=settings.requests_per_minute,
                quota=self.quota,
                now=time.monotonic(),
            )
            for model in settings.models
        }
        self.ledger = Ledger()
        self.faults = Faults()

    def admit(self, call: Call) -> tuple[Charge, float]:
        """Charge a call, count it, and return the charge and the seconds it shall take.

        Raises:
            ApiError: if it is refused, which is counted too.

        """
        try:
            charged = self._admit(call)
        except ApiError as error:
            self._record(call, 0, error.status, error.code, error.kind)
            self.ledger.record_duration(call.consumer, call.model, call.seconds, error.code)
            raise
        self._record(call, charged.total, HTTPStatus.OK)
        return charged, self._settings.latency.sample(self._random)

    def finish(self, call: Call, charged: Charge) -> None:
        """Count the usage and the duration of a call whose answer leaves now."""
        self.ledger.record_usage(call.consumer, call.model, charged)
        self.ledger.record_duration(call.consumer, call.model, call.seconds)

    def set_limits(
        self,
        *,
        tokens_per_minute: int | None = None,
        requests_per_minute: int | None = None,
        model: str | None = None,
    ) -> None:
        """Change the limits of one model or of all while calls run, as a tier upgrade does.

        Raises:
            ApiError: 404 if the model is unknown.

        """
        names = list(self._limiters) if model is None else [model]
        now = time.monotonic()
        for name in names:
            limiter = self._limiter(name)
            if tokens_per_minute is not None:
                limiter.set_tokens_per_minute(tokens_per_minute, now)
            if requests_per_minute is not None:
                limiter.set_requests_per_minute(requests_per_minute, now)

    def project_limits(self, authorization: str, project: str) -> list[dict[str, Any]]:
        """Return what the Admin API lists of a project, by model.

        Raises:
            ApiError: 401 or 403 unless it is asked with an admin key, 404 if there is no such
                project.

        """
        scheme, _, key = authorization.partition(" ")
        if scheme != "Bearer" or key not in self._settings.api_keys + self._settings.admin_keys:
            raise wrong_key()
        if key not in self._settings.admin_keys:
            raise not_an_admin_key()
        if project != PROJECT:
            raise unknown_project(project)
        now = time.monotonic()
        return [
            {
                "object": "project.rate_limit",
                "id": f"rl-{name}",
                "model": name,
                "max_requests_per_1_minute": limiter.request_level(now).limit_per_minute,
                "max_tokens_per_1_minute": limiter.token_level(now).limit_per_minute,
            }
            for name, limiter in sorted(self._limiters.items())
        ]

    def state(self) -> dict[str, Any]:
        """Return the totals, per consumer too, the levels, the quota and the faults."""
        now = time.monotonic()
        models = {}
        for name, limiter in self._limiters.items():
            tokens, requests = limiter.token_level(now), limiter.request_level(now)
            models[name] = {
                "tokens": {"limit": tokens.limit_per_minute, "remaining": tokens.remaining},
                "requests": {"limit": requests.limit_per_minute, "remaining": requests.remaining},
            }
        quota = {
            "granted": self.quota.granted,
            "spent": self.quota.spent,
            "remaining": self.quota.remaining,
        }
        faults = {"outage": self.faults.outage, "slow_down": self.faults.slow_down}
        return self.ledger.summary() | {"models": models, "quota": quota, "faults": faults}

    def _admit(self, call: Call) -> Charge:
        if self.faults.outage:
            raise overloaded()
        scheme, _, key = call.authorization.partition(" ")
        if scheme != "Bearer" or key not in self._settings.api_keys:
            raise wrong_key()
        body = parse_request(call.raw_body)
        call.consumer = str(body.get("user") or call.consumer)
        limiter = self._limiter(body["model"])
        call.model = body["model"]
        charged = charge(call.endpoint, body)
        if self.faults.slow_down:
            raise slow_down()
        now = time.monotonic()
        verdict = limiter.admit(charged.total, now)
        call.headers |= rate_limit_headers(limiter.token_level(now), limiter.request_level(now))
        if isinstance(verdict, Rejected):
            raise limit_error(verdict, call.model, ORGANIZATION)
        return charged

    def _limiter(self, model: str) -> Limiter:
        try:
            return self._limiters[model]
        except KeyError:
            raise unknown_model(model) from None

    def _record(
        self, call: Call, tokens: int, status: HTTPStatus, code: str = "", kind: str = ""
    ) -> None:
        entry = LogEntry(time.time(), call.consumer, call.model, tokens, status.value, code, kind)
        self.ledger.record(entry)
