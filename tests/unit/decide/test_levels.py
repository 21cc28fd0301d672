"""The level of a fair share is where all grants come to the total."""

from fractions import Fraction
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

import strategies  # noqa: F401 - its profile takes the deadline off slow machines
from scanpool.decide.exact import exact, rounded
from scanpool.decide.levels import Bends, Range, Rise


@pytest.mark.parametrize(
    ("total", "level"),
    [
        pytest.param(3.0, 0.0, id="nothing beyond what is granted at least"),
        pytest.param(4.0, 1.0, id="one rises"),
        pytest.param(6.0, 2.0, id="the other rises with it"),
        pytest.param(9.0, 3.25, id="one has all, at a weight of two"),
        pytest.param(11.9, 4.7, id="nearly all"),
        pytest.param(12.0, inf, id="all"),
        pytest.param(99.0, inf, id="more than all"),
    ],
)
def test_a_level_is_where_grants_come_to_the_total(total: float, level: float) -> None:
    ranges = [Range(1, 0.0, 2.5), Range(2, 3.0, 9.5)]

    assert Rise(Bends.of(ranges)).level(exact(total)) == pytest.approx(level)


amounts = st.sampled_from([0.0, 1.0, 2.5, 3.0]) | st.floats(0.0, 1e9)
ranges = st.builds(
    lambda weight, one, other: Range(weight, min(one, other), max(one, other)),
    st.integers(1, 5) | st.integers(1, 1_000),
    amounts,
    amounts,
)


def granted(ranges: list[Range], level: float) -> Fraction:
    """Return what all are granted at a level, one by one."""
    return sum(
        (
            min(Fraction(one.most), max(Fraction(one.least), one.weight * Fraction(level)))
            for one in ranges
        ),
        start=Fraction(),
    )


@given(st.lists(ranges, min_size=1, max_size=8), st.floats(0.0, 1.0))
def test_what_is_granted_at_the_level_is_the_total(ranges: list[Range], part: float) -> None:
    rise = Rise(Bends.of(ranges))
    least, most = (
        sum(Fraction(one.least) for one in ranges),
        sum(Fraction(one.most) for one in ranges),
    )
    assert (rounded(rise.least), rounded(rise.most)) == (float(least), float(most))

    total = float(least) + part * float(most - least)
    level = rise.level(exact(total))

    if level == inf:
        assert total >= float(most)
    else:
        assert granted(ranges, level) == pytest.approx(total, rel=1e-12)


@given(
    st.lists(ranges, max_size=6),
    st.none() | ranges,
    st.none() | ranges,
    st.floats(0.0, 2e9),
)
def test_a_range_in_the_place_of_another_leaves_no_trace_of_it(
    stays: list[Range], gone: Range | None, come: Range | None, total: float
) -> None:
    before = [*stays, *([] if gone is None else [gone])]
    after = [*stays, *([] if come is None else [come])]
    anew = Rise(Bends.of(after))
    bends = Bends.of(before)

    for found in (Rise(bends, gone, come), Rise(bends.changed(gone, come))):
        assert (found.least, found.most) == (anew.least, anew.most)
        # Below what is granted at least no level is more right than another.
        if exact(total) > anew.least:
            assert found.level(exact(total)) == anew.level(exact(total))
