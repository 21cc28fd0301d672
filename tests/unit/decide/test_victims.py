"""Which pods go first: those that hold the fewest messages."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanpool.decide.victims import choose
from scanpool.models.deliveries import CHOSEN, Consuming, Worker

GOES = str(CHOSEN)


def worker(name: str, address: str | None = None, *, ready: bool = True, **changes: str) -> Worker:
    return Worker(name, address or f"10.0.0.{name}", ready, **changes)


SIX = tuple(worker(str(one)) for one in range(6))


def holding(*counts: int) -> tuple[Consuming, ...]:
    """One channel for each worker, with so many messages."""
    return tuple(Consuming(f"10.0.0.{one}", ("None4",), count) for one, count in enumerate(counts))


BUSY = holding(3, 0, 1, 2, 0, 5)


@pytest.mark.parametrize(
    ("workers", "channels", "going", "costs"),
    [
        pytest.param(SIX, BUSY, 2, {"1": GOES, "4": GOES}, id="two-of-six-are-idle"),
        pytest.param(SIX, BUSY, 3, {"1": GOES, "2": GOES, "4": GOES}, id="then-the-least-busy"),
        pytest.param(SIX, BUSY, 0, {}, id="nobody-goes"),
        pytest.param(SIX, holding(1, 1, 1, 1, 1), 1, {"5": GOES}, id="no-connection-holds-nothing"),
        pytest.param(SIX, (), 2, {}, id="nobody-is-known"),
        pytest.param(
            SIX, (Consuming("192.168.9.9", ("None4",), 0),), 2, {}, id="behind-a-proxy"
        ),
        pytest.param(
            (worker("a", "10.9.9.9"), worker("b", "10.9.9.9")),
            (Consuming("10.9.9.9", (), 0),),
            1,
            {},
            id="on-the-host's-network",
        ),
        pytest.param(
            (worker("scan-a", "127.0.0.1"), worker("scan-b", "127.0.0.1")),
            (
                Consuming("127.0.0.1", ("celery@scan-a",), 1),
                Consuming("127.0.0.1", ("celery@scan-b",), 0),
            ),
            1,
            {"scan-b": GOES},
            id="by-tag",
        ),
        pytest.param(
            (worker("scan-1"), worker("scan-11")),
            (Consuming("", ("scan-11",), 4), Consuming("", ("scan-1",), 1)),
            1,
            {"scan-1": GOES},
            id="a-name-within-another",
        ),
        pytest.param(
            (worker("0"), worker("1", ready=False), worker("2")),
            holding(0, 0, 2),
            1,
            {},
            id="who-is-not-ready-goes-first",
        ),
        pytest.param(
            (worker("0"), worker("1", cost=GOES), worker("2")),
            holding(0, 1, 2),
            1,
            {"0": GOES, "1": None},
            id="who-was-chosen-before-and-is-busy-now-stays",
        ),
        pytest.param(
            (worker("0", cost=GOES), worker("1")), holding(0, 1), 1, {}, id="chosen-already"
        ),
        pytest.param((worker("0", cost=GOES),), (), 1, {"0": None}, id="not-known-any-more"),
        pytest.param(
            (worker("0", cost="7"), worker("1")),
            holding(0, 5),
            1,
            {"1": GOES},
            id="set-by-hand",
        ),
        pytest.param(
            SIX[:2],
            (*holding(1, 1), *holding(1)),
            1,
            {"1": GOES},
            id="all-channels-of-a-pod-count",
        ),
    ],
)  # fmt: skip
def test_the_idlest_go_first(
    workers: tuple[Worker, ...],
    channels: tuple[Consuming, ...],
    going: int,
    costs: dict[str, str | None],
) -> None:
    assert choose(workers, channels, going) == costs


@given(st.lists(st.integers(0, 5), min_size=1, max_size=6), st.integers(0, 6))
def test_whoever_goes_holds_no_more_than_whoever_stays(counts: list[int], going: int) -> None:
    workers = SIX[: len(counts)]
    chosen = choose(workers, holding(*counts), going)

    gone = [count for one, count in enumerate(counts) if str(one) in chosen]
    stays = [count for one, count in enumerate(counts) if str(one) not in chosen]
    assert len(gone) == min(going, len(counts))
    assert max(gone, default=0) <= min(stays, default=5)
