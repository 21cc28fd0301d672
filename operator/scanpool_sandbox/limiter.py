"""An LLM provider's rate limiter: token buckets and a prepaid quota, with the clock passed in.

There is no I/O and no clock here, so that the same code answers HTTP requests in the sandbox and
drives a discrete-event simulation. Every method takes `now` in seconds of any clock; a clock that
goes backwards refills nothing and takes nothing away.

The rules are those of the provider:

- A limit of L per minute is a bucket of capacity L that refills continuously by L/60 per second.
- A request is charged up front. It is admitted when both buckets hold enough.
- A request that is refused still costs one request, so that resending at once does not help.
- The prepaid quota admits requests while any of it is left. The last one may overdraw it, and the
  next top-up pays the debt first: billing settles after the fact.
"""

from dataclasses import dataclass
from typing import Literal

SECONDS_PER_MINUTE = 60.0

ROUNDING_TOLERANCE = 1e-3
"""Tokens (or requests) a bucket may be short of and still admit.

A caller that waits exactly as long as it was told must be admitted. A clock of about 1e9 seconds
resolves 1e-7 s, which at 40 M tokens per minute is 0.08 tokens; at the limits the sandbox uses it
is below this tolerance.
"""


@dataclass(frozen=True, slots=True)
class Admitted:
    """The request may run; `tokens` were charged."""

    tokens: int


@dataclass(frozen=True, slots=True)
class Rejected:
    """The request was refused, in the provider's terms.

    `limit`, `used` and `requested` are tokens or requests, as `type` says. For the quota they are
    the tokens ever granted and spent. `retry_after_seconds` is None where waiting cannot help: the
    request exceeds the whole bucket, or the quota is spent.
    """

    code: Literal["rate_limit_exceeded", "insufficient_quota"]
    type: Literal["tokens", "requests", "insufficient_quota"]
    limit: int
    used: int
    requested: int
    retry_after_seconds: float | None


@dataclass(frozen=True, slots=True)
class BucketLevel:
    """What a bucket held at one instant."""

    limit_per_minute: int
    level: float

    @property
    def remaining(self) -> int:
        """Whole tokens (or requests) that are left."""
        return int(self.level + ROUNDING_TOLERANCE)

    @property
    def reset_seconds(self) -> float:
        """Seconds until the bucket is full again if nothing else is charged."""
        return (self.limit_per_minute - self.level) * SECONDS_PER_MINUTE / self.limit_per_minute


class Bucket:
    """A token bucket of one minute's capacity, full at the start."""

    __slots__ = ("_level", "_limit", "_updated")

    def __init__(self, limit_per_minute: int, now: float) -> None:
        self._limit = _positive(limit_per_minute, "limit per minute")
        self._level = float(limit_per_minute)
        self._updated = now

    def level(self, now: float) -> BucketLevel:
        """Return the level at `now`."""
        self.refill(now)
        return BucketLevel(self._limit, self._level)

    def refill(self, now: float) -> None:
        """Add what flowed in since the last call."""
        elapsed = now - self._updated
        if elapsed > 0:
            self._updated = now
            self._level = min(
                float(self._limit), self._level + elapsed * self._limit / SECONDS_PER_MINUTE
            )

    def holds(self, amount: int) -> bool:
        """Tell whether `amount` could be taken now; call `refill` first."""
        return self._level + ROUNDING_TOLERANCE >= amount

    def take(self, amount: int) -> None:
        """Take `amount`, or all there is."""
        self._level = max(0.0, self._level - amount)

    def refusal(self, kind: Literal["tokens", "requests"], amount: int) -> Rejected:
        """Say why `amount` cannot be taken now, and when it could.

        The wait is (used + requested - limit) / (limit / 60 s).
        """
        missing = amount - self._level
        wait = missing * SECONDS_PER_MINUTE / self._limit if amount <= self._limit else None
        return Rejected(
            code="rate_limit_exceeded",
            type=kind,
            limit=self._limit,
            used=round(self._limit - self._level),
            requested=amount,
            retry_after_seconds=wait,
        )

    def set_limit(self, limit_per_minute: int, now: float) -> None:
        """Change the limit; what is in use stays in use.

        The provider counts what was used, not what is left. So an upgrade is available at once
        (the level rises by the difference), and a downgrade hands out no fresh burst (the level
        falls by the difference, to zero at the lowest).
        """
        self.refill(now)
        used = self._limit - self._level
        self._limit = _positive(limit_per_minute, "limit per minute")
        self._level = max(0.0, limit_per_minute - used)


class Quota:
    """A prepaid number of tokens; None grants without end. One organization has one."""

    __slots__ = ("_granted", "_spent")

    def __init__(self, tokens: int | None = None) -> None:
        self._granted = None if tokens is None else _not_negative(tokens, "quota")
        self._spent = 0

    @property
    def granted(self) -> int | None:
        """Tokens ever granted; None if unlimited."""
        return self._granted

    @property
    def spent(self) -> int:
        """Tokens ever charged."""
        return self._spent

    @property
    def remaining(self) -> int | None:
        """Tokens left; negative after an overdraft, None if unlimited."""
        return None if self._granted is None else self._granted - self._spent

    @property
    def exhausted(self) -> bool:
        """Tell whether nothing is left."""
        return self._granted is not None and self._spent >= self._granted

    def spend(self, tokens: int) -> None:
        """Charge `tokens`."""
        self._spent += tokens

    def top_up(self, tokens: int) -> None:
        """Buy `tokens` more. An unlimited quota stays unlimited."""
        _not_negative(tokens, "top-up")
        if self._granted is not None:
            self._granted += tokens

    def set_remaining(self, tokens: int | None) -> None:
        """Leave exactly `tokens` from now on; None for no end."""
        self._granted = None if tokens is None else self._spent + _not_negative(tokens, "quota")


class Limiter:
    """The limits of one model: tokens and requests per minute, and the organization's quota."""

    __slots__ = ("_requests", "_tokens", "quota")

    def __init__(
        self,
        *,
        tokens_per_minute: int,
        requests_per_minute: int,
        quota: Quota | None = None,
        now: float = 0.0,
    ) -> None:
        self._tokens = Bucket(tokens_per_minute, now)
        self._requests = Bucket(requests_per_minute, now)
        self.quota = Quota() if quota is None else quota

    def admit(self, tokens: int, now: float) -> Admitted | Rejected:
        """Charge a request of `tokens`, or refuse it and charge one request only.

        Raises:
            ValueError: if `tokens` is below one.

        """
        _positive(tokens, "tokens")
        self._requests.refill(now)
        self._tokens.refill(now)
        if not self._requests.holds(1):
            # Drained before the wait is computed: it is always one whole request's refill.
            self._requests.take(1)
            return self._requests.refusal("requests", 1)
        self._requests.take(1)
        if self.quota.exhausted:
            return Rejected(
                code="insufficient_quota",
                type="insufficient_quota",
                limit=self.quota.granted or 0,
                used=self.quota.spent,
                requested=tokens,
                retry_after_seconds=None,
            )
        if not self._tokens.holds(tokens):
            return self._tokens.refusal("tokens", tokens)
        self._tokens.take(tokens)
        self.quota.spend(tokens)
        return Admitted(tokens)

    def token_level(self, now: float) -> BucketLevel:
        """Return the level of the token bucket."""
        return self._tokens.level(now)

    def request_level(self, now: float) -> BucketLevel:
        """Return the level of the request bucket."""
        return self._requests.level(now)

    def set_tokens_per_minute(self, limit: int, now: float) -> None:
        """Change the token limit; see `Bucket.set_limit` for what happens to the level."""
        self._tokens.set_limit(limit, now)

    def set_requests_per_minute(self, limit: int, now: float) -> None:
        """Change the request limit; see `Bucket.set_limit` for what happens to the level."""
        self._requests.set_limit(limit, now)

    def top_up(self, tokens: int) -> None:
        """Buy `tokens` more of the organization's quota."""
        self.quota.top_up(tokens)


def _positive(value: int, name: str) -> int:
    if value < 1:
        message = f"{name} must be at least 1, not {value}"
        raise ValueError(message)
    return value


def _not_negative(value: int, name: str) -> int:
    if value < 0:
        message = f"{name} must not be negative, not {value}"
        raise ValueError(message)
    return value
