"""The pools of a shard, as its loops hear of them."""

from collections.abc import Iterable, Mapping
from typing import Any

import pytest

from scanpool.controller.chosen import Chosen
from scanpool.models.label_selector import parse

MINE, OTHER, BARE = {"shard": "a"}, {"shard": "b"}, None


class Index:
    """Takes the place of the loops."""

    def __init__(self) -> None:
        self.there: set[str] = set()
        self.namespaces: list[str] = []

    async def replace(self, namespace: str, objects: Iterable[Mapping[str, Any]]) -> None:
        self.namespaces.append(namespace)
        self.there = {one["metadata"]["name"] for one in objects}

    async def put(self, obj: Mapping[str, Any]) -> None:
        self.there.add(obj["metadata"]["name"])

    async def drop(self, obj: Mapping[str, Any]) -> None:
        self.there.discard(obj["metadata"]["name"])


def body(name: str, labels: Mapping[str, str] | None) -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": name, "namespace": "scan"}
    return {"metadata": metadata if labels is None else {**metadata, "labels": labels}}


@pytest.fixture
def index() -> Index:
    return Index()


@pytest.fixture
def chosen(index: Index) -> Chosen:
    return Chosen(index, parse("shard=a"))


async def test_only_pools_of_the_shard_are_heard_of(chosen: Chosen, index: Index) -> None:
    await chosen.replace("scan", [body("one", MINE), body("two", OTHER), body("three", BARE)])
    assert (index.there, index.namespaces) == ({"one"}, ["scan"])

    await chosen.put(body("four", MINE))
    await chosen.put(body("five", OTHER))
    await chosen.put(body("six", BARE))
    assert index.there == {"one", "four"}

    await chosen.drop(body("one", MINE))
    assert index.there == {"four"}


@pytest.mark.parametrize("labels", [OTHER, BARE])
async def test_a_pool_that_is_relabelled_changes_hands(
    chosen: Chosen, index: Index, labels: Mapping[str, str] | None
) -> None:
    await chosen.put(body("one", MINE))
    await chosen.put(body("one", labels))
    assert index.there == set()

    await chosen.put(body("one", MINE))
    assert index.there == {"one"}
