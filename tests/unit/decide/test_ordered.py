"""Values in order that follow from one another: as if they were put in order anew."""

from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

import strategies  # noqa: F401 - its profile takes the deadline off slow machines
from scanpool.decide.ordered import swapped


class One(NamedTuple):
    weight: int
    name: str


def by_weight(one: One) -> tuple[int, str]:
    return -one.weight, one.name


ones = st.builds(One, st.integers(0, 3), st.sampled_from("abc"))


@given(st.lists(ones, max_size=8), st.data())
def test_one_in_the_place_of_another_is_in_order(some: list[One], data: st.DataObject) -> None:
    gone = data.draw(st.none() | st.sampled_from(some)) if some else None
    come = data.draw(st.none() | ones)
    left = [*some, *([] if come is None else [come])]
    if gone is not None:
        left.remove(gone)
    for key in (None, by_weight):
        ordered = tuple(sorted(some, key=key))
        assert list(swapped(ordered, gone, come, key)) == sorted(left, key=key)
        assert ordered == tuple(sorted(some, key=key)), "what it follows from stays as it is"


def test_where_nothing_changes_nothing_is_copied() -> None:
    ordered = ("a", "b")
    assert swapped(ordered, "b", "b") is ordered
    assert swapped(ordered, None, None) is ordered
