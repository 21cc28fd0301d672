"""The files that a conversion is given: what is in them, and what is wrong with them."""

import base64
import binascii
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import yaml
from pydantic import ValidationError

from scanpool.convert.keda import CLUSTER_AUTHENTICATION, Authentication, ScaledObject

Parsed = TypeVar("Parsed", ScaledObject, Authentication)

Json = Mapping[str, Any]
Key = tuple[str, str]
"""Namespace and name; what belongs to the whole cluster has no namespace."""

DEFAULT_NAMESPACE = "default"
READ_APART = frozenset({"TriggerAuthentication", CLUSTER_AUTHENTICATION, "Secret", "ConfigMap"})


class UnreadableError(Exception):
    """A file cannot be used; the message says where, and repeats nothing that it holds."""


@dataclass(frozen=True, slots=True)
class Given:
    """All objects of the files."""

    scaled_objects: tuple[ScaledObject, ...] = ()
    authentications: Mapping[Key, Authentication] = field(default_factory=dict)
    cluster_authentications: Mapping[str, Authentication] = field(default_factory=dict)
    secrets: Mapping[Key, Mapping[str, str]] = field(default_factory=dict, repr=False)
    config_maps: Mapping[Key, Mapping[str, str]] = field(default_factory=dict, repr=False)
    workloads: Mapping[str, Mapping[Key, Json]] = field(default_factory=dict, repr=False)
    """By their kinds: whatever else is in the files, of which a trigger's target is one."""
    others: tuple[str, ...] = ()
    """Objects of KEDA's that are no ScaledObjects, as people name them."""
    queue_names: tuple[str, ...] | None = None
    """Names of the broker's queues, for regular expressions; None if nobody told them."""


def read(files: Iterable[tuple[str, str]], queue_names: Iterable[str] | None = None) -> Given:
    """Read files, each a name and its text of any number of YAML documents or Lists.

    Raises:
        UnreadableError: if a text is no YAML, or an object of KEDA's has not its form.

    """
    found: dict[str, dict[Key, Any]] = {}
    scaled: dict[Key, ScaledObject] = {}
    others = []
    for name, text in files:
        for body in _objects(name, text):
            kind, key = str(body.get("kind")), _key(body)
            if kind == "ScaledObject":
                scaled[key] = _parsed(ScaledObject, body, name)
            elif kind in {"TriggerAuthentication", CLUSTER_AUTHENTICATION}:
                found.setdefault(kind, {})[key] = _parsed(Authentication, body, name)
            elif kind == "ScaledJob":
                others.append(f"ScaledJob {key[0]}/{key[1]}")
            else:
                found.setdefault(kind, {})[key] = body
    return Given(
        scaled_objects=tuple(scaled.values()),
        authentications=found.get("TriggerAuthentication", {}),
        cluster_authentications={
            name: one for (_, name), one in found.get(CLUSTER_AUTHENTICATION, {}).items()
        },
        secrets={key: _secret_texts(one) for key, one in found.get("Secret", {}).items()},
        config_maps={
            key: {name: str(text) for name, text in _mapping(one.get("data")).items()}
            for key, one in found.get("ConfigMap", {}).items()
        },
        workloads={kind: those for kind, those in found.items() if kind not in READ_APART},
        others=tuple(others),
        queue_names=None if queue_names is None else tuple(queue_names),
    )


def _objects(name: str, text: str) -> Iterator[Json]:
    try:
        documents = list(yaml.safe_load_all(text))
    except yaml.YAMLError as error:
        # The error's own words repeat the line, which may be one of a Secret.
        mark = getattr(error, "problem_mark", None)
        place = "" if mark is None else f", line {mark.line + 1}"
        raise UnreadableError(f"{name}{place}: this is no YAML") from None
    for document in documents:
        if document is None:
            continue
        if not isinstance(document, dict):
            raise UnreadableError(f"{name}: a document is no Kubernetes object: it has no fields")
        if str(document.get("kind")).endswith("List") and isinstance(document.get("items"), list):
            yield from (one for one in document["items"] if isinstance(one, dict))
        else:
            yield document


def _key(body: Json) -> Key:
    metadata = _mapping(body.get("metadata"))
    return str(metadata.get("namespace", DEFAULT_NAMESPACE)), str(metadata.get("name"))


def _parsed(model: type[Parsed], body: Json, file: str) -> Parsed:
    try:
        return model.model_validate(_without_nulls(body))
    except ValidationError as error:
        namespace, name = _key(body)
        wrong = "; ".join(
            f"{'.'.join(map(str, one['loc']))}: {one['msg']}"
            for one in error.errors(include_url=False, include_input=False)
        )
        told = f"{file}: {body.get('kind')} {namespace}/{name} is not valid: {wrong}"
        raise UnreadableError(told) from None


def _without_nulls(body: Any) -> Any:
    """Return an object without what is null: to the API server that is not there."""
    if isinstance(body, Mapping):
        return {name: _without_nulls(one) for name, one in body.items() if one is not None}
    return [_without_nulls(one) for one in body] if isinstance(body, list) else body


def _secret_texts(secret: Json) -> dict[str, str]:
    texts = {}
    for key, encoded in _mapping(secret.get("data")).items():
        try:
            texts[key] = base64.b64decode(str(encoded), validate=True).decode().strip()
        except (binascii.Error, UnicodeDecodeError):
            continue  # no text, hence no URL
    plain = _mapping(secret.get("stringData"))
    return texts | {key: str(text).strip() for key, text in plain.items()}


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
