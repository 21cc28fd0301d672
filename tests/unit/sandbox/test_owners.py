"""The stand-in's index of dependents says at any time what a look at all objects would."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from scanpool_sandbox.kube.owners import Where, owners_of
from scanpool_sandbox.kube.store import Store

KEYS = (("", "pods"), ("apps", "sets"))
UIDS = [f"{plural}-{name}" for _, plural in KEYS for name in "ab"]
PLACES = st.tuples(st.sampled_from(KEYS), st.sampled_from("ab"))
WRITES = st.tuples(PLACES, st.none() | st.lists(st.sampled_from([*UIDS, "gone"]), unique=True))
"""An object and its owners from now on; None deletes it."""


def _write(store: Store, place: tuple[tuple[str, str], str], owners: list[str] | None) -> None:
    key, name = place
    if owners is not None:
        references = [{"uid": uid} for uid in owners]
        metadata: dict[str, Any] = {"namespace": "n", "name": name, "uid": f"{key[1]}-{name}"}
        store.put(key, {"metadata": {**metadata, "ownerReferences": references}})
    elif store.get(key, "n", name):
        store.remove(key, "n", name)


@given(st.lists(WRITES, max_size=20), st.booleans())
def test_the_index_is_what_a_look_at_all_objects_finds(
    writes: list[tuple[tuple[tuple[str, str], str], list[str] | None]], closes: bool
) -> None:
    store = Store()
    for place, owners in writes:
        _write(store, place, owners)
    if closes:
        store.close(KEYS[0])
    objects = [(key, obj) for key in KEYS for obj in store.items(key)]
    for uid in [*UIDS, "gone"]:
        there = [
            Where(key, "n", obj["metadata"]["name"])
            for key, obj in objects
            if obj["metadata"]["uid"] == uid
        ]
        assert store.owners.find(uid) == (there[0] if there else None)
        wanted = [obj for _, obj in objects if uid in owners_of(obj)]
        assert [obj for _, obj in store.owners.dependents(uid)] == wanted


def test_what_is_left_of_a_resource_that_is_closed_is_told_as_deleted() -> None:
    store = Store()
    _write(store, (KEYS[0], "a"), [])
    told: list[str] = []
    store.listen(KEYS[0], lambda change: told.append(change.type))
    store.close(KEYS[0])
    assert told == ["DELETED"]
    assert store.items(KEYS[0]) == []
