"""Ask a Prometheus for the present values of an expression."""

import math
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import requests
from prometheus_api_client import PrometheusConnect
from urllib3.util import Retry

from scanpool.models import llm
from scanpool.models.conditions import Reason
from scanpool.models.reading import Available
from scanpool.models.units import Clock
from scanpool.sources.failures import SourceError, connection_failure
from scanpool.sources.prometheus_session import (
    FIELD,
    Credentials,
    PartialError,
    RefusedError,
    Session,
)
from scanpool.sources.text import quoted
from scanpool.sources.urls import HTTP_PORTS, parse_address

SOURCE: Final = "prometheus"
CREDENTIALS: Final = f"bearerTokenSecretRef, basicAuth or httpHeaders of {FIELD}"

TIMEOUT_SECONDS: Final = 5
"""To connect, and for each piece of an answer."""
MAX_PLAUSIBLE: Final = 1e12
"""Far above any limit per minute that is sold, and above any time in seconds; beyond it the query
counts something else."""
MAX_AGE_WINDOWS: Final = 2
"""Of an answer or of a sample in it; what is older says nothing about now."""
MAX_QUERY_CHARACTERS: Final = 120
"""Of a query in a message: enough to tell which one it is."""
MAX_LABELS_CHARACTERS: Final = 60
"""Of the labels of a number in a message."""


class Sample(NamedTuple):
    """A number and the labels of its series; a scalar has none."""

    labels: Mapping[str, str]
    value: float


class PrometheusApi:
    """Asks one Prometheus, for one reading, with queries that average over the window."""

    def __init__(
        self, config: llm.Prometheus, credentials: Credentials, window_seconds: int, clock: Clock
    ) -> None:
        address = parse_address(config.url, HTTP_PORTS, f"{FIELD}.url")
        self.origin = address.origin
        self.window_seconds = window_seconds
        self._clock = clock
        self._session = Session(config, credentials, self.origin)
        url = address.origin + address.path.rstrip("/")
        self._client: Any = PrometheusConnect(
            url=url,
            session=self._session,
            # The next tick is the retry.
            retry=Retry(total=0),
            timeout=TIMEOUT_SECONDS,
            method="POST",
        )
        self._session.trust(url)

    def close(self) -> None:
        """Close the connection."""
        self._session.close()

    def ask(self, query: str) -> Available[tuple[Sample, ...]]:
        """Return the numbers that a query finds, with the time of its evaluation.

        Each of them is at least 0 and not absurd; all else raises SourceError. Nothing found is an
        empty answer, not a failure.
        """
        try:
            parsed = _samples(self._client.custom_query(query))
        except PartialError as error:
            raise self._partial(query, str(error)) from None
        except RefusedError as error:
            remedy = CREDENTIALS if error.of_credentials else FIELD
            raise self._failed(query, str(error), remedy) from None
        except (requests.exceptions.JSONDecodeError, KeyError, TypeError):
            raise self._failed(query, "this is not Prometheus' API") from None
        except (requests.RequestException, OSError, ValueError) as error:
            is_late, reason = isinstance(error, requests.Timeout), Reason.PROMETHEUS_UNREACHABLE
            raise connection_failure(error, self.origin, reason, timeout=is_late) from None
        if parsed is None:
            raise self.implausible(query, "something else than numbers")
        for at, sample in parsed:
            if not 0 <= sample.value <= MAX_PLAUSIBLE:  # nor NaN, nor infinite
                raise self.implausible(query, f"{sample.value:g}{_shown(sample.labels)}")
            # Prometheus stamps its answer with its own time: older means that its clock is wrong,
            # or that a cache answered.
            if not self.is_fresh(at):
                raise self.implausible(query, "an answer that is older than two windows")
        evaluated_at = min((at for at, _ in parsed), default=math.inf)
        samples = tuple(sample for _, sample in parsed)
        return Available(samples, min(evaluated_at, self._clock()), SOURCE)

    def number(self, query: str) -> Available[float]:
        """Ask for one number, which must be there, or a SourceError is raised."""
        found = self.ask(query)
        if not found.value:
            raise SourceError(
                Reason.USAGE_NOT_FOUND,
                f"the query {_named(query)} at {self.origin} returns nothing; its series appear "
                "with the first call that the exporter counts: check that it is scraped, and that "
                "it names the metric and its labels as the query does",
            )
        if len(found.value) > 1:
            raise self.implausible(query, "more than one number")
        return Available(found.value[0].value, found.at, found.source)

    def is_fresh(self, at: float) -> bool:
        """Return whether what was measured at that time still says something about now."""
        return self.age_seconds(at) <= MAX_AGE_WINDOWS * self.window_seconds

    def age_seconds(self, at: float) -> float:
        """Return the time since then; negative where the clock of Prometheus is ahead."""
        return self._clock() - at

    def implausible(self, query: str, what: str) -> SourceError:
        """Say that `what` the query returns cannot be what was asked for."""
        return SourceError(
            Reason.USAGE_IMPLAUSIBLE,
            f"the query {_named(query)} at {self.origin} returns {what}, not one number per minute "
            "of a fresh sample; aggregate it with sum(), and check the clocks",
        )

    def _failed(self, query: str, words: str, remedy: str = FIELD) -> SourceError:
        return SourceError(
            Reason.PROMETHEUS_QUERY_FAILED,
            f"{self.origin} does not answer the query {_named(query)} ({quoted(words)}); correct "
            f"{remedy}",
        )

    def _partial(self, query: str, words: str) -> SourceError:
        return SourceError(
            Reason.USAGE_PARTIAL,
            f"{self.origin} answers the query {_named(query)} only in part ({quoted(words)}), and "
            "what is missing would pass for room; see that all stores behind it are up",
        )


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
    try:
        for series in result:
            match series:
                case {"metric": {**labels}, "value": [at, value]}:
                    named = {str(name): str(text) for name, text in labels.items()}
                    samples.append((float(at), Sample(named, float(value))))
                case _:
                    return None
    except (TypeError, ValueError, OverflowError):
        return None
    return samples
