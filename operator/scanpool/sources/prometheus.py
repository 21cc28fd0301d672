"""What everyone on a key uses, by a query to Prometheus."""

import io
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

import requests
from prometheus_api_client import PrometheusConnect
from urllib3.util import Retry

from scanpool.models import spec
from scanpool.models.conditions import Reason
from scanpool.models.observation import KeyUsage
from scanpool.models.reading import Available, Reading, Unavailable
from scanpool.sources.failures import connection_failure
from scanpool.sources.promql import UsageQueries, preset_queries
from scanpool.sources.text import HEADER_TOKEN, quoted, without_secrets
from scanpool.sources.urls import Address, InvalidUrlError, parse_address

SOURCE: Final = "prometheus"
DEFAULT_PORTS: Final = {"http": 80, "https": 443}

TIMEOUT_SECONDS: Final = 5
"""To connect, and for each piece of the answer."""
ANSWER_SECONDS: Final = 10.0
"""For the whole answer to one query: a server that trickles must not hold one of our threads."""
MAX_ANSWER_BYTES: Final = 2**20
"""One number is asked for; a query for thousands of series is a mistake."""
CHUNK_BYTES: Final = 2**14

MAX_PLAUSIBLE_PER_MINUTE: Final = 1e12
"""Far above any limit that is sold; beyond it the query counts something else."""
MAX_AGE_WINDOWS: Final = 2
"""Prometheus stamps its answer with its own time: older means that its clock is wrong, or that a
cache answered."""
MAX_QUERY_CHARACTERS: Final = 120
"""Of a query in a message: enough to tell which one it is."""


class _RefusedError(Exception):
    """Prometheus answered with an error, or with what nobody should read."""

    def __init__(self, words: str) -> None:
        super().__init__(words)
        self.words = words


def read_usage(
    config: spec.Prometheus,
    model: str,
    window_seconds: int,
    bearer_token: str | None,
    *,
    clock: Callable[[], float],
) -> Reading[KeyUsage]:
    """Read the tokens, requests and refused requests per minute of everyone on the key. Blocks.

    Args:
        config: where Prometheus is, and the preset or queries.
        model: whose use a preset counts.
        window_seconds: length of the window that a preset averages over.
        bearer_token: for a Prometheus that asks for one.
        clock: seconds since the epoch.

    """
    try:
        address = parse_address(config.url, DEFAULT_PORTS)
    except InvalidUrlError as error:
        return Unavailable(Reason.INVALID_URL, f"{error}; correct llm.usage.prometheus.url")
    if bearer_token is not None:
        bearer_token = bearer_token.strip()
        if not HEADER_TOKEN.fullmatch(bearer_token):
            return Unavailable(
                Reason.PROMETHEUS_QUERY_FAILED,
                f"the bearer token for {address.origin} is empty or has characters that no token "
                "has; correct the Secret of llm.usage.prometheus.bearerTokenSecretRef",
            )
    with requests.Session() as session:
        prometheus = _Prometheus(session, address, bearer_token, window_seconds, clock)
        whole = _usage(
            prometheus, _queries(config, model, window_seconds), config.rate_limited_query
        )
        if isinstance(whole, Unavailable) or config.preset is None or not config.own_labels:
            return whole
        own = preset_queries(config.preset, model, window_seconds, config.own_labels)
        return _with_own(prometheus, whole, own)


def _usage(
    prometheus: "_Prometheus", queries: UsageQueries, rate_limited_query: str | None
) -> Reading[KeyUsage]:
    tokens = prometheus.number(queries.tokens)
    if isinstance(tokens, Unavailable):
        return tokens
    requests_per_minute = _number_or(None, prometheus, queries.requests)
    if isinstance(requests_per_minute, Unavailable):
        return requests_per_minute
    # A counter of 429s comes into being with the first of them. Where the query works and finds
    # none, no call was refused: this zero is known.
    refused_per_minute = _number_or(0.0, prometheus, rate_limited_query)
    if isinstance(refused_per_minute, Unavailable):
        return refused_per_minute
    usage = KeyUsage(tokens.value, requests_per_minute, refused_per_minute)
    return Available(usage, at=tokens.at, source=SOURCE)


def _with_own(
    prometheus: "_Prometheus", whole: Available[KeyUsage], own: UsageQueries
) -> Reading[KeyUsage]:
    """Add the pool's part. Where nothing has its labels, it has made no call yet: zero is known.

    Labels that are wrong look the same; all use then counts as others', which lowers the ceiling
    and never raises it.
    """
    tokens = _number_or(0.0, prometheus, own.tokens)
    if isinstance(tokens, Unavailable):
        return tokens
    requests_per_minute = _number_or(0.0, prometheus, own.requests)
    if isinstance(requests_per_minute, Unavailable):
        return requests_per_minute
    usage = replace(
        whole.value, own_tokens_per_minute=tokens, own_requests_per_minute=requests_per_minute
    )
    return replace(whole, value=usage)


def _number_or(
    if_nothing: float | None, prometheus: "_Prometheus", query: str | None
) -> float | Unavailable | None:
    """Ask a query that may be missing (None) or may find nothing; it must not fail."""
    if query is None:
        return None
    answer = prometheus.number(query)
    if isinstance(answer, Available):
        return answer.value
    return if_nothing if answer.reason is Reason.USAGE_NOT_FOUND else answer


def _queries(config: spec.Prometheus, model: str, window_seconds: int) -> UsageQueries:
    if config.preset is not None:
        return preset_queries(config.preset, model, window_seconds)
    return UsageQueries(tokens=config.query or "")


class _Prometheus:
    """Asks one Prometheus for single numbers."""

    def __init__(
        self,
        session: requests.Session,
        address: Address,
        bearer_token: str | None,
        window_seconds: int,
        clock: Callable[[], float],
    ) -> None:
        session.stream = True
        session.auth = _authorization(address, bearer_token)
        session.hooks["response"] = [_read_bounded]
        self._address = address
        self._secrets = (bearer_token, address.password)
        self._max_age_seconds = MAX_AGE_WINDOWS * window_seconds
        self._clock = clock
        self._client: Any = PrometheusConnect(
            url=address.origin + address.path.rstrip("/"),
            session=session,
            # The next tick is the retry.
            retry=Retry(total=0),
            timeout=TIMEOUT_SECONDS,
            # A query may be longer than a proxy lets a URL be.
            method="POST",
        )

    def number(self, query: str) -> Reading[float]:
        """Ask for one number that may be a count per minute."""
        try:
            result: object = self._client.custom_query(query)
        except _RefusedError as error:
            return self._failed(query, error.words)
        except (requests.exceptions.JSONDecodeError, KeyError, TypeError):
            return self._failed(query, "this is not Prometheus' API")
        except (requests.RequestException, OSError, ValueError) as error:
            return connection_failure(
                error,
                origin=self._address.origin,
                unreachable=Reason.PROMETHEUS_UNREACHABLE,
                timeout=isinstance(error, requests.Timeout),
            )
        return self._plausible(result, query)

    def _failed(self, query: str, words: str) -> Unavailable:
        words = quoted(without_secrets(words, *self._secrets))
        return Unavailable(
            Reason.PROMETHEUS_QUERY_FAILED,
            f"{self._address.origin} does not answer the query {_named(query)} ({words}); correct "
            "llm.usage.prometheus",
        )

    def _plausible(self, result: object, query: str) -> Reading[float]:
        where = f"{_named(query)} at {self._address.origin}"
        if result == []:
            return Unavailable(
                Reason.USAGE_NOT_FOUND,
                f"the query {where} returns nothing; its series appear with the first call that "
                "the exporter counts: check that it is scraped, and that the preset's metric and "
                "the model's name are the exporter's",
            )
        sample = _single_sample(result)
        if sample is None:
            return self._implausible(where, "more than one number")
        at, value = sample
        now = self._clock()
        if not 0 <= value <= MAX_PLAUSIBLE_PER_MINUTE:  # nor NaN, nor infinite
            return self._implausible(where, f"{value:g}")
        if not now - at <= self._max_age_seconds:
            return self._implausible(where, "a sample that is older than two windows")
        return Available(value, at=min(at, now), source=SOURCE)

    def _implausible(self, where: str, what: str) -> Unavailable:
        return Unavailable(
            Reason.USAGE_IMPLAUSIBLE,
            f"the query {where} returns {what}, not one number per minute of a fresh sample; "
            "aggregate it with sum(), and check the clocks",
        )


def _named(query: str) -> str:
    return f"`{quoted(query, limit=MAX_QUERY_CHARACTERS)}`"


def _single_sample(result: object) -> tuple[float, float] | None:
    """Return time and value of a vector of one series or of a scalar; None for anything else."""
    match result:
        case [{"value": [at, value]}]:
            pass
        case [int() | float() as at, str() as value]:
            pass
        case _:
            return None
    try:
        return float(at), float(value)
    except (TypeError, ValueError):
        return None


def _authorization(
    address: Address, bearer_token: str | None
) -> Callable[[requests.PreparedRequest], requests.PreparedRequest]:
    """Return what signs a request. Always something: without it requests looks into ~/.netrc."""
    if bearer_token is None and address.user is not None:
        basic: Callable[[requests.PreparedRequest], requests.PreparedRequest]
        basic = requests.auth.HTTPBasicAuth(
            address.user.encode(), (address.password or "").encode()
        )
        return basic

    def sign(request: requests.PreparedRequest) -> requests.PreparedRequest:
        if bearer_token is not None:
            request.headers["Authorization"] = f"Bearer {bearer_token}"
        return request

    return sign


def _read_bounded(response: requests.Response, **_: object) -> requests.Response:
    """Read an answer within bounds of size and time, and stop at anything but success.

    As a hook it runs before a redirect would be followed.

    Raises:
        _RefusedError: if the status is not 200, or the answer is too large.
        requests.Timeout: if it takes too long.

    """
    deadline = time.monotonic() + ANSWER_SECONDS
    body = bytearray()
    with response:
        for chunk in response.iter_content(CHUNK_BYTES):
            body += chunk
            if len(body) > MAX_ANSWER_BYTES:
                raise _RefusedError("the answer is too large")
            if time.monotonic() > deadline:
                raise requests.Timeout
    if response.status_code != requests.codes.ok:
        raise _RefusedError(_error_text(response.status_code, bytes(body)))
    read = requests.Response()
    read.status_code = response.status_code
    read.raw = io.BytesIO(body)
    return read


def _error_text(status: int, body: bytes) -> str:
    try:
        answer: object = json.loads(body)
    except (ValueError, RecursionError):
        answer = None
    said = answer.get("error") if isinstance(answer, Mapping) else None
    return str(said) if said else f"HTTP {status}"
