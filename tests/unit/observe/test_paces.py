import pytest

from scanpool.models.broker import RateReport
from scanpool.models.conditions import Reason
from scanpool.models.observation import QueuePace, QueueRates
from scanpool.models.reading import Unavailable
from scanpool.observe.paces import Counted, together

OFF = Unavailable(Reason.STATISTICS_OFF, "off")


def report(name: str, ttl: float | None, delivered: int | None) -> RateReport:
    return RateReport(name, has_statistics=True, message_ttl_seconds=ttl, delivered=delivered)


@pytest.mark.parametrize(
    ("reports", "rates", "expected"),
    [
        ([report("a", 300.0, 9)], [2.0], QueuePace("q", 300.0, 2.0, 9)),
        ([report("a", None, 9)], [2.0], QueuePace("q", None, 2.0, 9)),
        # A broker that has just started, or counts nothing, knows the time to live all the same.
        ([report("a", 300.0, None)], [None], QueuePace("q", 300.0, None, None)),
        (
            [report("a", 600.0, 9), report("b", 300.0, 4), report("c", None, None)],
            [2.0, 1.5, None],
            QueuePace("q", 300.0, 3.5, 13),
        ),
        ([], [], QueuePace("q")),
    ],
)
def test_a_time_to_live_is_told_whatever_is_known_of_the_rate(
    reports: list[RateReport], rates: list[float | None], expected: QueuePace
) -> None:
    rated = {
        one.name: OFF if rate is None else QueueRates(one.name, rate)
        for one, rate in zip(reports, rates, strict=True)
    }
    assert together("q", Counted({one.name: one for one in reports}, rated)) == expected
