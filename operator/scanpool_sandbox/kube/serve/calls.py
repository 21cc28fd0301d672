"""A request for a resource, and what its headers, query and body say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from scanpool_sandbox.kube.errors import bad_request
from scanpool_sandbox.kube.serve.bodies import decode_body
from scanpool_sandbox.kube.serve.requests import is_true
from scanpool_sandbox.kube.writing.deletion import DeleteOptions
from scanpool_sandbox.kube.writing.options import WriteOptions

if TYPE_CHECKING:
    from aiohttp import web

    from scanpool_sandbox.kube.access.users import User
    from scanpool_sandbox.kube.serve.requests import Target

_VALIDATIONS = ("Ignore", "Warn", "Strict")
_MAX_MANAGER_LENGTH = 128


@dataclass(frozen=True)
class Call:
    """A request that names a resource, authenticated and authorized."""

    request: web.Request
    target: Target
    verb: str
    user: User

    def query(self, name: str) -> str:
        """Return a query parameter, or an empty string."""
        return self.request.query.get(name, "")

    def options(self) -> WriteOptions:
        """Read what the query says about a write."""
        validation = self.query("fieldValidation") or "Warn"
        if validation not in _VALIDATIONS:
            raise bad_request(f"invalid fieldValidation {validation!r}")
        if self.query("dryRun") not in ("", "All"):
            raise bad_request(f"invalid dryRun {self.query('dryRun')!r}: only All is supported")
        agent = self.request.headers.get("User-Agent", "unknown").partition("/")[0]
        return WriteOptions(
            dry_run=self.query("dryRun") == "All",
            field_manager=self.query("fieldManager") or agent[:_MAX_MANAGER_LENGTH],
            field_validation=validation,
            force=is_true(self.request.query.get("force")),
        )

    def field_selector(self) -> str:
        """Return the field selector; a single-object watch or list selects the name too."""
        name = f"metadata.name={self.target.name}" if self.target.name else ""
        return ",".join(filter(None, (self.query("fieldSelector"), name)))

    def table_version(self) -> str:
        """Return the Table version the client prefers to plain objects, or nothing."""
        for accepted in self.request.headers.get("Accept", "").split(","):
            pairs = (part.strip().partition("=") for part in accepted.split(";"))
            parameters = {name: value for name, _, value in pairs}
            if parameters.get("as") == "Table" and parameters.get("v") in ("v1", "v1beta1"):
                return parameters["v"]
        return ""

    async def body(self) -> Any:
        """Decode the body; none is an empty object."""
        raw = await self.request.read()
        if self.request.method == "GET" or not raw:
            return {}
        return decode_body(raw, self.request.headers.get("Content-Type", "application/json"))


def delete_options(call: Call, body: Any) -> DeleteOptions:
    """Read metav1.DeleteOptions from the body and the query."""
    body = body if isinstance(body, dict) else {}
    preconditions = body.get("preconditions") or {}
    grace = body.get("gracePeriodSeconds", call.query("gracePeriodSeconds") or None)
    policy = body.get("propagationPolicy") or call.query("propagationPolicy")
    if body.get("orphanDependents") or is_true(call.request.query.get("orphanDependents")):
        policy = "Orphan"
    return DeleteOptions(
        grace_period_seconds=None if grace is None else int(grace),
        propagation_policy=policy,
        uid=preconditions.get("uid") or "",
        resource_version=preconditions.get("resourceVersion") or "",
        dry_run="All" in (body.get("dryRun") or []) or call.query("dryRun") == "All",
    )
