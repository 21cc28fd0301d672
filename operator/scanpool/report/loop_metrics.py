"""Prometheus metrics of the operator itself: how its ticks, its readings and its watches go."""

from platform import python_version

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from scanpool.models.names import RELEASE

TICKS, TICK_SECONDS = "scanpool_ticks_total", "scanpool_tick_duration_seconds"
TICK_LAG, LOOP_RESTARTS = "scanpool_tick_lag_seconds", "scanpool_loop_restarts_total"
SOURCE_SECONDS = "scanpool_source_read_duration_seconds"
SOURCE_ERRORS = "scanpool_source_errors_total"
KUBERNETES_REQUESTS = "scanpool_kubernetes_requests_total"
WATCH_RESTARTS = "scanpool_watch_restarts_total"
BUILD = "scanpool_build_info"
TICK_OUTCOMES = ("ok", "timeout", "error")
# From a step of the event loop to a whole interval: a lag of more than a second is one to look at.
LAG_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class LoopMetrics:
    """The metrics of one process."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._ticks = Counter(TICKS, "Ticks by outcome.", ("outcome",), registry=registry)
        for outcome in TICK_OUTCOMES:
            # Of a counter that begins at 1, Prometheus would not see the first.
            self._ticks.labels(outcome)
        self._tick_seconds = Histogram(TICK_SECONDS, "Time that a tick took.", registry=registry)
        self._lag = Histogram(
            TICK_LAG, "Time from when a tick was due to when it began.", buckets=LAG_BUCKETS,
            registry=registry,
        )  # fmt: skip
        self._loop_restarts = Counter(
            LOOP_RESTARTS, "Loops of pools that were stuck and started anew.", registry=registry
        )
        self._source_seconds = Histogram(
            SOURCE_SECONDS, "Time that a read took, by the kind of source.", ("source",),
            registry=registry,
        )  # fmt: skip
        self._source_errors = Counter(
            SOURCE_ERRORS, "Reads that failed, by the kind of source and the reason.",
            ("source", "reason"), registry=registry,
        )  # fmt: skip
        self._requests = Counter(
            KUBERNETES_REQUESTS, "Requests to the Kubernetes API.", ("verb",), registry=registry
        )
        self._watch_restarts = Counter(
            WATCH_RESTARTS, "Watches of the Kubernetes API that had to begin anew.", ("resource",),
            registry=registry,
        )  # fmt: skip
        build = Gauge(
            BUILD, "1, with what runs as labels.", ("version", "python"), registry=registry
        )
        build.labels(RELEASE, python_version()).set(1)

    def began(self, lag_seconds: float) -> None:
        """Note how long after it was due a tick began."""
        self._lag.observe(lag_seconds)

    def ticked(self, outcome: str, seconds: float) -> None:
        """Count a tick; `outcome` is ok, timeout or error."""
        self._ticks.labels(outcome).inc()
        self._tick_seconds.observe(seconds)

    def restarted(self) -> None:
        """Count a loop that was stuck and started anew."""
        self._loop_restarts.inc()

    def read(self, source: str, seconds: float, failure: str | None) -> None:
        """Note a read of a source, and the reason if it failed."""
        self._source_seconds.labels(source).observe(seconds)
        if failure is not None:
            self._source_errors.labels(source, failure).inc()

    def asked(self, verb: str) -> None:
        """Count a request to the Kubernetes API."""
        self._requests.labels(verb).inc()

    def rewatched(self, resource: str) -> None:
        """Count a watch that had to begin anew."""
        self._watch_restarts.labels(resource).inc()
