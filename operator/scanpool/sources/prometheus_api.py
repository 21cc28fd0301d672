"""Ask a Prometheus for the present values of an expression."""

import io
import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import requests
from prometheus_api_client import PrometheusConnect
from urllib3.util import Retry

from scanpool.models.conditions import Reason
from scanpool.models.reading import Available, Reading, Unavailable
from scanpool.sources.failures import connection_failure
from scanpool.sources.text import quoted, without_secrets
from scanpool.sources.urls import Address

SOURCE: Final = "prometheus"

TIMEOUT_SECONDS: Final = 5
"""To connect, and for each piece of an answer."""
READING_SECONDS: Final = 15.0
"""For all answers together: a server that trickles must not hold one of our threads."""
MAX_ANSWER_BYTES: Final = 2**20
"""A handful of numbers is asked for; a query for thousands of series is a mistake."""
CHUNK_BYTES: Final = 2**14

MAX_PLAUSIBLE: Final = 1e12
"""Far above any limit per minute that is sold, and above any time in seconds; beyond it the query
counts something else."""
MAX_AGE_WINDOWS: Final = 2
"""Of an answer or of a sample in it; what is older says nothing about now."""
MAX_QUERY_CHARACTERS: Final = 120
"""Of a query in a message: enough to tell which one it is."""
MAX_LABELS_CHARACTERS: Final = 60
"""Of the labels of a number in a message."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A number and the labels of its series; a scalar has none."""

    labels: Mapping[str, str]
    value: float


class PrometheusApi:
    """Asks one Prometheus, for one reading.

    Args:
        session: is made ready for it, and not used for anything else.
        address: of its API.
        bearer_token: if it asks for one.
        window_seconds: length of the window that the queries average over.
        clock: seconds since the epoch.

    """

    def __init__(
        self,
        session: requests.Session,
        address: Address,
        bearer_token: str | None,
        window_seconds: int,
        clock: Callable[[], float],
    ) -> None:
        session.stream = True
        session.auth = _preparation(bearer_token)
        session.hooks["response"] = [_bounded(time.monotonic() + READING_SECONDS)]
        self.origin = address.origin
        self._max_age_seconds = MAX_AGE_WINDOWS * window_seconds
        self._bearer_token = bearer_token
        self._clock = clock
        self._client: Any = PrometheusConnect(
            url=address.origin + address.path.rstrip("/"),
            session=session,
            # The next tick is the retry.
            retry=Retry(total=0),
            timeout=TIMEOUT_SECONDS,
            method="POST",
        )

    def ask(self, query: str) -> Reading[tuple[Sample, ...]]:
        """Return the numbers that a query finds, with the time of its evaluation.

        Each of them is at least 0 and not absurd. Nothing found is an empty answer, not a failure.
        """
        try:
            result: object = self._client.custom_query(query)
        except _RefusedError as error:
            return self._failed(query, error.words)
        except (requests.exceptions.JSONDecodeError, KeyError, TypeError):
            return self._failed(query, "this is not Prometheus' API")
        except (requests.RequestException, OSError, ValueError) as error:
            return connection_failure(
                error,
                origin=self.origin,
                unreachable=Reason.PROMETHEUS_UNREACHABLE,
                timeout=isinstance(error, requests.Timeout),
            )
        return self._plausible(result, query)

    def number(self, query: str) -> Reading[float]:
        """Ask for one number, which must be there."""
        found = self.ask(query)
        if isinstance(found, Unavailable):
            return found
        match found.value:
            case ():
                return Unavailable(
                    Reason.USAGE_NOT_FOUND,
                    f"the query {self._where(query)} returns nothing; its series appear with the "
                    "first call that the exporter counts: check that it is scraped, and that it "
                    "names the metric and its labels as the query does",
                )
            case (sample,):
                return Available(sample.value, found.at, found.source)
        return self.implausible(query, "more than one number")

    def is_fresh(self, at: float) -> bool:
        """Return whether what was measured at that time still says something about now."""
        return self.age_seconds(at) <= self._max_age_seconds

    def age_seconds(self, at: float) -> float:
        """Return the time since then; negative where the clock of Prometheus is ahead."""
        return self._clock() - at

    def implausible(self, query: str, what: str) -> Unavailable:
        """Say that `what` the query returns cannot be what was asked for."""
        return Unavailable(
            Reason.USAGE_IMPLAUSIBLE,
            f"the query {self._where(query)} returns {what}, not one number per minute of a fresh "
            "sample; aggregate it with sum(), and check the clocks",
        )

    def _failed(self, query: str, words: str) -> Unavailable:
        words = quoted(without_secrets(words, self._bearer_token))
        return Unavailable(
            Reason.PROMETHEUS_QUERY_FAILED,
            f"{self.origin} does not answer the query {_named(query)} ({words}); correct "
            "llm.usage.prometheus",
        )

    def _plausible(self, result: object, query: str) -> Reading[tuple[Sample, ...]]:
        parsed = _samples(result)
        if parsed is None:
            return self.implausible(query, "something else than numbers")
        for at, sample in parsed:
            if not 0 <= sample.value <= MAX_PLAUSIBLE:  # nor NaN, nor infinite
                return self.implausible(query, f"{sample.value:g}{_shown(sample.labels)}")
            # Prometheus stamps its answer with its own time: older means that its clock is wrong,
            # or that a cache answered.
            if not self.is_fresh(at):
                return self.implausible(query, "an answer that is older than two windows")
        evaluated_at = min((at for at, _ in parsed), default=math.inf)
        samples = tuple(sample for _, sample in parsed)
        return Available(samples, min(evaluated_at, self._clock()), SOURCE)

    def _where(self, query: str) -> str:
        return f"{_named(query)} at {self.origin}"


class _RefusedError(Exception):
    """Prometheus answered with an error, or with what nobody should read."""

    def __init__(self, words: str) -> None:
        super().__init__(words)
        self.words = words


def _named(query: str) -> str:
    return f"`{quoted(query, limit=MAX_QUERY_CHARACTERS)}`"


def _shown(labels: Mapping[str, str]) -> str:
    words = ", ".join(f"{name}={value}" for name, value in labels.items())
    return f" ({quoted(words, limit=MAX_LABELS_CHARACTERS)})" if words else ""


def _samples(result: object) -> list[tuple[float, Sample]] | None:
    """Return the numbers of a vector or of a scalar, each with its time; None for anything else."""
    match result:
        case [int() | float() as at, str() as value]:
            result = [{"metric": {}, "value": [at, value]}]
    if not isinstance(result, list):
        return None
    samples = []
    for series in result:
        match series:
            case {"metric": {**labels}, "value": [at, value]}:
                pass
            case _:
                return None
        try:
            named = {str(name): str(text) for name, text in labels.items()}
            samples.append((float(at), Sample(named, float(value))))
        except (TypeError, ValueError):
            return None
    return samples


def _preparation(
    bearer_token: str | None,
) -> Callable[[requests.PreparedRequest], requests.PreparedRequest]:
    """Return what signs a request. Always something: without it requests looks into ~/.netrc."""

    def prepare(request: requests.PreparedRequest) -> requests.PreparedRequest:
        # The client library puts the query into the URL even of a POST, but a query may be longer
        # than a proxy lets a URL be, and URLs are logged.
        request.url, _, request.body = (request.url or "").partition("?")
        request.headers["Content-Type"] = "application/x-www-form-urlencoded"
        if bearer_token is not None:
            request.headers["Authorization"] = f"Bearer {bearer_token}"
        return request

    return prepare


def _bounded(deadline: float) -> Callable[..., requests.Response]:
    """Return the hook that reads every answer until `deadline`, in the monotonic clock's time."""

    def read(response: requests.Response, **_: object) -> requests.Response:
        """Read an answer within bounds of size and time, and stop at anything but success.

        As a hook it runs before a redirect would be followed.

        Raises:
            _RefusedError: if the status is not 200, or the answer is too large.
            requests.Timeout: if it takes too long.

        """
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
        whole = requests.Response()
        whole.status_code = response.status_code
        whole.raw = io.BytesIO(body)
        return whole

    return read


def _error_text(status: int, body: bytes) -> str:
    try:
        answer: object = json.loads(body)
    except (ValueError, RecursionError):
        answer = None
    said = answer.get("error") if isinstance(answer, Mapping) else None
    return str(said) if said else f"HTTP {status}"
