"""Faults of the operator. The pool has 3 replicas; its queue asks for 5 once they are there."""

import random
import time
from pathlib import Path
from typing import Any

from faults import words
from faults.case import Case
from faults.faulty import Switches
from faults.injected import is_late
from faults.world import Part, World
from sandbox.operator_process import Operator
from sandbox.patience import until
from sandbox.scene import PER_REPLICA

WANTED, LEAST = 5, 3
FIRST = 1
KILLS = 200
BURST_SECONDS = 2.5
"""Longer than it takes an operator to hold once, to decide, and to scale."""
SEED = 15
BLOCKED_SECONDS = 5.0
LONG_SECONDS = 20.0
"""Longer than a Lease of 15 s."""
BESIDE_SECONDS = 300.0
LATE_SECONDS = 3.0
HOUR = 3_600
ALONE = "--leader-elect=false"


def switches(w: World) -> Switches:
    return Switches(directory(w))


def directory(w: World) -> Path:
    return w.scene.stage.kubeconfig.parent


def moment(seconds: float) -> None:
    """Let a time pass that is the fault itself."""
    end = time.monotonic() + seconds
    until(f"{seconds:.2f} s have passed", lambda: time.monotonic() > end)


def wants(w: World, name: str, replicas: int) -> None:
    """Let the queue ask for so many, and for none in between."""
    more = replicas * PER_REPLICA - w.scene.queues.ready(name)
    if more > 0:
        w.scene.queues.publish(name, more)
    else:
        w.scene.queues.work_off(name, -more)


def is_killed_again_and_again(w: World, name: str) -> None:
    """Kill it while its queue asks for more and for less; no Lease keeps the next from acting."""
    chance, operator = random.Random(SEED), w.scene.stage.operator
    assert operator.stop() == 0
    for _ in range(KILLS):
        operator.start(ALONE)
        wants(w, name, chance.randint(LEAST, WANTED))
        moment(chance.uniform(0, BURST_SECONDS))
        operator.kill()
    wants(w, name, LEAST)
    operator.start(ALONE)
    w.scene.wait_status(name, replicas=LEAST, backlog=LEAST * PER_REPLICA)


def is_terminated(w: World, name: str) -> None:
    """Stop it while a tick waits for the broker."""
    operator, gateway = w.scene.stage.operator, w.gateway
    w.inject(name, "broker", is_late(LATE_SECONDS))
    asked = gateway.count(name, "broker")
    until("a tick is under way", lambda: gateway.count(name, "broker") > asked)
    assert operator.stop() == 0
    w.mend(name, "broker")
    operator.start()


def is_not_alone(w: World, name: str) -> None:
    """Let two lead, of which neither knows, while the queue asks for more and for less."""
    first = w.scene.stage.operator
    assert first.stop() == 0
    first.start(ALONE)
    second = Operator(directory(w) / "second", w.scene.stage.kubeconfig, ALONE)
    second.start()
    end, expected = time.monotonic() + BESIDE_SECONDS, [FIRST, LEAST]
    while time.monotonic() < end:
        for replicas in (WANTED, LEAST):
            wants(w, name, replicas)
            w.scene.wait_status(name, replicas=replicas, backlog=replicas * PER_REPLICA)
            expected.append(replicas)
            for operator in (first, second):
                operator.wait_ticks(2)
    assert w.scene.stage.scales(w.scene.namespace, name) == expected
    assert second.stop() == 0
    assert "Traceback" not in second.log


def by(seconds: int) -> Any:
    def set_clock(w: World, _: str) -> None:
        switches(w).set_clock(seconds)
        w.scene.stage.operator.wait_ticks(3)

    return set_clock


def for_seconds(seconds: float) -> Any:
    def block(w: World, _: str) -> None:
        operator = w.scene.stage.operator
        switches(w).block(operator.pid, seconds)
        moment(seconds)

    return block


def nothing(_: World, __: str) -> None:
    """It is over by itself."""


def case(name: str, injects: str, inject: Any, mend: Any = nothing, **more: Any) -> Case:
    usual: dict[str, Any] = {"replicas": WANTED, "after": WANTED, "most": WANTED, "tells": ""}
    return Case(f"operator-{name}", Part.OPERATOR, injects, inject, mend, **(usual | more))


CASES = (
    case("terminated", "SIGTERM within a tick", is_terminated),
    case("blocked", "its event loop blocked for 5 s", for_seconds(BLOCKED_SECONDS)),
    case("blocked-long", "its event loop blocked for 20 s, longer than its Lease lasts",
         for_seconds(LONG_SECONDS)),
    case("clock-back", "the clock set back by an hour, and forth again", by(-HOUR), by(0)),
    case("clock-forth", "the clock set forth by an hour, and back again", by(HOUR), by(0)),
    Case("pool-words", Part.POOL,
         "100 kB, control characters and text of templates in every string of the specs of others",
         words.are_put_into_specs, words.are_taken_out_again, WANTED, tells="",
         after=WANTED, most=WANTED, note="the API refuses them, or their pools say what is wrong"),
    case("two", "two that lead for five minutes, with a queue that asks for more and for less",
         is_not_alone, is_known=True),
    case("killed", f"SIGKILL at {KILLS} random moments of a burst", is_killed_again_and_again,
         is_known=True),
)  # fmt: skip
