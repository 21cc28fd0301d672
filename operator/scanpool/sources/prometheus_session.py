"""Send a query to a Prometheus, or to what stands before it, and read the answer within bounds."""

import io
import ssl
import time
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import requests
import urllib3
from requests.adapters import HTTPAdapter

from scanpool.models import llm
from scanpool.models.conditions import Reason
from scanpool.sources.failures import SourceError
from scanpool.sources.http import trusting
from scanpool.sources.partial import missing_part
from scanpool.sources.text import HEADER_TEXT, HEADER_TOKEN, decoded, mapping, without_secrets

FIELD: Final = "llm.usage.prometheus"

READING_SECONDS: Final = 15.0
"""For all answers together: a server that trickles must not hold one of our threads."""
MAX_ANSWER_BYTES: Final = 2**20
"""A handful of numbers is asked for; a query for thousands of series is a mistake."""
CHUNK_BYTES: Final = 2**14


REASON_NAMES: Final = (
    "error_description", "error", "message", "detail", "reason", "errors", "title",
)  # fmt: skip
"""Where servers, and gateways in front of them, put their reason in JSON; what says more first."""
REASON_DEPTH: Final = 4
"""The deepest is a list of errors in an error, each with a message."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """What Secrets hold of a Prometheus: `headers` by name, authorities as PEM. Never shown."""

    bearer_token: str | None = field(default=None, repr=False)
    basic_auth: tuple[str, str] | None = field(default=None, repr=False)
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    ca_pem: str | None = field(default=None, repr=False)


class RefusedError(Exception):
    """Prometheus answered with an error, or with what nobody should read."""

    def __init__(self, words: str, *, of_credentials: bool = False) -> None:
        super().__init__(words)
        self.of_credentials = of_credentials


class PartialError(Exception):
    """Prometheus answered without some of its stores."""


class Session(requests.Session):
    """Sends what PrometheusConnect asks for, in the way that a reading needs."""

    def __init__(self, config: llm.Prometheus, credentials: Credentials, origin: str) -> None:
        super().__init__()
        self._parameters = [(one.name, one.value) for one in config.parameters]
        self._sent = {one.name: one.value for one in config.http_headers if one.value is not None}
        secret = _secret_headers(credentials, origin)
        self._sent |= secret
        self._secrets = _secrets(credentials, secret.values())
        self._ca_pem = credentials.ca_pem
        self._deadline = time.monotonic() + READING_SECONDS

    def trust(self, url: str) -> None:
        """Trust the authorities that the pool names, if it does, and only those, at this URL."""
        if self._ca_pem is not None:
            self.mount(url, _Trusting(trusting(self._ca_pem, f"{FIELD}.caSecretRef")))

    def request(self, method: Any, url: Any, *_: Any, **asked: Any) -> requests.Response:
        """Send a query in the body, and read the answer within bounds of size and time.

        PrometheusConnect puts the query into the URL even of a POST, but it may be longer than a
        proxy lets a URL be, and URLs are logged. A redirect is no answer. Parameters of a tenant
        stay in the URL, where proxies look for them.
        """
        body = bytearray()
        with super().request(
            method, url, params=self._parameters, data=asked["params"], timeout=asked["timeout"],
            auth=self._sign, stream=True, allow_redirects=False,
        ) as response:  # fmt: skip
            for chunk in _pieces(response):
                body += chunk
                if len(body) > MAX_ANSWER_BYTES:
                    raise RefusedError("the answer is too large")
                if time.monotonic() > self._deadline:
                    raise requests.Timeout
        self._check(response, bytes(body))
        # What has been streamed cannot be read again.
        whole = requests.Response()
        whole.status_code, whole.raw = response.status_code, io.BytesIO(body)
        return whole

    def _check(self, response: requests.Response, body: bytes) -> None:
        status, told = response.status_code, decoded(body)
        answer = mapping(told)
        if status != requests.codes.ok or answer.get("status") == "error":
            said = without_secrets(_said(told, body), *self._secrets)
            raise RefusedError(
                f"HTTP {status}: {said}" if said else f"HTTP {status}",
                of_credentials=status in (requests.codes.unauthorized, requests.codes.forbidden),
            )
        if (missing := missing_part(answer)) is not None:
            raise PartialError(without_secrets(missing, *self._secrets))

    def _sign(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        # Given with a password or without: where it is not, requests looks into ~/.netrc.
        request.headers.update(self._sent)
        return request


def _pieces(response: requests.Response) -> Iterator[bytes]:
    """Yield a body as it comes, each piece in the time of a read.

    `iter_content` waits until it has all that it asked for: a server that sends a byte a second
    would hold one of our threads for hours before anybody looks at the clock.
    """
    try:
        while piece := response.raw.read1(CHUNK_BYTES, decode_content=True):
            yield piece
    except urllib3.exceptions.ReadTimeoutError as error:
        raise requests.Timeout from error
    except urllib3.exceptions.HTTPError as error:
        raise requests.ConnectionError from error


class _Trusting(HTTPAdapter):
    """Connects by one TLS context alone; nor does REQUESTS_CA_BUNDLE add to its authorities."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        # The next tick is the retry.
        super().__init__(max_retries=0)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, ssl_context=self._context, **kwargs)

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        return super().proxy_manager_for(*args, ssl_context=self._context, **kwargs)

    def send(self, request: Any, *args: Any, **asked: Any) -> requests.Response:
        return super().send(request, *args, **{**asked, "verify": True})

    def cert_verify(self, *_: Any) -> None:
        """Load no authorities into the context, which has its own."""


def _said(answer: object, body: bytes) -> str:
    """Return a server's reason: Prometheus' own, a gateway's, or the text that it sent instead."""
    if (told := _reason(answer)) is not None:
        return told
    text = body.decode("utf-8", "replace").strip()
    # A page for people, or JSON without a reason, says less than the status.
    return "" if text.startswith(("<", "{", "[")) else text


def _reason(told: object, depth: int = REASON_DEPTH) -> str | None:
    """Return the first reason in JSON: a text, or what stands under a name that reasons have."""
    inner: list[object] = []
    match told:
        case str():
            return told.strip() or None
        case list():
            inner = told[:1]
        case Mapping():
            inner = [told[name] for name in REASON_NAMES if name in told]
    found = (_reason(one, depth - 1) for one in inner if depth)
    return next((one for one in found if one is not None), None)


def _secret_headers(credentials: Credentials, origin: str) -> dict[str, str]:
    headers = {name: value.strip() for name, value in credentials.headers}
    for name, value in headers.items():
        if not HEADER_TEXT.fullmatch(value):
            raise _unusable(f"value of the header {name}", origin, "httpHeaders")
    if credentials.bearer_token is not None:
        token = credentials.bearer_token.strip()
        if not HEADER_TOKEN.fullmatch(token):
            raise _unusable("bearer token", origin, "bearerTokenSecretRef")
        headers["Authorization"] = f"Bearer {token}"
    if credentials.basic_auth is not None:
        headers["Authorization"] = f"Basic {_basic(credentials.basic_auth, origin)}"
    return headers


def _basic(user_and_password: tuple[str, str], origin: str) -> str:
    user, password = (part.strip() for part in user_and_password)
    if not user or ":" in user or not f"{user}{password}".isprintable():
        raise _unusable("user or password", origin, "basicAuth")
    return b64encode(f"{user}:{password}".encode()).decode()


def _unusable(what: str, origin: str, part: str) -> SourceError:
    return SourceError(
        Reason.PROMETHEUS_QUERY_FAILED,
        f"the {what} for {origin} is empty or has characters that cannot be sent; correct the "
        f"Secret of {FIELD}.{part}",
    )


def _secrets(credentials: Credentials, headers: Iterable[str]) -> list[str]:
    """Return all that must not be repeated, the longest first: one may be a part of another."""
    found = {*headers, credentials.bearer_token or "", *(credentials.basic_auth or ())}
    # Of "Bearer TOKEN" a server may repeat the second word alone.
    words = {part for one in found if one.strip() for part in (one.strip(), one.split()[-1])}
    return sorted(words, key=len, reverse=True)
