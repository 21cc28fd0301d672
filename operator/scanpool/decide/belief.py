"""Whether a reading of use is one: a figure that does not move is a gauge that nobody updates."""

from dataclasses import dataclass

# The last digits of a rate change with every call that is made. One that does not for this long,
# and for three windows, is no measurement any more.
FROZEN_SECONDS = 180.0
FROZEN_WINDOWS = 3


@dataclass(frozen=True, slots=True)
class Belief:
    """Since when use, in tokens per minute, is exactly what it is.

    `silent_since` is since when it shows nothing, or nothing with the pool's own labels
    (`is_unlabelled`), although the pool's messages are worked off.
    """

    tokens: float | None = None
    since: float = 0.0
    silent_since: float | None = None
    is_unlabelled: bool = False


def step(
    belief: Belief, tokens: float, own: float | None, *, is_working: bool, now: float
) -> Belief:
    """Return the belief after a reading of the key's use, and of its part with the own labels."""
    unlabelled = tokens > 0 and own == 0
    silent = belief.silent_since if belief.silent_since is not None else now
    return Belief(
        tokens=tokens,
        since=belief.since if belief.tokens == tokens else now,
        silent_since=silent if (tokens == 0 or unlabelled) and is_working else None,
        is_unlabelled=unlabelled,
    )


def doubt(belief: Belief, window_seconds: float, now: float) -> str | None:
    """Return what is wrong with the last reading, in words; None if nothing is."""
    patience = max(FROZEN_SECONDS, FROZEN_WINDOWS * window_seconds)
    if belief.silent_since is not None and now - belief.silent_since >= patience:
        shown = "use of the key, but none with ownLabels" if belief.is_unlabelled else "no tokens"
        return f"{shown} for {patience:.0f} s, while this pool's messages are being worked off"
    if belief.tokens and now - belief.since >= patience:
        return f"exactly {belief.tokens:,.0f} TPM for {patience:.0f} s: a gauge that nobody updates"
    return None
