"""What the error of an answer says, whoever wrapped it.

Providers put an object `error` into the body, or a list with one; others put code and message
beside each other, or a sentence where the object would be. Gateways quote all of that once more: as
text in a message, as JSON in a string, as Python prints it. What is inside counts as much as what
is outside, so that the codes are looked for in the text of the whole body.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import httpx

from scanpool.models.error_codes import is_overload
from scanpool.sources.buckets import whole_number
from scanpool.sources.http import Answer
from scanpool.sources.text import decoded, mapping, quoted, without_secrets

MAX_TEXT_CHARACTERS: Final = 20_000
"""Errors with a stack trace have some thousand; a page of an endless server is cut."""
KEY_IN_MESSAGE: Final = re.compile(r"\bsk-[\w*-]+")
"""Providers quote a wrong key in part: its first and last characters, asterisks between them."""
KEY_INVALID: Final = "API_KEY_INVALID"
LINK: Final = re.compile(r"(?:https?://|www\.)[^\s\"'<>\\)]+")
"""Where to read more: its words, such as `billing`, say nothing about this refusal."""
WORD: Final = re.compile(r"\w+")
LINE_END: Final = re.compile(r"\\+[nrt]")
MESSAGE_KEYS: Final = ("message", "error", "detail", "msg", "error_msg")
CODE: Final = re.compile(
    r"""["'](?:code|(?:__)?type|status|reason|error|error_?code|error_?type)["']\s*:\s*"""
    r"""(?:"(?P<a>[^"]{1,100})"|'(?P<b>[^']{1,100})'|(?P<number>\d{1,9})\b)""",
    re.ASCII | re.IGNORECASE,
)
OVERLOADED: Final = re.compile(r"\b(?:is|are|currently|temporarily) overloaded\b", re.IGNORECASE)
"""The sentence of an overload where a gateway has dropped the code."""
PLAIN_LIMITS: Final = frozenset({"ratelimitexceeded", "ratelimitreached"})
"""In a code's letters."""
ERROR_STATUSES: Final = range(httpx.codes.BAD_REQUEST, 600)


@dataclass(frozen=True)
class Refusal:
    """The error of an answer, without secrets: each part is empty where there is none.

    `code`, `type` and `message` are the outermost; `text` is all of it, without links.
    """

    status: int
    code: str
    type: str
    message: str
    text: str

    @property
    def words(self) -> str:
        """What it says, fit to be shown."""
        return quoted(self.message or self.code or self.type or f"HTTP {self.status}")

    @cached_property
    def codes(self) -> tuple[str, ...]:
        """Every code, type, status and reason in it, the outermost first."""
        inside = (found["a"] or found["b"] or found["number"] for found in CODE.finditer(self.text))
        # A message of one word is a code.
        said = self.message if WORD.fullmatch(self.message) else ""
        return tuple(code for code in (self.code, self.type, said, *inside) if code)

    @property
    def refuses_key(self) -> bool:
        """Whether Google refuses the key, which it does by 400."""
        return KEY_INVALID in self.codes

    @property
    def is_overload(self) -> bool:
        """Whether the provider is overloaded, whatever the status says."""
        return any(map(is_overload, self.codes)) or (
            OVERLOADED.search(self.text) is not None and not self.names_limit
        )

    @property
    def names_limit(self) -> bool:
        """Whether a code names a limit, so that no sentence beside it is about anything else."""
        return any(re.sub(r"[^a-z]", "", code.lower()) in PLAIN_LIMITS for code in self.codes)


def body_of(answer: Answer) -> Mapping[str, object]:
    """Return the JSON object of an answer; empty if it holds none."""
    return mapping(decoded(answer.body))


def is_refused(answer: Answer) -> bool:
    """Return whether an answer is none, by its status or, behind some gateways, by its body."""
    return answer.status != httpx.codes.OK or bool(mapping(body_of(answer).get("error")))


def refusal_of(answer: Answer, secret: str) -> Refusal:
    """Return the error of an answer, with `secret` and all that looks like a key blotted out."""
    body = decoded(answer.body)
    outer = mapping(body[0] if isinstance(body, Sequence) and body else body)
    error = mapping(outer.get("error")) or outer
    # Anthropic has types instead of codes, and a code in the details for some of them.
    code = error.get("code") or mapping(error.get("details")).get("error_code")
    plain = _plain(answer) if body is None else ""
    said = (error.get(key) for key in MESSAGE_KEYS)

    def clean(text: object) -> str:
        return KEY_IN_MESSAGE.sub("***", without_secrets(str(text or ""), secret))

    return Refusal(
        status=_status(answer, code),
        code=clean(code),
        type=clean(error.get("type")),
        message=clean(next((one for one in said if isinstance(one, str) and one), plain)),
        text=clean(_unquoted(plain if body is None else json.dumps(body, ensure_ascii=False))),
    )


def _status(answer: Answer, code: object) -> int:
    """Return the status; where it claims success over an error, that of the error."""
    if answer.status != httpx.codes.OK or not is_refused(answer):
        return answer.status
    told = whole_number(code)
    if told is not None and told in ERROR_STATUSES:
        return told
    return httpx.codes.INTERNAL_SERVER_ERROR


def _plain(answer: Answer) -> str:
    """Return a body that is a sentence; empty if it is a page, whose words are its own."""
    text = answer.body[: 4 * MAX_TEXT_CHARACTERS].decode(errors="replace").strip()
    return "" if text.startswith(("<", "{", "[")) else text


def _unquoted(text: str) -> str:
    """Return a text with the quotes and lines of all levels alike, and without links."""
    cut = text[:MAX_TEXT_CHARACTERS]
    return LINK.sub(" ", LINE_END.sub(" ", cut)).replace("\\", "")
