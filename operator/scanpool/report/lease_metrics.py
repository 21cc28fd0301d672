"""Prometheus metrics of the election: whether this process leads, and how often that changed."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge

GAINED, LOST = "gained", "lost"


class LeaseMetrics:
    """What one process tells of its part in an election; `leads` is asked at each scrape.

    At a scrape, because a leader that cannot renew stops by the mere passing of time.
    """

    def __init__(self, registry: CollectorRegistry, lease: str, leads: Callable[[], bool]) -> None:
        words = "1 while this process leads, by the Lease that it stands for; 0 while it stands by."
        leading = Gauge("scanpool_leading", words, ("lease",), registry=registry)
        leading.labels(lease).set_function(lambda: float(leads()))
        self._changes = Counter(
            "scanpool_leadership_changes_total", "Times that this process began or ceased to lead.",
            ("lease", "change"), registry=registry,
        )  # fmt: skip
        self._lease = lease
        for change in (GAINED, LOST):
            # Of a counter that begins at 1, Prometheus would not see the first.
            self._changes.labels(lease, change)

    def gained(self) -> None:
        """Count that this process began to lead."""
        self._changes.labels(self._lease, GAINED).inc()

    def lost(self) -> None:
        """Count that it ceased to, unless by its own end."""
        self._changes.labels(self._lease, LOST).inc()
