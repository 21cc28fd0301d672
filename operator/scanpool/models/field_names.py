"""What a limit's fields are called where a pool has several: llms[NAME] in the place of llm."""

import re
from dataclasses import replace
from typing import Final

from scanpool.models.llm import ONLY, Llm
from scanpool.models.reading import Unavailable

_FIELDS: Final = "|".join(field.alias or name for name, field in Llm.model_fields.items())
# Not in the middle of a word, a path or a host's name.
_OF_LIMIT: Final = re.compile(rf"(?<![\w./@-])llm\.(?=(?:{_FIELDS})\b)")


def of_limit(message: str, name: str) -> str:
    """Return a message about the pool's only limit as one about the limit of this name."""
    return message if name == ONLY else _OF_LIMIT.sub(f"llms[{name}].", message)


def gap_of_limit(gap: Unavailable, name: str) -> Unavailable:
    """Return why a reading of the pool's only limit is missing as one of the limit of this name."""
    return replace(gap, message=of_limit(gap.message, name))
