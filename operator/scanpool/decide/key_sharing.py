"""How pools share limits of which some have several keys: each key's limit is shared for itself.

A replica uses of each key the share that the key has of the pool's limit, since calls are spread as
the limits are. So its claim is split by these shares, and beside those who use the same key a pool
may have what that key alone would let it have; the key that allows the least counts. Keys that are
shared with the same pools are one budget. No limit counts twice, and none is given up for another:

pool   | keys | key a holds 2 M      | key b holds 1 M
one    | a, b | two thirds of a cost | a third of a cost
other  | a    | all of its cost      | -
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import reduce
from itertools import groupby

from scanpool.decide import sharing
from scanpool.decide.sharing import Entitlement
from scanpool.models.claims import Claim, Unit

Shares = Mapping[str, Mapping[Unit, float]]
"""By key, the share of the pool's limit in each unit that is this key's."""
OnKeys = Mapping[str, Sequence[Claim]]
"""By key, what others claim of it."""
WHOLE = 1.0
"""The share of a key that is the only one."""


def entitlement(unit: Unit, me: Claim, peers: OnKeys, shares: Shares) -> Entitlement | None:
    """Return what `me` may have of a limit beside the peers on each of its keys.

    None if it has no need of it. The numbers of the budget are those of the keys that bind.
    """
    if len(shares) == 1:
        # The only key has all of the limit, and so it is with nearly all pools.
        [key] = shares
        return sharing.entitlement(unit, me, peers.get(key, ()))
    found = [
        one
        for keys in _alike(peers, shares)
        if (
            one := sharing.entitlement(
                unit, _added(of_key(me, shares[key]) for key in keys), _on(peers, keys)
            )
        )
        is not None
    ]
    if not found:
        return sharing.entitlement(unit, me, ())
    tightest = min(found, key=lambda one: one.fits)
    return replace(tightest, keeps=min(one.keeps for one in found))


def of_key(claim: Claim, share: Mapping[Unit, float]) -> Claim:
    """Return what a pool claims of one of its keys: all of its claim where that is all it has."""
    if all(share.get(unit) == WHOLE for unit in claim.needs):
        return claim
    needs = {unit: need.times(share[unit]) for unit, need in claim.needs.items() if unit in share}
    return replace(claim, needs=needs)


def _on(peers: OnKeys, keys: Sequence[str]) -> Sequence[Claim]:
    """Return what the same pools claim of some keys together."""
    first, *more = (peers[key] for key in keys)
    # What is kept of the claims on one key is not to be worked out anew.
    return [_added(same) for same in zip(first, *more, strict=True)] if more else first


def _alike(peers: OnKeys, shares: Shares) -> list[list[str]]:
    """Return the keys that others use, those together that the same pools do."""

    def pools(key: str) -> tuple[str, ...]:
        return tuple(one.pool for one in peers[key])

    shared = [key for key in shares if peers.get(key)]
    if len(shared) == 1:
        return [shared]
    return [list(keys) for _, keys in groupby(sorted(shared, key=pools), pools)]


def _added(claims: Iterable[Claim]) -> Claim:
    """Return what one pool claims of several keys together."""
    return reduce(
        lambda one, other: replace(
            one,
            needs={
                unit: need.plus(other.needs[unit]) if unit in other.needs else need
                for unit, need in {**other.needs, **one.needs}.items()
            },
        ),
        claims,
    )
