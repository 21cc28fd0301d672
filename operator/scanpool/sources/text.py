"""Read JSON that others wrote, and make their text fit to stand in a condition's message."""

import json
import re
from collections.abc import Mapping
from typing import Final

MAX_QUOTED_CHARACTERS: Final = 200
"""Long enough for a server's own explanation, short enough for one line of `kubectl describe`."""

HEADER_TOKEN: Final = re.compile(r"[!-~]+")
"""What a key or token must be to stand in a header: printable ASCII without spaces."""
HEADER_TEXT: Final = re.compile(r"[!-~]([ -~]*[!-~])?")
"""What any value of a header must be: printable ASCII, with spaces inside of it only."""


def quoted(text: str, *, limit: int = MAX_QUOTED_CHARACTERS) -> str:
    """Return `text` on one line, without control characters, cut to `limit` characters."""
    # A megabyte of error page is cut before it is looked at, not after.
    shown = (each if each.isprintable() else " " for each in text[: 4 * limit])
    line = " ".join("".join(shown).split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def without_secrets(text: str, *secrets: str | None) -> str:
    """Return `text` with every one of the `secrets` blotted out, should a server echo it."""
    for secret in secrets:
        if secret:
            text = text.replace(secret, "***")
    return text


def decoded(body: bytes) -> object:
    """Return the JSON of an answer; None if it is none."""
    try:
        value: object = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return value


def mapping(value: object) -> Mapping[str, object]:
    """Return a JSON object as it is, and an empty one instead of anything else."""
    return value if isinstance(value, Mapping) else {}
