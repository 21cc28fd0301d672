"""Just enough protobuf for the typed requests kubectl insists on: small creates and reviews.

kubectl sends `create namespace`, `create secret`, `auth can-i` and their like as protobuf. Each
such message is described here by its field numbers; anything else is refused.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scanpool_sandbox.kube.objects import Obj

MAGIC = b"k8s\x00"
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_MAP_KEY, _MAP_VALUE = 1, 2
_MORE_FOLLOWS = 0x80
"""The top bit of each byte of a varint but the last."""


@dataclass(frozen=True)
class _Message:
    """Field numbers by what they hold; fields not listed are left out."""

    texts: dict[int, str] = field(default_factory=dict)
    numbers: dict[int, str] = field(default_factory=dict)
    flags: dict[int, str] = field(default_factory=dict)
    text_lists: dict[int, str] = field(default_factory=dict)
    text_maps: dict[int, str] = field(default_factory=dict)
    bytes_maps: dict[int, str] = field(default_factory=dict)
    messages: dict[int, tuple[str, _Message]] = field(default_factory=dict)


_METADATA = (
    "metadata",
    _Message(
        texts={1: "name", 2: "generateName", 3: "namespace"},
        text_maps={11: "labels", 12: "annotations"},
        text_lists={14: "finalizers"},
    ),
)
_ATTRIBUTES = _Message(
    texts={
        1: "namespace",
        2: "verb",
        3: "group",
        4: "version",
        5: "resource",
        6: "subresource",
        7: "name",
    }
)
_ACCESS = _Message(
    messages={
        1: ("resourceAttributes", _ATTRIBUTES),
        2: ("nonResourceAttributes", _Message(texts={1: "path", 2: "verb"})),
    }
)
_KINDS: dict[str, _Message] = {
    "Namespace": _Message(messages={1: _METADATA}),
    "ServiceAccount": _Message(messages={1: _METADATA}),
    "ConfigMap": _Message(
        messages={1: _METADATA},
        text_maps={2: "data"},
        bytes_maps={3: "binaryData"},
        flags={4: "immutable"},
    ),
    "Secret": _Message(
        messages={1: _METADATA},
        bytes_maps={2: "data"},
        texts={3: "type"},
        text_maps={4: "stringData"},
        flags={5: "immutable"},
    ),
    "SelfSubjectAccessReview": _Message(messages={1: _METADATA, 2: ("spec", _ACCESS)}),
    "SelfSubjectRulesReview": _Message(
        messages={1: _METADATA, 2: ("spec", _Message(texts={1: "namespace"}))}
    ),
    "SelfSubjectReview": _Message(messages={1: _METADATA}),
    "TokenRequest": _Message(
        messages={
            1: _METADATA,
            2: ("spec", _Message(text_lists={1: "audiences"}, numbers={4: "expirationSeconds"})),
        }
    ),
    "DeleteOptions": _Message(
        numbers={1: "gracePeriodSeconds"},
        messages={
            2: ("preconditions", _Message(texts={1: "uid", 2: "resourceVersion"})),
        },
        flags={3: "orphanDependents"},
        texts={4: "propagationPolicy"},
        text_lists={5: "dryRun"},
    ),
}
_TYPE = _Message(texts={1: "apiVersion", 2: "kind"})
_ENVELOPE_TYPE, _ENVELOPE_BODY = 1, 2


class UnsupportedMessageError(Exception):
    """A protobuf body of a kind not described here."""


def decode_message(body: bytes) -> Obj:
    """Decode a request body; raises UnsupportedMessageError, or ValueError when malformed."""
    if not body.startswith(MAGIC):
        raise ValueError("not a Kubernetes protobuf message")
    envelope = dict(_fields(body[len(MAGIC) :]))
    about = _decode(envelope.get(_ENVELOPE_TYPE, b""), _TYPE)
    message = _KINDS.get(about.get("kind", ""))
    if message is None:
        raise UnsupportedMessageError(about.get("kind", ""))
    return {**about, **_decode(envelope.get(_ENVELOPE_BODY, b""), message)}


def _decode(body: bytes, message: _Message) -> Obj:
    result: Obj = {}
    for number, value in _fields(body):
        if number in message.texts:
            text = value.decode()
            if text:
                result[message.texts[number]] = text
        elif number in message.numbers:
            result[message.numbers[number]] = value
        elif number in message.flags:
            result[message.flags[number]] = bool(value)
        elif number in message.text_lists:
            result.setdefault(message.text_lists[number], []).append(value.decode())
        elif number in message.text_maps:
            key, item = _entry(value)
            result.setdefault(message.text_maps[number], {})[key] = item.decode()
        elif number in message.bytes_maps:
            key, item = _entry(value)
            encoded = base64.b64encode(item).decode()
            result.setdefault(message.bytes_maps[number], {})[key] = encoded
        elif number in message.messages:
            name, inner = message.messages[number]
            result[name] = _decode(value, inner)
    return result


def _entry(body: bytes) -> tuple[str, bytes]:
    pair = dict(_fields(body))
    return pair.get(_MAP_KEY, b"").decode(), pair.get(_MAP_VALUE, b"")


def _fields(body: bytes) -> Iterator[tuple[int, Any]]:
    """Yield (field number, value) pairs: int for varints, bytes for the rest."""
    at = 0
    while at < len(body):
        tag, at = _varint(body, at)
        number, wire_type = tag >> 3, tag & 7
        if wire_type == _VARINT:
            value, at = _varint(body, at)
            yield number, value
            continue
        if wire_type == _BYTES:
            length, at = _varint(body, at)
        elif wire_type in (_FIXED32, _FIXED64):
            length = 4 if wire_type == _FIXED32 else 8
        else:
            raise ValueError(f"unknown wire type {wire_type}")
        if at + length > len(body):
            raise ValueError("truncated message")
        yield number, body[at : at + length]
        at += length


def _varint(body: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if at >= len(body):
            raise ValueError("truncated message")
        byte = body[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < _MORE_FOLLOWS:
            return value, at
        shift += 7
