"""What goes with a replica's tokens, by the mix of messages that is being worked off."""

from collections.abc import Sequence

from scanpool.decide.llm_signals import Flow
from scanpool.models.spec import Queue

# Less than a token a minute is an old rate that dies away, and shows no mix.
LEAST_TOKENS = 1.0


def output_share(own: Flow) -> float | None:
    """Return the share of output in the pool's own tokens; None where it is not told."""
    if own.tokens is None or own.tokens < LEAST_TOKENS or own.output_tokens is None:
        return None
    # Counted apart, output may be a little ahead of the whole.
    return min(own.output_tokens / own.tokens, 1.0)


def requests_for(tokens: float, queues: Sequence[Queue], own: Flow) -> float | None:
    """Return the requests that go with a replica's tokens, by the mix that is being worked off.

    Before there is one: one message of each queue that costs tokens.
    """
    if own.tokens is not None and own.tokens >= LEAST_TOKENS and own.requests:
        return tokens * own.requests / own.tokens
    prices = [queue.tokens_per_message for queue in queues if queue.tokens_per_message]
    return tokens * len(prices) / sum(prices) if prices else None
