"""What a person reads of keys that nobody pays, while the pool goes on with others."""

from collections.abc import Iterable

from scanpool.decide.breaker import Breaker, Quota
from scanpool.decide.keys import Breakers
from scanpool.models.units import timestamp


def words(keys: Breakers) -> str | None:
    """Return which keys are refused or tried again, and what to do; None if all are paid."""
    refused = {name: one for name, one in keys.items() if one.state is Quota.OPEN}
    tried = [name for name, one in keys.items() if one.state is Quota.HALF_OPEN]
    if not refused and not tried:
        return None
    told = []
    if refused:
        told.append(
            f"the provider refuses every call with {_listed(map(_refusal, refused.items()))}: top "
            "up the account or raise its budget; that part of the limit comes back by itself"
        )
    if tried:
        told.append(
            f"the provider answers {_listed(tried)} again: that part of the limit counts once "
            "another probe is answered"
        )
    left = len(keys) - len(refused) - len(tried)
    others = "1 other key" if left == 1 else f"{left} other keys"
    return "; ".join([*told, f"the pool goes on with {others}"])


def _refusal(one: tuple[str, Breaker]) -> str:
    name, breaker = one
    until = "" if breaker.until is None else f" until {timestamp(breaker.until)}"
    return f"{name} ({breaker.code}{until})"


def _listed(names: Iterable[str]) -> str:
    return " and ".join(names)
