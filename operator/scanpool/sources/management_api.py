"""Ask RabbitMQ's management API, and say what is wrong where it does not answer as it should."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote, unquote

import httpx

from scanpool.models.conditions import Reason
from scanpool.sources.broker_access import Access
from scanpool.sources.failures import SourceError, token_refused, vhost_not_found
from scanpool.sources.http import Answer, Request, exchange
from scanpool.sources.text import HEADER_TOKEN, decoded, mapping, quoted, without_secrets
from scanpool.sources.urls import HTTP_PORTS, Address, parse_address

NOT_IT: Final = (
    "did not answer as RabbitMQ's management API does; check that the URL is the management API's "
    "(usually port 15672)"
)
PROXY: Final = (
    "a proxy before the management API decodes %2F or merges slashes in the path; let it pass "
    "paths on as they are, or name the API's own address in managementUrlSecretRef"
)
SLASH: Final = "%2F"
"""What such a proxy makes another path of."""
NO_SUCH_PATH: Final = frozenset({404, 405, 406})
"""What the broker answers to that: it is another queue's, or its web page's."""


@dataclass(frozen=True, slots=True)
class Api:
    """The API at `address`, as it tells of the vhost `name`."""

    address: Address
    base_path: str
    name: str
    token: str | None = field(default=None, repr=False)
    server_name: str | None = None

    @property
    def root(self) -> str:
        """Where it is, for messages."""
        return f"{self.address.origin}{quoted(self.base_path)}"

    @property
    def place(self) -> str:
        """Where a message says it happened."""
        return f"vhost '{quoted(self.name)}' at {self.root}"

    @property
    def queues(self) -> str:
        """The path of the vhost's queues."""
        return f"queues/{encoded(self.name)}"


def api(access: Access) -> Api:
    """Tell the base path from the vhost in the URL's path.

    A base path behind a proxy ends in `/` or `/api`, or comes with a vhost: otherwise the last
    segment of the path is the vhost. With neither it is "/".
    """
    address = parse_address(access.url, HTTP_PORTS, "it in the Secret of managementUrlSecretRef")
    vhost = access.vhost
    segments = [segment for segment in address.path.split("/") if segment]
    is_base = address.path.endswith("/") or segments[-1:] == ["api"]
    if segments[-1:] == ["api"]:
        segments.pop()
    last = unquote(segments[-1]) if segments and not is_base else None
    if last is not None and vhost in (None, last):
        segments.pop()
        vhost = last
    base_path = "".join(f"/{encoded(unquote(segment))}" for segment in segments)
    name = "/" if vhost is None else vhost
    return Api(address, base_path, name, access.token, access.server_name)


def encoded(segment: str) -> str:
    """Return a name as a segment of a path."""
    text = quote(segment, safe="", errors="replace")
    # A client would resolve these two as steps in the path, and ask for something else.
    return text.replace(".", "%2E") if segment in {".", ".."} else text


async def get(
    http: httpx.AsyncClient, asked: Api, path: str, query: Mapping[str, str | int]
) -> object:
    """Return the JSON at a path below /api, or raise SourceError.

    A queue that does not exist raises the same as a vhost that does not: only the API's words for
    both are the same, too.
    """
    answer = await ask(http, asked, path, query)
    if answer.status != httpx.codes.OK:
        raise refusal(answer, asked, path)
    return decoded(answer.body)


async def ask(
    http: httpx.AsyncClient, asked: Api, path: str, query: Mapping[str, str | int]
) -> Answer:
    """Return the answer to a request for a path below /api, whatever its status."""
    address, token = asked.address, asked.token
    headers = {"Accept": "application/json"}
    auth = None if address.user is None else (address.user, address.password or "")
    if token is not None:
        if not HEADER_TOKEN.fullmatch(token):
            raise SourceError(
                Reason.BROKER_AUTHENTICATION_FAILED,
                "the OAuth 2 token holds white space or other characters that no token has; "
                "correct the Secret of rabbitmq.tokenSecretRef",
            )
        headers["Authorization"], auth = f"Bearer {token}", None
    parameters = str(httpx.QueryParams(query))
    url = f"{address.origin}{asked.base_path}/api/{path}?{parameters}"
    return await exchange(
        http,
        Request(
            url, address.origin, Reason.BROKER_UNREACHABLE, auth=auth, headers=headers,
            server_name=asked.server_name,
        ),
    )  # fmt: skip


def refusal(answer: Answer, asked: Api, path: str) -> SourceError:
    """Say why the API refuses a request for a path, and what to do about it."""
    told = _refusal(answer, asked)
    if answer.status not in NO_SUCH_PATH or SLASH not in path:
        return told
    return SourceError(told.gap.reason, f"{told.gap.message}. Or {PROXY}")


def _refusal(answer: Answer, asked: Api) -> SourceError:
    said = mapping(decoded(answer.body)).get("reason")
    address = asked.address
    secrets = (address.password, asked.token)
    words = without_secrets(str(said), *secrets) if said else f"HTTP {answer.status}"
    words = quoted(words)
    match answer.status:
        # RabbitMQ answers 401 for missing permissions too; only its words differ.
        case httpx.codes.UNAUTHORIZED if asked.token is not None and not _is_missing_tag(said):
            return token_refused(address.origin, f" ({words})")
        case httpx.codes.UNAUTHORIZED if said in (None, "Login failed"):
            return SourceError(
                Reason.BROKER_AUTHENTICATION_FAILED,
                f"{address.origin} refuses the user name or password ({words}); correct them in "
                "the Secret of managementUrlSecretRef, percent-encoded",
            )
        case httpx.codes.UNAUTHORIZED | httpx.codes.FORBIDDEN:
            return SourceError(
                Reason.BROKER_FORBIDDEN,
                f"the user may not read {asked.place} ({words}); give it the tag 'management' "
                "(or 'monitoring') and permissions on this vhost",
            )
        case httpx.codes.NOT_FOUND if said is not None:
            return vhost_not_found(asked.place)
        case status if said is None and httpx.codes.is_client_error(status):
            return SourceError(
                Reason.BROKER_ERROR,
                f"there is no management API at {asked.root} ({words}); correct the URL, and write "
                "a base path with a slash at its end",
            )
    if answer.status in range(300, 400):
        words = f"redirected, HTTP {answer.status}: write the URL that it redirects to"
    return SourceError(
        Reason.BROKER_ERROR,
        f"the management API cannot tell about {asked.place} ({words}); see the broker's log",
    )


def _is_missing_tag(said: object) -> bool:
    return isinstance(said, str) and "user" in said


def of_vhost(asked: Api, items: object) -> list[Mapping[str, object]]:
    """Return the queues of an answer, all of which have to be the vhost's.

    A proxy that decodes %2F and merges slashes makes the list of a vhost into that of all vhosts,
    or of another one, and a queue of the same name may be there.
    """
    queues = [mapping(one) for one in items] if isinstance(items, list) else [{}]
    if not all(isinstance(queue.get("name"), str) and "vhost" in queue for queue in queues):
        raise SourceError(Reason.BROKER_ERROR, f"{asked.place} {NOT_IT}")
    strange = {str(queue["vhost"]) for queue in queues} - {asked.name}
    if strange:
        raise SourceError(
            Reason.BROKER_ERROR,
            f"asked for {asked.place}, the answer has queues of vhost '{quoted(min(strange))}': "
            f"{PROXY}",
        )
    return queues
