"""The memory ceiling of a target that has not told what a replica takes."""

from dataclasses import replace

import pytest

from builders import NOW, node, observe, pool, seen, signals, target, workers
from scanpool.decide.assess.room import room
from scanpool.decide.memory import Memory
from scanpool.decide.room_ceiling import ceiling
from scanpool.models.observation import Target
from scanpool.models.spec import MemoryTarget, Unschedulable
from scanpool.report.room_status import MemoryStatus

WAITS = MemoryTarget(unschedulable=Unschedulable.WAIT)


def untold(replicas: int) -> Target:
    """A target that asks for replicas of which no pod was seen."""
    return replace(target(replicas, ()), template=None)


@pytest.mark.parametrize(("replicas", "held"), [(0, 1), (1, 1), (4, 4)])
def test_one_replica_may_tell_what_one_takes_and_none_more_is_added(
    replicas: int, held: int
) -> None:
    spec = pool(memory=MemoryTarget())
    found = room(spec, observe(target=untold(replicas), nodes=seen((node(),))), 0, NOW)
    assert found is not None

    made = ceiling(spec, signals(workers=workers(replicas), room=found), Memory())

    assert made is not None
    assert (made.replicas, made.keeps) == (held, held)
    assert "none of its pods was seen yet" in made.reason
    # Unknown is not shown as 0Mi.
    assert MemoryStatus.of(found) is None


def test_whoever_waits_for_nodes_is_not_bound_by_them() -> None:
    spec = pool(memory=WAITS)
    found = room(spec, observe(target=untold(0), nodes=seen((node(),))), 0, NOW)
    assert ceiling(spec, signals(workers=workers(0), room=found), Memory()) is None
