"""Failures as the API server reports them: `Status` objects with reason, code and causes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from scanpool_sandbox.kube.objects import Obj


@dataclass(frozen=True, slots=True)
class FieldError:
    """One thing wrong with one field.

    `reason` is the machine-readable cause (`FieldValueInvalid`, ...), `detail` the sentence
    without the field's path.
    """

    reason: str
    field: str
    detail: str

    def __str__(self) -> str:
        return f"{self.field}: {self.detail}"

    def cause(self) -> Obj:
        """Build the entry of Status.details.causes."""
        return {"reason": self.reason, "message": self.detail, "field": self.field}


def shown(value: Any) -> str:
    """Write a value inside an error message: strings quoted, composites as compact JSON."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def invalid_value(field: str, value: Any, why: str) -> FieldError:
    """Report a value of the right type that is still not acceptable."""
    return FieldError("FieldValueInvalid", field, f"Invalid value: {shown(value)}: {why}")


def required_value(field: str, why: str = "") -> FieldError:
    """Report a field that is missing or empty."""
    return FieldError("FieldValueRequired", field, "Required value" + (f": {why}" if why else ""))


def forbidden_value(field: str, why: str) -> FieldError:
    """Report a field that must not be set, or not be changed."""
    return FieldError("FieldValueForbidden", field, f"Forbidden: {why}")


class ApiError(Exception):
    """A request that fails, with the `Status` body that tells the client why."""

    def __init__(
        self, code: HTTPStatus, reason: str, message: str, details: Obj | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.details = details

    def status(self) -> Obj:
        """Build the v1 Status object."""
        body: Obj = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
            "code": int(self.code),
        }
        if self.details is not None:
            body["details"] = self.details
        return body


def qualified(plural: str, group: str) -> str:
    """`deployments.apps`, or just `pods` in the core group."""
    return f"{plural}.{group}" if group else plural


def _about(group: str, kind: str, name: str) -> Obj:
    details = {"name": name, "group": group, "kind": kind}
    return {key: value for key, value in details.items() if value}


def bad_request(message: str) -> ApiError:
    """Build the 400 of a request that cannot be understood."""
    return ApiError(HTTPStatus.BAD_REQUEST, "BadRequest", message)


def unauthorized() -> ApiError:
    """Build the 401 of credentials that are not known."""
    return ApiError(HTTPStatus.UNAUTHORIZED, "Unauthorized", "Unauthorized")


def forbidden(plural: str, group: str, name: str, why: str) -> ApiError:
    """Build the 403 of a request that is understood and refused."""
    subject = f'{qualified(plural, group)} "{name}"' if name else qualified(plural, group)
    return ApiError(
        HTTPStatus.FORBIDDEN,
        "Forbidden",
        f"{subject} is forbidden: {why}",
        _about(group, plural, name),
    )


def path_not_found() -> ApiError:
    """Build the 404 of a path that leads nowhere."""
    return ApiError(
        HTTPStatus.NOT_FOUND,
        "NotFound",
        "the server could not find the requested resource",
        {"causes": [{"reason": "UnexpectedServerResponse", "message": "404 page not found"}]},
    )


def not_found(plural: str, group: str, name: str) -> ApiError:
    """Build the 404 of an object that does not exist."""
    return ApiError(
        HTTPStatus.NOT_FOUND,
        "NotFound",
        f'{qualified(plural, group)} "{name}" not found',
        _about(group, plural, name),
    )


def already_exists(plural: str, group: str, name: str) -> ApiError:
    """Build the 409 of a create under a name that is taken."""
    return ApiError(
        HTTPStatus.CONFLICT,
        "AlreadyExists",
        f'{qualified(plural, group)} "{name}" already exists',
        _about(group, plural, name),
    )


def conflict(plural: str, group: str, name: str, why: str) -> ApiError:
    """Build the 409 of a write whose precondition does not hold."""
    return ApiError(
        HTTPStatus.CONFLICT,
        "Conflict",
        f'Operation cannot be fulfilled on {qualified(plural, group)} "{name}": {why}',
        _about(group, plural, name),
    )


def internal_error(why: str) -> ApiError:
    """Build the 500 of a request that the server cannot carry out."""
    told = f"Internal error occurred: {why}"
    return ApiError(HTTPStatus.INTERNAL_SERVER_ERROR, "InternalError", told)


MODIFIED = (
    "the object has been modified; please apply your changes to the latest version and try again"
)


def invalid(kind: str, group: str, name: str, errors: Iterable[FieldError]) -> ApiError:
    """Build the 422 of an object that does not pass validation."""
    found = list(errors)
    listed = ", ".join(map(str, found))
    details = _about(group, kind, name)
    details["causes"] = [error.cause() for error in found]
    return ApiError(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "Invalid",
        f'{qualified(kind, group)} "{name}" is invalid: '
        + (f"[{listed}]" if len(found) > 1 else listed),
        details,
    )


def expired(requested: int, oldest: int) -> ApiError:
    """Build the 410 of a resourceVersion that is no longer in the history."""
    return ApiError(HTTPStatus.GONE, "Expired", f"too old resource version: {requested} ({oldest})")


def method_not_allowed() -> ApiError:
    """Build the 405 of a verb the resource does not have."""
    return ApiError(
        HTTPStatus.METHOD_NOT_ALLOWED,
        "MethodNotAllowed",
        "the server does not allow this method on the requested resource",
    )


def unsupported_media_type(message: str) -> ApiError:
    """Build the 415 of a body in an unknown content type."""
    return ApiError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "UnsupportedMediaType", message)


def apply_conflict(conflicts: list[tuple[str, str]]) -> ApiError:
    """Build the 409 of an apply that meets others' fields: pairs of (owner, path)."""
    listed = ", ".join(f"conflict with {owner}: {path}" for owner, path in conflicts)
    plural = "" if len(conflicts) == 1 else "s"
    return ApiError(
        HTTPStatus.CONFLICT,
        "Conflict",
        f"Apply failed with {len(conflicts)} conflict{plural}: {listed}",
        {
            "causes": [
                {"reason": "FieldManagerConflict", "message": f"conflict with {owner}", "field": f}
                for owner, f in conflicts
            ]
        },
    )
