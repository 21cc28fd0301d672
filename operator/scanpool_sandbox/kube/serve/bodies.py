"""Request bodies: JSON and YAML, and the few protobuf messages kubectl cannot do without."""

from __future__ import annotations

import json
from typing import Any

import yaml

from scanpool_sandbox.kube.errors import bad_request, unsupported_media_type
from scanpool_sandbox.kube.serve.protobuf import UnsupportedMessageError, decode_message
from scanpool_sandbox.kube.writing.patching import (
    APPLY_PATCH,
    JSON_PATCH,
    MERGE_PATCH,
    STRATEGIC_PATCH,
)

PATCH_TYPES = (JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH, APPLY_PATCH)


class _Loader(yaml.SafeLoader):
    """YAML as Kubernetes reads it: a date stays text."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith(":timestamp")]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def media_type(header: str) -> str:
    """Return a Content-Type without its parameters."""
    return header.partition(";")[0].strip().lower()


def decode_body(body: bytes, content_type: str) -> Any:
    """Decode a body; raises 400 when malformed, 415 for most of protobuf."""
    kind = media_type(content_type)
    if "protobuf" in kind:
        return _from_protobuf(body)
    try:
        if "yaml" in kind:
            return yaml.load(body, Loader=_Loader)  # noqa: S506 - a SafeLoader
        return json.loads(body) if body.strip() else {}
    except (ValueError, yaml.YAMLError) as error:
        raise bad_request(f"the object provided is unrecognized: {error}") from error


def _from_protobuf(body: bytes) -> Any:
    try:
        return decode_message(body)
    except UnsupportedMessageError as error:
        raise unsupported_media_type(
            f"the sandbox API server reads a {error} as JSON or YAML, not as protobuf: "
            "use `kubectl apply -f` or `kubectl create -f` in place of a typed `kubectl create`"
        ) from error
    except (ValueError, UnicodeDecodeError) as error:
        raise bad_request(f"malformed protobuf: {error}") from error


def patch_type(content_type: str) -> str:
    """Return the kind of a patch; raises 415 for an unknown one."""
    kind = media_type(content_type)
    if kind not in PATCH_TYPES:
        raise unsupported_media_type(
            "the body of the request was in an unknown format - accepted media types include: "
            + ", ".join(PATCH_TYPES)
        )
    return kind
