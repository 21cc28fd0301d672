"""A controller of the stand-in looks at what a change concerns, and misses no change."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from sandbox.waiting import until
from scanpool_sandbox.kube.controllers.concerned import Name, controllers_of, itself, names
from scanpool_sandbox.kube.controllers.loop import Controller, run_controller
from scanpool_sandbox.kube.store import Change, Store

Obj = dict[str, Any]
KEY = ("", "things")


def thing(name: str, **metadata: Any) -> Obj:
    return {"metadata": {"namespace": "here", "name": name, "uid": f"uid-{name}", **metadata}}


@dataclass
class Looks:
    """A store, and what a controller of its things has looked at."""

    store: Store = field(default_factory=Store)
    seen: list[str] = field(default_factory=list)
    act: Callable[[str], float | None] = lambda _name: None

    def put(self, *given: str) -> None:
        for name in given:
            self.store.put(KEY, thing(name))

    def look(self, name: Name) -> float | None:
        self.seen.append(name[1])
        return self.act(name[1])

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run the controller, and go on once it has looked at all that is there."""
        everything = len(self.store.items(KEY))
        controller = Controller({KEY: itself}, lambda: names(self.store, KEY), self.look)
        task = asyncio.create_task(run_controller(self.store, controller))
        try:
            await until(lambda: len(self.seen) >= everything)
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


async def test_all_are_looked_at_once_at_the_start() -> None:
    looks = Looks()
    wanted = [f"t-{number:03}" for number in range(130)]
    looks.put(*wanted)
    async with looks.running():
        assert looks.seen == wanted


async def test_a_change_has_only_what_it_concerns_looked_at() -> None:
    looks = Looks()
    looks.put("a", "b", "c")
    async with looks.running():
        looks.seen.clear()
        looks.put("b", "b", "b")
        await until(lambda: looks.seen)
        looks.put("c")
        await until(lambda: "c" in looks.seen)
        assert looks.seen == ["b", "c"]


async def test_a_change_that_comes_while_it_looks_is_not_missed() -> None:
    looks = Looks()
    looks.put("a")

    def write_once_more(name: str) -> None:
        if looks.seen.count(name) == 1:
            looks.put(name)

    looks.act = write_once_more
    async with looks.running():
        await until(lambda: looks.seen == ["a", "a"])


async def test_what_fails_is_tried_again_and_holds_up_no_other() -> None:
    looks = Looks()
    looks.put("a", "b")

    def fail_once(name: str) -> None:
        if name == "a" and looks.seen.count("a") == 1:
            raise RuntimeError

    looks.act = fail_once
    async with looks.running():
        assert looks.seen == ["a", "b"]
        await until(lambda: looks.seen == ["a", "b", "a"])


async def test_what_waits_for_a_time_is_looked_at_when_it_has_come() -> None:
    looks = Looks()
    looks.put("a", "b")
    looks.act = lambda name: 0.05 if name == "a" and looks.seen.count("a") < 3 else None
    async with looks.running():
        await until(lambda: looks.seen == ["a", "b", "a", "a"])


def test_a_change_concerns_the_controller_that_an_object_has_and_had() -> None:
    def owned(name: str, kind: str = "ReplicaSet", **more: Any) -> Obj:
        reference = {"kind": kind, "name": name, "uid": name, "controller": True, **more}
        return thing("pod", ownerReferences=[reference])

    def concerned(after: Obj, before: Obj | None = None) -> set[Name]:
        return set(controllers_of("ReplicaSet")(Change(1, "MODIFIED", KEY, after, before)))

    assert concerned(owned("new"), owned("old")) == {("here", "new"), ("here", "old")}
    assert concerned(thing("pod"), owned("old")) == {("here", "old")}
    assert concerned(owned("new", kind="StatefulSet")) == set()
    assert concerned(owned("new", controller=False)) == set()
