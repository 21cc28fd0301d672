"""Lists and watches: selectors, resuming, and being told that it is too late."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cluster.access import Cluster, Obj


def _names(items: list[Obj]) -> list[str]:
    return [item["metadata"]["name"] for item in items]


def _take(events: Iterator[Obj], count: int) -> list[tuple[str, str]]:
    return [(e["type"], e["object"]["metadata"]["name"]) for e in itertools.islice(events, count)]


@pytest.mark.parametrize(
    ("selector", "names"),
    [
        ("tier=web", ["a", "b"]),
        ("tier==web,env=prod", ["a"]),
        ("tier!=web", ["c", "d"]),
        ("env in (prod, test)", ["a", "b", "c"]),
        ("env notin (prod),tier", ["b"]),
        ("env", ["a", "b", "c"]),
        ("!env", ["d"]),
    ],
)
def test_label_selectors(cluster: Cluster, selector: str, names: list[str]) -> None:
    for name, labels in {
        "a": {"tier": "web", "env": "prod"},
        "b": {"tier": "web", "env": "test"},
        "c": {"env": "prod"},
        "d": {},
    }.items():
        cluster.make_widget(name, labels=labels)
    found = cluster.get(cluster.widgets, labelSelector=selector).body["items"]
    assert _names(found) == names


def test_a_malformed_selector_is_a_bad_request(cluster: Cluster) -> None:
    assert cluster.get(cluster.widgets, labelSelector="a in").code == 400


def test_field_selectors_take_names_and_refuse_what_is_not_selectable(cluster: Cluster) -> None:
    cluster.make_widget("a")
    cluster.make_widget("b")
    found = cluster.get(cluster.widgets, fieldSelector="metadata.name=b").body["items"]
    assert _names(found) == ["b"]
    assert cluster.get(cluster.widgets, fieldSelector="spec.size=1").code == 400


def test_a_watch_begins_with_what_exists(cluster: Cluster) -> None:
    cluster.make_widget("a")
    with cluster.watch(cluster.widgets) as events:
        assert _take(events, 1) == [("ADDED", "a")]
        cluster.make_widget("b")
        cluster.patch(f"{cluster.widgets}/b", {"spec": {"size": 2}})
        cluster.delete(f"{cluster.widgets}/b")
        assert _take(events, 3) == [("ADDED", "b"), ("MODIFIED", "b"), ("DELETED", "b")]


def test_a_watch_resumes_after_a_version(cluster: Cluster) -> None:
    cluster.make_widget("a")
    version = cluster.get(cluster.widgets).version
    cluster.make_widget("b")
    cluster.delete(f"{cluster.widgets}/a")
    with cluster.watch(cluster.widgets, resourceVersion=version) as events:
        assert _take(events, 2) == [("ADDED", "b"), ("DELETED", "a")]


def test_a_write_that_changes_nothing_is_not_seen(cluster: Cluster) -> None:
    cluster.make_widget("a", {"size": 3})
    version = cluster.get(cluster.widgets).version
    with cluster.watch(cluster.widgets, resourceVersion=version) as events:
        cluster.patch(f"{cluster.widgets}/a", {"spec": {"size": 3}})
        cluster.make_widget("marker")
        assert _take(events, 1) == [("ADDED", "marker")]


def test_an_object_enters_and_leaves_a_selector(cluster: Cluster) -> None:
    path = f"{cluster.widgets}/a"
    cluster.make_widget("a")
    version = cluster.get(cluster.widgets).version
    query = {"resourceVersion": version, "labelSelector": "on=yes"}
    with cluster.watch(cluster.widgets, **query) as events:
        cluster.patch(path, {"metadata": {"labels": {"on": "yes"}}})
        cluster.patch(path, {"spec": {"size": 2}})
        cluster.patch(path, {"metadata": {"labels": {"on": None}}})
        assert _take(events, 3) == [("ADDED", "a"), ("MODIFIED", "a"), ("DELETED", "a")]


def test_one_object_can_be_watched(cluster: Cluster) -> None:
    cluster.make_widget("a")
    version = cluster.get(cluster.widgets).version
    query = {"resourceVersion": version, "fieldSelector": "metadata.name=b"}
    with cluster.watch(cluster.widgets, **query) as events:
        cluster.patch(f"{cluster.widgets}/a", {"spec": {"size": 2}})
        cluster.make_widget("b")
        assert _take(events, 1) == [("ADDED", "b")]


def test_a_version_from_before_the_history_is_gone(cluster: Cluster) -> None:
    cluster.make_widget("a")
    with cluster.watch(cluster.widgets, resourceVersion="1") as events:
        event = next(events)
    assert event["type"] == "ERROR"
    assert (event["object"]["code"], event["object"]["reason"]) == (410, "Expired")
    assert "too old resource version" in event["object"]["message"]


def test_a_watch_ends_at_its_timeout(cluster: Cluster) -> None:
    version = cluster.get(cluster.widgets).version
    with cluster.watch(cluster.widgets, resourceVersion=version, timeoutSeconds="1") as events:
        assert list(events) == []


def test_a_list_names_the_version_to_watch_from(cluster: Cluster) -> None:
    cluster.make_widget("a")
    listed = cluster.get(cluster.widgets).body
    assert (listed["kind"], listed["apiVersion"]) == ("WidgetList", f"{cluster.group}/v1")
    assert int(listed["metadata"]["resourceVersion"]) > 0
