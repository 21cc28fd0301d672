"""The LLM provider: the sandbox's limiter in simulated time, with an account of every call."""

from enum import StrEnum

from scanpool_replay.engine import Engine
from scanpool_replay.settings import Provider
from scanpool_sandbox.limiter import Admitted, Limiter, Quota, Rejected


class Caller(StrEnum):
    """Who calls. Pool and canary are workers of a pipeline; the others share their key."""

    POOL = "pool"
    CANARY = "canary"
    NEIGHBOR = "neighbor"
    PROBE = "probe"


class Account:
    """What one caller asked for and got, since the start."""

    __slots__ = (
        "answered_calls",
        "answered_tokens",
        "caller",
        "calls",
        "quota_refusals",
        "rate_refusals",
        "tokens",
    )

    def __init__(self, caller: Caller) -> None:
        self.caller = caller
        self.calls = 0
        self.tokens = 0  # charged, when a call was admitted
        self.answered_calls = 0
        self.answered_tokens = 0  # counted when the answer came, as an exporter does
        self.rate_refusals = 0
        self.quota_refusals = 0

    @property
    def refusals(self) -> int:
        """Calls refused, for whatever reason."""
        return self.rate_refusals + self.quota_refusals


class LLMProvider:
    """Admits and refuses calls."""

    def __init__(self, engine: Engine, settings: Provider) -> None:
        self._engine = engine
        self.settings = settings
        self.limiter = Limiter(
            tokens_per_minute=settings.tokens_per_minute,
            requests_per_minute=settings.requests_per_minute,
            quota=Quota(settings.quota_tokens),
            now=engine.now,
        )
        self.accounts: list[Account] = []
        self.first_rate_refusal: float | None = None

    def open(self, caller: Caller) -> Account:
        """Account for one more caller from now on."""
        self.accounts.append(Account(caller))
        return self.accounts[-1]

    def call(self, account: Account, tokens: int) -> Admitted | Rejected:
        """Ask for a completion now."""
        account.calls += 1
        answer = self.limiter.admit(tokens, self._engine.now)
        if isinstance(answer, Admitted):
            account.tokens += tokens
        elif answer.code == "insufficient_quota":
            account.quota_refusals += 1
        else:
            account.rate_refusals += 1
            if self.first_rate_refusal is None:
                self.first_rate_refusal = self._engine.now
        return answer

    def answered(self, account: Account, tokens: int) -> None:
        """Count a completion that arrived."""
        account.answered_calls += 1
        account.answered_tokens += tokens

    def miscounted(self, account: Account, tokens: int) -> None:
        """Let exporters count tokens that nobody used."""
        account.answered_tokens += tokens

    def level(self) -> float:
        """Return the tokens in the bucket."""
        return self.limiter.token_level(self._engine.now).level

    def limit(self) -> int:
        """Return the limit in tokens per minute."""
        return self.limiter.token_level(self._engine.now).limit_per_minute
