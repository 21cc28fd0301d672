"""Two of the cases of tests/faults, on the server under contract: a real one, if it is named."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING

import pytest

from cluster.access import eventually
from cluster.operated import Operated, operated
from sandbox.background import Background
from sandbox.patience import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cluster.access import Cluster
    from scanpool_sandbox.rabbitmq_server import RabbitMQServer

FIRST, LEAST, WANTED = 1, 3, 5
"""Replicas: at first, and the fewest and the most that the queue asks for then."""
KILLS = 20
BURST_SECONDS = 3.0
"""Longer than it takes an operator to hold once, to decide, and to scale."""
SEED = 15
AWAY_SECONDS = 60.0
ALONE = "--leader-elect=false"

pytestmark = pytest.mark.long


@pytest.fixture
def here(
    cluster: Cluster, rabbitmq: RabbitMQServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Operated]:
    directory = tmp_path_factory.mktemp("operated")
    with Background() as background, operated(cluster, rabbitmq, background, directory) as here:
        here.wants(LEAST)
        here.wait_status(LEAST)
        yield here
        here.check()


def test_kills_in_a_burst_leave_the_replicas_where_the_queue_asks_for_them(here: Operated) -> None:
    chance = random.Random(SEED)
    assert here.operator.stop() == 0
    for _ in range(KILLS):
        # Without a Lease that the last one has left.
        here.operator.start(ALONE)
        here.wants(chance.randint(LEAST, WANTED))
        end = time.monotonic() + chance.uniform(0, BURST_SECONDS)
        until("a random moment has come", lambda end=end: time.monotonic() > end)
        here.operator.kill()
    here.wants(WANTED)
    here.operator.start(ALONE)
    here.wait_status(WANTED)

    eventually(lambda: here.seen.replicas[-1:] == [WANTED])
    first, *others = here.seen.replicas
    assert first == FIRST
    assert set(others) <= set(range(LEAST, WANTED + 1))


def test_an_api_server_that_is_away_for_a_minute_changes_nothing(here: Operated) -> None:
    here.way.cut()
    here.wants(WANTED)
    here.operator.wait_quiet(AWAY_SECONDS)
    assert not here.operator.leads()
    assert here.seen.replicas == [FIRST, LEAST]
    here.way.mend()

    here.wait_status(WANTED)
    eventually(lambda: here.seen.replicas == [FIRST, LEAST, WANTED])
    here.wants(LEAST)
    here.wait_status(LEAST)
