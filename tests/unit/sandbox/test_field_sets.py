"""What a write has changed, as the stand-in counts it for metadata.managedFields."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from scanpool_sandbox.kube.writing.fieldsets import changes, leaves
from scanpool_sandbox.kube.writing.listtypes import Shape

NAMES = st.sampled_from(["a", "b", "metadata", "name", "labels", "selector", "finalizers"])
ITEMS = st.fixed_dictionaries({"name": st.sampled_from("xyz")}, optional={"v": st.integers(0, 2)})
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(0, 2) | st.lists(st.sampled_from("xyz"), unique=True),
    lambda inner: (
        st.dictionaries(NAMES, inner, max_size=3)
        | st.fixed_dictionaries({"env": st.lists(ITEMS, max_size=3, unique_by=lambda i: i["name"])})
    ),
    max_leaves=10,
)
OBJECTS = st.dictionaries(NAMES, VALUES, min_size=1, max_size=4)


@given(st.none() | OBJECTS, OBJECTS)
def test_changes_are_what_a_comparison_of_all_fields_finds(old: Any, new: Any) -> None:
    shape = Shape(None)
    before, after = leaves(old, shape) if old else {}, leaves(new, shape)
    changed = {path for path, value in after.items() if path not in before or before[path] != value}
    assert changes(old, new, shape) == (changed, before.keys() - after.keys())


def test_a_change_deep_inside_is_that_field_alone() -> None:
    def pod(image: str) -> dict[str, Any]:
        container = {"name": "main", "image": image, "env": [{"name": "A", "value": "1"}]}
        return {"spec": {"containers": [container], "nodeName": "n"}}

    changed, gone = changes(pod("one"), pod("two"), Shape(None))
    assert changed == {("f:spec", "f:containers", 'k:{"name":"main"}', "f:image")}
    assert gone == set()
