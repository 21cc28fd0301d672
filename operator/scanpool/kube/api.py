"""How to talk to the Kubernetes API: where it is, in which thread, and for how long.

Single requests go through the client library, which blocks, in threads; lists and watches, which
take long, through a client that does not. Of the library its connections, credentials and TLS are
used, and no class of its APIs: those load every type of the API, some 25 MiB and two seconds.

What the world does wrong comes back as `Unavailable`; nothing raises for it.
"""

import asyncio
import os
import ssl
import time
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import httpx
import urllib3
from kubernetes import client, config
from kubernetes.client.exceptions import ApiException
from requests.utils import should_bypass_proxies

from scanpool.kube import answers
from scanpool.kube.answers import Json
from scanpool.kube.fence import Fence
from scanpool.models.conditions import Reason
from scanpool.models.reading import Unavailable
from scanpool.models.rivals import FIELD_MANAGER
from scanpool.threads import in_thread

# To connect and to answer, in seconds: a healthy API server takes milliseconds, and a tick must
# not wait for a sick one longer than it would for any other source.
REQUEST_TIMEOUT = (3.0, 10.0)

# Where a pod finds the namespace that it is in.
POD_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
DEFAULT_NAMESPACE = "default"

NO_QUERY: Mapping[str, str] = MappingProxyType({})
# A page of a list is some megabytes, which a busy server takes seconds for.
LIST_SECONDS = 30.0
# By the verb of a request, as RBAC and the metrics call it.
METHODS = {"get": "GET", "list": "GET", "create": "POST", "patch": "PATCH", "replace": "PUT"}
JSON = "application/json"
MERGE_PATCH = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
# So that managedFields tell whose a field is.
BY_US = {"fieldManager": FIELD_MANAGER}
NOT_LEADING = (
    "this process does not hold the Lease (any more), and leaves the write to whoever does: see "
    "scanpool_leading"
)

Asked = Callable[[str], None]


class _Call(NamedTuple):
    """One request. What comes from an object is escaped in its path.

    `body` makes what it carries, once its turn has come.
    """

    verb: str
    path: str
    query: Mapping[str, str]
    body: Callable[[], object] | None = None
    content_type: str = JSON


def unnoted(_: str) -> None:
    """Count no request: a command of one request has nobody to tell."""


class NoClusterError(Exception):
    """Nothing says where the Kubernetes API is; the message says what to do."""


class KubeApi:
    """The clients of the API; the one that blocks has `threads` threads of an executor.

    `asked` is called with the verb of each request. `fence` says whether a write may begin, and
    when it has to end; without one every write may. `timeout` is for each request of the one that
    blocks, to connect and to answer, in seconds. With neither a kubeconfig nor a pod's
    ServiceAccount it raises NoClusterError.
    """

    def __init__(
        self,
        executor: ThreadPoolExecutor,
        threads: int,
        asked: Asked = unnoted,
        fence: Fence | None = None,
        timeout: tuple[float, float] = REQUEST_TIMEOUT,
    ) -> None:
        configuration = client.Configuration()
        paths = config.KUBE_CONFIG_DEFAULT_LOCATION.split(os.pathsep)
        try:
            if any(Path(path).expanduser().exists() for path in paths):
                config.load_kube_config(client_configuration=configuration)
                chosen = config.list_kube_config_contexts()[1]["context"].get("namespace")
            else:
                config.load_incluster_config(client_configuration=configuration)
                chosen = POD_NAMESPACE.read_text("utf-8") if POD_NAMESPACE.exists() else None
        except config.ConfigException as error:
            told = f"no Kubernetes cluster is configured ({error}): set KUBECONFIG"
            raise NoClusterError(told) from error
        configuration.connection_pool_maxsize = threads
        # The pool's next tick is the retry; the library's own would outlast the tick.
        configuration.retries = False
        self.namespace = chosen or DEFAULT_NAMESPACE
        """The one that counts where none is named, as for kubectl."""
        self._configuration = configuration
        self._client = client.ApiClient(configuration)
        self._executor, self._timeout = executor, timeout
        self._fence = fence or Fence(time.monotonic)
        self._asked = asked
        self._http: httpx.AsyncClient | None = None

    async def get(self, path: str) -> Json | Unavailable:
        """Return an object."""
        return await self._read(_Call("get", path, {}))

    async def list(self, path: str, query: Mapping[str, str] = NO_QUERY) -> Json | Unavailable:
        """Return a list that is small enough for one answer."""
        return await self._read(_Call("list", path, query))

    async def create(self, path: str, body: Json) -> Json | Unavailable:
        """Make an object; return it as it then is."""
        return await self._write(_Call("create", path, BY_US, lambda: body))

    async def patch(self, path: str, body: Json) -> Json | Unavailable:
        """Merge an object with a part of one; return it as it then is."""
        return await self._write(_Call("patch", path, BY_US, lambda: body, MERGE_PATCH))

    async def json_patch(self, path: str, changes: Callable[[], object]) -> Json | Unavailable:
        """Change an object; return it as it then is.

        `changes` is called in the thread that sends them: of a thousand writes that wait for a
        slow server, only those that are sent take the memory of what they say.
        """
        return await self._write(_Call("patch", path, BY_US, changes, JSON_PATCH))

    async def replace(self, path: str, body: Json) -> Json | Unavailable:
        """Write an object as a whole; return it as it then is."""
        return await self._write(_Call("replace", path, BY_US, lambda: body))

    async def _read(self, call: _Call) -> Json | Unavailable:
        self._asked(call.verb)
        return await in_thread(self._executor, self._send, call, self._timeout)

    async def _write(self, call: _Call) -> Json | Unavailable:
        """Make one request that changes something, if the fence lets it through.

        It has to end before another process may lead: the time that is left bounds its time-outs.
        Whoever is cancelled meanwhile ends with it, and not before: the thread goes on, and what
        was let go must not be written to any more. One that waits for its turn is never sent.
        """
        sent = self._executor.submit(self._send_fenced, call)
        answered = asyncio.wrap_future(sent)
        try:
            return await asyncio.shield(answered)
        except asyncio.CancelledError:
            if not sent.cancel():
                await asyncio.wait([answered])
            raise

    def _send_fenced(self, call: _Call) -> Json | Unavailable:
        with self._fence.passage() as left:
            if not left:
                return Unavailable(Reason.NOT_LEADING, NOT_LEADING)
            self._asked(call.verb)
            connect, answer = self._timeout
            connect = min(connect, left / 2)
            return self._send(call, (connect, min(answer, left - connect)))

    def _send(self, call: _Call, timeout: tuple[float, float]) -> Json | Unavailable:
        """Make one request, and return the object that the server sent; blocks."""
        headers = {"Accept": JSON}
        if call.body is not None:
            headers["Content-Type"] = call.content_type
        try:
            asked = self._client.param_serialize(
                METHODS[call.verb],
                call.path,
                query_params=list(call.query.items()),
                header_params=headers,
                body=None if call.body is None else call.body(),
                auth_settings=["BearerToken"],
            )
            response = self._client.call_api(*asked, _request_timeout=timeout)
            data = response.read()
        except ApiException as error:
            # Raised for TLS alone: what a server answers is in the response.
            return answers.refused(error.status or 0, error.reason or "", None)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            return answers.unanswered(error)
        return answers.told(response.status, response.reason or "", data)

    async def page(self, path: str, query: Mapping[str, str]) -> Json | Unavailable:
        """Return a list, or a page of one."""
        self._asked("list")
        asking = self._streams().stream("GET", path, params=query, headers=self._authorization())
        try:
            async with asking as answer:
                # Not kept by the answer, which refers to itself: megabytes would stay until all
                # garbage is looked for.
                body = b"".join([chunk async for chunk in answer.aiter_bytes()])
        except (httpx.HTTPError, OSError) as error:
            return answers.unanswered(error)
        return answers.told(answer.status_code, answer.reason_phrase, body)

    async def events(
        self, path: str, query: Mapping[str, str], silence_seconds: float
    ) -> AsyncIterator[Json | Unavailable]:
        """Yield what a watch tells: an empty object once it is open, then its events.

        Ends when the server ends it. What goes wrong is yielded last: so is a silence of
        `silence_seconds`. A version that the server has forgotten is an event, however it is told.
        """
        self._asked("watch")
        timeout = httpx.Timeout(LIST_SECONDS, read=silence_seconds)
        opening = self._streams().stream(
            "GET", path, params=query, headers=self._authorization(), timeout=timeout
        )
        try:
            async with opening as answer:
                if answer.status_code == httpx.codes.GONE:
                    yield {"type": "ERROR", "object": {"code": httpx.codes.GONE}}
                    return
                if answer.status_code != httpx.codes.OK:
                    body = await answer.aread()
                    refused = answers.told(answer.status_code, answer.reason_phrase, body)
                    yield refused if isinstance(refused, Unavailable) else answers.no_json()
                    return
                yield {}
                async for line in _lines(answer):
                    event = answers.parsed(line)
                    yield answers.no_json() if event is None else event
        except (httpx.HTTPError, OSError) as error:
            yield answers.unanswered(error)

    def close(self) -> None:
        """Close the connections of single requests."""
        self._client.close()

    async def aclose(self) -> None:
        """Close all connections."""
        self.close()
        if self._http is not None:
            await self._http.aclose()

    def _streams(self) -> httpx.AsyncClient:
        if self._http is None:
            told = self._configuration
            self._http = httpx.AsyncClient(
                base_url=told.host,
                verify=_trust(told) if told.host.startswith("https") else False,
                proxy=None if _is_near(told) else told.proxy,
                timeout=LIST_SECONDS,
                # A connection for each watch; there are some for each namespace that is named.
                limits=httpx.Limits(max_connections=None),
                trust_env=False,
            )
        return self._http

    def _authorization(self) -> dict[str, str]:
        """Return the headers that say who asks; a token that has run out is read anew."""
        token = self._configuration.get_api_key_with_prefix("BearerToken", alias="authorization")
        return {"authorization": token} if token else {}


def _is_near(told: client.Configuration) -> bool:
    """Tell whether NO_PROXY names the server."""
    return bool(should_bypass_proxies(told.host, no_proxy=told.no_proxy or ""))


def _trust(told: client.Configuration) -> ssl.SSLContext:
    """Return whom to trust, and how to show who one is, as a kubeconfig says."""
    context = ssl.create_default_context(cafile=told.ssl_ca_cert)
    if not told.verify_ssl:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if told.cert_file:
        context.load_cert_chain(told.cert_file, told.key_file)
    return context


async def _lines(answer: httpx.Response) -> AsyncIterator[bytes]:
    """Yield the lines of a body. Not httpx's, which takes other characters for line ends, too."""
    rest = b""
    async for chunk in answer.aiter_bytes():
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield line
    if rest:
        yield rest
