"""The provider's error answers; clients branch on `error.code`."""

import math
from http import HTTPStatus
from typing import Any

from scanpool_sandbox.limiter import Rejected
from scanpool_sandbox.openai_wire import go_duration


class ApiError(Exception):
    """An error answer."""

    def __init__(
        self,
        status: HTTPStatus,
        *,
        code: str,
        kind: str,
        message: str,
        param: str | None = None,
        retry_after_seconds: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.kind = kind
        self.param = param
        self.retry_after_seconds = retry_after_seconds

    def body(self) -> dict[str, Any]:
        """Return the JSON body."""
        error = {"message": str(self), "type": self.kind, "param": self.param, "code": self.code}
        return {"error": error}

    def headers(self) -> dict[str, str]:
        """Return the headers that tell when to come back, if that is known.

        Rounded up, so that a client that waits as told is not too early.
        """
        if self.retry_after_seconds is None:
            return {}
        return {
            "retry-after": str(math.ceil(self.retry_after_seconds)),
            "retry-after-ms": str(math.ceil(self.retry_after_seconds * 1000)),
        }


def limit_error(refusal: Rejected, model: str, organization: str) -> ApiError:
    """Put the limiter's refusal into the provider's words."""
    if refusal.code == "insufficient_quota":
        return ApiError(
            HTTPStatus.TOO_MANY_REQUESTS,
            code=refusal.code,
            kind=refusal.type,
            message="The prepaid quota is used up; check the plan and the billing details.",
        )
    unit = {"tokens": "tokens per min (TPM)", "requests": "requests per min (RPM)"}[refusal.type]
    counts = f"Limit {refusal.limit}, Used {refusal.used}, Requested {refusal.requested}."
    if refusal.retry_after_seconds is None:
        start, end = "Request too large for", "Reduce the input or the output to run it."
    else:
        # Never "0s": the wait is rounded to milliseconds.
        wait = go_duration(max(refusal.retry_after_seconds, 0.001))
        start, end = "Rate limit reached for", f"Please try again in {wait}."
    return ApiError(
        HTTPStatus.TOO_MANY_REQUESTS,
        code=refusal.code,
        kind=refusal.type,
        message=f"{start} {model} in organization {organization} on {unit}: {counts} {end}",
        retry_after_seconds=refusal.retry_after_seconds,
    )


def wrong_key() -> ApiError:
    """Return the answer to a missing or unknown key, which it does not repeat."""
    return ApiError(
        HTTPStatus.UNAUTHORIZED,
        code="invalid_api_key",
        kind="invalid_request_error",
        message="The API key is missing or incorrect.",
    )


def not_an_admin_key() -> ApiError:
    """Return the Admin API's answer to the key of a worker."""
    return ApiError(
        HTTPStatus.FORBIDDEN,
        code="missing_scope",
        kind="invalid_request_error",
        message="This key lacks the permissions for the operation: api.management.read.",
    )


def unknown_project(project: str) -> ApiError:
    """Return the Admin API's answer to a project that the organization does not have."""
    return ApiError(
        HTTPStatus.NOT_FOUND,
        code="project_not_found",
        kind="invalid_request_error",
        message=f"There is no project {project!r}.",
    )


def unknown_model(model: str) -> ApiError:
    """Return the answer to a model that the key has no access to."""
    return ApiError(
        HTTPStatus.NOT_FOUND,
        code="model_not_found",
        kind="invalid_request_error",
        message=f"The model {model!r} does not exist or you do not have access to it.",
    )


def invalid_request(code: str, message: str, param: str | None = None) -> ApiError:
    """Return the answer to a request that can never work."""
    return ApiError(
        HTTPStatus.BAD_REQUEST,
        code=code,
        kind="invalid_request_error",
        message=message,
        param=param,
    )


def slow_down() -> ApiError:
    """Return the answer to traffic that grew too fast, inside the limit."""
    return ApiError(
        HTTPStatus.TOO_MANY_REQUESTS,
        code="slow_down",
        kind="rate_limit_error",
        message="The request rate rose too fast. Slow down, hold it, then raise it gradually.",
    )


def overloaded() -> ApiError:
    """Return the answer of an overloaded provider, which is not a limit of the caller."""
    return ApiError(
        HTTPStatus.SERVICE_UNAVAILABLE,
        code="server_is_overloaded",
        kind="server_error",
        message="The engine is overloaded; try again later.",
    )
