"""Regular expressions for queues: which names they mean."""

import re
from collections.abc import Iterable


def matching(expression: str, names: Iterable[str]) -> tuple[str, ...]:
    """Return the names that an expression matches as RabbitMQ does: anywhere, and in any case.

    Raises:
        re.error: if it is no regular expression.

    """
    compiled = re.compile(expression, re.IGNORECASE)
    return tuple(name for name in names if compiled.search(name))
