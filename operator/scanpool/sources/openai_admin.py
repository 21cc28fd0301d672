"""OpenAI's Admin API: the limits that a project is configured with, model by model."""

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote, urlencode

import httpx

from scanpool.models.conditions import Reason
from scanpool.models.observation import ConfiguredLimits
from scanpool.models.reading import Available, Reading
from scanpool.models.units import Clock
from scanpool.sources.buckets import plausible_limit
from scanpool.sources.dialect import ANY_OTHER, Access, Meaning, access, failure
from scanpool.sources.error_body import body_of, refusal_of
from scanpool.sources.failures import SourceError, reading
from scanpool.sources.http import Request, exchange
from scanpool.sources.text import mapping, quoted

SOURCE: Final = "admin"

PAGE_ENTRIES: Final = 100
"""The most that a page has, and what it has by default."""
MAX_PAGES: Final = 20
"""A project lists every model that there is, some hundred; more than this is no such list."""

SNAPSHOT: Final = re.compile(r"(?<=.)-\d{4}-\d{2}-\d{2}\Z", re.ASCII)
"""Ends the name of a model as of a day, which shares the limits of the one it is named after."""

NOT_ADMIN: Final = Meaning(
    Reason.PROVIDER_AUTHENTICATION_FAILED,
    "{origin} does not let the admin key read the limits of projects ({words}); name an admin key "
    "in the Secret of llm.admin.apiKeySecretRef: the keys of workers may not",
)
FAILURES: Final = {
    httpx.codes.UNAUTHORIZED: NOT_ADMIN,
    httpx.codes.FORBIDDEN: NOT_ADMIN,
    httpx.codes.NOT_FOUND: Meaning(
        Reason.PROVIDER_ERROR,
        "{origin} knows no project '{project_id}', or has no Admin API ({words}); correct "
        "llm.admin.projectId, or leave llm.admin out behind a gateway",
    ),
    httpx.codes.INTERNAL_SERVER_ERROR: Meaning(
        Reason.PROVIDER_UNREACHABLE,
        "the Admin API at {origin} is failing or overloaded ({words}); wait or see the provider's "
        "status page",
    ),
    ANY_OTHER: Meaning(
        Reason.PROVIDER_ERROR,
        "the Admin API at {origin} did not answer with a list of limits ({words}); check that "
        "llm.baseUrl leads to OpenAI's API, or leave llm.admin out",
    ),
}

Entries = Mapping[str, Mapping[str, object]]


@reading
async def read_limits(
    http: httpx.AsyncClient,
    base_url: str,
    admin_key: str,
    project_id: str,
    model: str,
    *,
    clock: Clock,
) -> Reading[ConfiguredLimits]:
    """Read the limits that a project has for a model, or for the one it is a dated snapshot of.

    `admin_key` is a key of the organization, which no worker has; the project is that of the
    workers' key.
    """
    api = access(base_url, admin_key, name="admin key", ref="llm.admin.apiKeySecretRef")
    entries = await _entries(http, api, project_id)
    entry = entries.get(model) or entries.get(SNAPSHOT.sub("", model), {})
    limits = ConfiguredLimits(
        tokens_per_minute=plausible_limit(entry.get("max_tokens_per_1_minute")),
        requests_per_minute=plausible_limit(entry.get("max_requests_per_1_minute")),
    )
    if limits == ConfiguredLimits():
        raise SourceError(
            Reason.LIMIT_UNKNOWN,
            f"{api.origin} lists no limit for '{quoted(model)}' in the project "
            f"'{quoted(project_id)}'; correct llm.model or llm.admin.projectId, or set "
            "llm.tokensPerMinute",
        )
    return Available(limits, at=clock(), source=SOURCE)


async def _entries(http: httpx.AsyncClient, api: Access, project_id: str) -> Entries:
    """Return what all pages list, by model."""
    url = f"{api.base}/organization/projects/{quote(project_id, safe='')}/rate_limits"
    entries: dict[str, Mapping[str, object]] = {}
    query = {"limit": str(PAGE_ENTRIES)}
    headers = {"Authorization": f"Bearer {api.key}"}
    request = Request(url, api.origin, Reason.PROVIDER_UNREACHABLE, headers=headers)
    for _ in range(MAX_PAGES):
        answer = await exchange(http, request._replace(url=f"{url}?{urlencode(query)}"))
        page = body_of(answer)
        listed = page.get("data")
        if answer.status != httpx.codes.OK or not isinstance(listed, list):
            refusal, project = refusal_of(answer, api.key), quoted(project_id)
            raise failure(refusal, FAILURES, origin=api.origin, project_id=project)
        for entry in map(mapping, listed):
            entries.setdefault(str(entry.get("model")), entry)
        last = page.get("last_id")
        if page.get("has_more") is not True or not isinstance(last, str):
            break
        query["after"] = last
    return entries
