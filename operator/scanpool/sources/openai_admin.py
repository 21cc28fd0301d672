"""OpenAI's Admin API: the limits that a project is configured with, model by model."""

import re
from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import quote, urlencode

import httpx

from scanpool.models.conditions import Reason
from scanpool.models.observation import ConfiguredLimits
from scanpool.models.reading import Available, Reading, Unavailable
from scanpool.sources.buckets import plausible_limit
from scanpool.sources.dialect import Refusal, access, body_of, mapping, refusal_of
from scanpool.sources.http import exchange
from scanpool.sources.text import quoted

SOURCE: Final = "admin"

PAGE_ENTRIES: Final = 100
"""The most that a page has, and what it has by default."""
MAX_PAGES: Final = 20
"""A project lists every model that there is, some hundred; more than this is no such list."""

SNAPSHOT: Final = re.compile(r"(?P<name>.+)-\d{4}-\d{2}-\d{2}", re.ASCII)
"""A model as of a day, which shares the limits of the one that it is named after."""

Entries = Mapping[str, Mapping[str, object]]


async def read_limits(
    http: httpx.AsyncClient,
    base_url: str,
    admin_key: str,
    project_id: str,
    model: str,
    *,
    clock: Callable[[], float],
) -> Reading[ConfiguredLimits]:
    """Read the limits that a project has for a model, or for the one it is a dated snapshot of.

    Args:
        http: the client.
        base_url: of the API, for example https://api.openai.com/v1.
        admin_key: a key of the organization, which no worker has.
        project_id: of the workers' key.
        model: the workers' model.
        clock: seconds since the epoch.

    """
    api = access(base_url, admin_key, name="admin key", ref="llm.admin.apiKeySecretRef")
    if isinstance(api, Unavailable):
        return api
    url = f"{api.base}/organization/projects/{quote(project_id, safe='')}/rate_limits"
    entries = await _entries(http, url, api.origin, api.key, project_id)
    if isinstance(entries, Unavailable):
        return entries
    entry = _entry_of(entries, model)
    limits = ConfiguredLimits(
        tokens_per_minute=plausible_limit(entry.get("max_tokens_per_1_minute")),
        requests_per_minute=plausible_limit(entry.get("max_requests_per_1_minute")),
    )
    if limits == ConfiguredLimits():
        return Unavailable(
            Reason.LIMIT_UNKNOWN,
            f"{api.origin} lists no limit for '{quoted(model)}' in the project "
            f"'{quoted(project_id)}'; correct llm.model or llm.admin.projectId, or set "
            "llm.tokensPerMinute",
        )
    return Available(limits, at=clock(), source=SOURCE)


async def _entries(
    http: httpx.AsyncClient, url: str, origin: str, admin_key: str, project_id: str
) -> Entries | Unavailable:
    """Return what all pages list, by model."""
    entries: dict[str, Mapping[str, object]] = {}
    query = {"limit": str(PAGE_ENTRIES)}
    for _ in range(MAX_PAGES):
        answer = await exchange(
            http,
            "GET",
            f"{url}?{urlencode(query)}",
            origin=origin,
            unreachable=Reason.PROVIDER_UNREACHABLE,
            headers={"Authorization": f"Bearer {admin_key}"},
        )
        if isinstance(answer, Unavailable):
            return answer
        page = body_of(answer)
        listed = page.get("data")
        if answer.status != httpx.codes.OK or not isinstance(listed, list):
            return _failure(refusal_of(answer, admin_key), origin, project_id)
        for entry in map(mapping, listed):
            entries.setdefault(str(entry.get("model")), entry)
        last = page.get("last_id")
        if page.get("has_more") is not True or not isinstance(last, str):
            break
        query["after"] = last
    return entries


def _entry_of(entries: Entries, model: str) -> Mapping[str, object]:
    """Return the entry of the model itself, else of the one that it is a snapshot of, else none."""
    snapshot = SNAPSHOT.fullmatch(model)
    names = (model,) if snapshot is None else (model, snapshot["name"])
    return next((entries[name] for name in names if name in entries), {})


def _failure(refusal: Refusal, origin: str, project_id: str) -> Unavailable:
    words = refusal.words
    match refusal.status:
        case httpx.codes.UNAUTHORIZED | httpx.codes.FORBIDDEN:
            return Unavailable(
                Reason.PROVIDER_AUTHENTICATION_FAILED,
                f"{origin} does not let the admin key read the limits of projects ({words}); name "
                "an admin key in the Secret of llm.admin.apiKeySecretRef: the keys of workers may "
                "not",
            )
        case httpx.codes.NOT_FOUND:
            return Unavailable(
                Reason.PROVIDER_ERROR,
                f"{origin} knows no project '{quoted(project_id)}', or has no Admin API ({words}); "
                "correct llm.admin.projectId, or leave llm.admin out behind a gateway",
            )
    if refusal.status >= httpx.codes.INTERNAL_SERVER_ERROR:
        return Unavailable(
            Reason.PROVIDER_UNREACHABLE,
            f"the Admin API at {origin} is failing or overloaded ({words}); wait or see the "
            "provider's status page",
        )
    return Unavailable(
        Reason.PROVIDER_ERROR,
        f"the Admin API at {origin} did not answer with a list of limits ({words}); check that "
        "llm.baseUrl leads to OpenAI's API, or leave llm.admin out",
    )
