"""What the Kubernetes API's answers mean: an object, or what its refusal or silence says. Pure."""

import json
from http import HTTPStatus
from typing import Any

from scanpool.models.conditions import Reason
from scanpool.models.reading import Unavailable

Json = dict[str, Any]

APPLY_ANEW = "apply manifests/base anew, or upgrade the chart's release"


def unanswered(error: Exception) -> Unavailable:
    """Say that no answer came."""
    return Unavailable(
        Reason.KUBERNETES_UNAVAILABLE,
        f"the Kubernetes API does not answer ({type(error).__name__}); "
        "nothing is changed until it does",
    )


def no_json() -> Unavailable:
    """Say that an answer came that no API server gives."""
    return Unavailable(
        Reason.KUBERNETES_UNAVAILABLE,
        "the Kubernetes API sent something else than JSON objects: see whether a proxy "
        "answers in its place",
    )


def parsed(data: bytes) -> Json | None:
    """Parse an object; None for everything else."""
    try:
        body: object = json.loads(data)
    except ValueError:
        return None
    return body if isinstance(body, dict) else None


def told(status: int, phrase: str, data: bytes) -> Json | Unavailable:
    """Return the object that the server sent, or what its refusal means."""
    body = parsed(data)
    if not HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        return refused(status, phrase, body)
    return no_json() if body is None else body


def refused(code: int, phrase: str, body: Json | None) -> Unavailable:
    """Say what a refusal means; `body` is the Status that came with it, if one did."""
    said = str((body or {}).get("message", f"{code} {phrase}"))
    match code:
        case HTTPStatus.UNAUTHORIZED | HTTPStatus.FORBIDDEN:
            words = f"the Kubernetes API refuses the operator: {said}; {APPLY_ANEW}"
            return Unavailable(Reason.KUBERNETES_FORBIDDEN, words)
        case HTTPStatus.NOT_FOUND:
            return Unavailable(Reason.NOT_FOUND, said)
        case HTTPStatus.CONFLICT:
            return Unavailable(Reason.SCALE_CONFLICT, said)
    return Unavailable(Reason.KUBERNETES_UNAVAILABLE, f"the Kubernetes API answered {code}: {said}")
