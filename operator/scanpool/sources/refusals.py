"""What the codes of refused calls mean, as exporters count them.

A code is whatever an exporter puts into its label: the provider's `error.code`, an HTTP status, or
the class that a client library raises. Client libraries raise one class for every 429, and a status
is one for all of them: there a billing refusal looks like a rate limit.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from scanpool.models.error_codes import (
    Refusals,
    is_billing,
    is_rate_limit,
    is_slow_down,
    telling_word,
)
from scanpool.sources.text import quoted

UNNAMED: Final = "429"
"""The code of refused calls that are counted as one number."""

MAX_CODES: Final = 20
"""Codes to report, the most frequent ones: an exporter that puts a text into the label has more
than anyone reads, and each takes room in the status."""
MAX_CODE_CHARACTERS: Final = 60
"""Longer than any provider's code or library's class; a sentence is cut."""

CODE_LABEL: Final = re.compile(r"code|status|error|exception|reason", re.IGNORECASE)
"""What is in the name of a label that holds codes. In `model` or `instance` there is no code."""


def codes(samples: Sequence[tuple[Mapping[str, str], float]]) -> list[tuple[str, float]] | None:
    """Return each sample's code and value; None if it is not clear what the samples count.

    A single sample is all refused calls together, unless its only label holds a code. Several are
    told apart by one label each, which holds a code.
    """
    by_code = [(_code(labels), value) for labels, value in samples]
    if len(by_code) == 1:
        return [(by_code[0][0] or UNNAMED, by_code[0][1])]
    coded = [(code, value) for code, value in by_code if code is not None]
    return coded if len(coded) == len(by_code) else None


def means_refusal(code: str) -> bool:
    """Return whether the provider refused the call: for a limit, for money, or to be slower."""
    return is_billing(code) or is_slow_down(code) or is_rate_limit(code)


def per_minute(by_code: Iterable[tuple[str, float]], counts: Callable[[str], bool]) -> float:
    """Return the calls per minute whose code counts."""
    return sum((value for code, value in by_code if counts(code)), 0.0)


def refusals(by_code: Iterable[tuple[str, float]]) -> tuple[Refusals, ...]:
    """Return the codes that occur, in alphabetical order, fit to be shown and bounded in number."""
    totals: defaultdict[str, float] = defaultdict(float)
    for code, value in by_code:
        totals[_shown(code)] += value
    # Of equally frequent ones the first by name, so that the choice does not change by itself.
    frequent = sorted(totals, key=lambda code: (-totals[code], code))[:MAX_CODES]
    return tuple(Refusals(code, totals[code]) for code in sorted(frequent) if totals[code] > 0)


def _shown(code: str) -> str:
    """Return a code fit to be shown; of a long text, which would be cut, the telling word."""
    shown = code if len(code) <= MAX_CODE_CHARACTERS else telling_word(code) or code
    return quoted(shown, limit=MAX_CODE_CHARACTERS)


def _code(labels: Mapping[str, str]) -> str | None:
    if len(labels) != 1:
        return None
    ((name, value),) = labels.items()
    return value if CODE_LABEL.search(name) else None
