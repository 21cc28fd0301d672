"""The provider's Admin API, as far as it tells limits.

- GET /v1/organization/projects/{project}/rate_limits?limit=N&after=ID: the limits of every model,
  by pages, for an admin key; the keys of workers may not.
"""

from collections.abc import Mapping
from typing import Any

from aiohttp import web

from scanpool_sandbox.openai_errors import ApiError, invalid_request
from scanpool_sandbox.openai_provider import Provider

MOST_ENTRIES = 100
"""Of a page, and its default."""


class Organization:
    """HTTP handlers over one provider's limits."""

    def __init__(self, provider: Provider) -> None:
        self._provider = provider

    def routes(self) -> list[web.RouteDef]:
        """Return the routes to add to an application."""
        path = "/v1/organization/projects/{project}/rate_limits"
        return [web.get(path, self.rate_limits)]

    async def rate_limits(self, request: web.Request) -> web.Response:
        """Answer with one page."""
        try:
            entries = self._provider.project_limits(
                request.headers.get("Authorization", ""), request.match_info["project"]
            )
            return web.json_response(_page(entries, request.query))
        except ApiError as error:
            return web.json_response(error.body(), status=error.status)


def _page(entries: list[dict[str, Any]], query: Mapping[str, str]) -> dict[str, Any]:
    try:
        limit = int(query.get("limit", MOST_ENTRIES))
    except ValueError:
        raise invalid_request("invalid_type", "limit must be an integer.", "limit") from None
    if not 1 <= limit <= MOST_ENTRIES:
        raise invalid_request("invalid_value", f"limit must be 1 to {MOST_ENTRIES}.", "limit")
    ids = [entry["id"] for entry in entries]
    after = query.get("after")
    if after is not None and after not in ids:
        raise invalid_request("invalid_value", "There is no entry of that id.", "after")
    start = 0 if after is None else ids.index(after) + 1
    shown = entries[start : start + limit]
    return {
        "object": "list",
        "data": shown,
        "first_id": shown[0]["id"] if shown else None,
        "last_id": shown[-1]["id"] if shown else None,
        "has_more": start + limit < len(entries),
    }
