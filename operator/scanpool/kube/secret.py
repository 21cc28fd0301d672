"""A Secret, as the API server sends it, and the text of its keys. Pure."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self

from scanpool.models.conditions import Reason
from scanpool.models.reading import Unavailable


class SecretText(NamedTuple):
    """One key of a Secret; `version` is another one after every write of the Secret."""

    text: str
    version: str


@dataclass(frozen=True, slots=True)
class Secret:
    """What a Secret holds, still encoded. No value ever appears in a message."""

    where: str
    version: str
    data: Mapping[str, str] = field(repr=False)

    @classmethod
    def from_body(cls, body: Mapping[str, Any], where: str) -> Self:
        """Take what is needed of the object; `where` names it for people."""
        return cls(where, body["metadata"].get("resourceVersion", ""), body.get("data") or {})

    def text(self, key: str) -> SecretText | Unavailable:
        """Return the value of a key, without the white space around it."""
        encoded = self.data.get(key)
        if encoded is None:
            words = f"{self.where} has no key {key}: add it"
            return Unavailable(Reason.SECRET_KEY_NOT_FOUND, words)
        try:
            value = base64.b64decode(encoded, validate=True).decode().strip()
            told = "is empty: set it"
        except ValueError:
            value, told = "", "is not text: set it anew"
        if not value:
            words = f"{self.where}, key {key}, {told}"
            return Unavailable(Reason.SECRET_KEY_NOT_FOUND, words)
        return SecretText(value, self.version)
