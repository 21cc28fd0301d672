from collections.abc import Callable
from typing import Any, ClassVar

import pytest
from pydantic import ValidationError

from scanpool.models.base import Model, Rule


class Named(Model):
    name: str = ""
    size: int = 0


class Bounded(Named):
    rules: ClassVar[tuple[Rule, ...]] = (
        Rule("self.size < 10", "size is less than 10", lambda m: m.size < 10),
    )


class Inherited(Bounded):
    more: int = 0


class Holder(Model):
    one: Bounded
    plain: Named = Named()


def test_objects_with_the_same_fields_share_what_says_so() -> None:
    one, other = Named(name="a", size=1), Named.model_validate({"size": 2, "name": "b"})

    assert one.model_fields_set == {"name", "size"}
    assert one.model_fields_set is other.model_fields_set
    assert Named(name="c").model_fields_set == {"name"}


def test_what_is_changed_in_a_copy_is_told_of_the_copy_alone() -> None:
    one, other = Named(name="a"), Named(name="b")

    changed = one.model_copy(update={"size": 3})

    assert changed.model_dump(exclude_unset=True) == {"name": "a", "size": 3}
    for kept in (one, other, Named(name="c")):
        assert kept.model_fields_set == {"name"}


def test_objects_are_equal_by_their_class_and_the_values_of_their_fields() -> None:
    one = Named(name="a")

    # Whether a value was left out or set makes no difference.
    assert one == Named.model_validate({"size": 0, "name": "a"})
    assert hash(one) == hash(Named(name="a", size=0))
    assert one != Named(name="b")
    assert one != Bounded(name="a")
    assert Bounded(name="a") != one
    assert one != {"name": "a", "size": 0}


MAKE: list[Any] = [
    pytest.param(lambda size: Bounded(size=size), id="by-name"),
    pytest.param(lambda size: Bounded.model_validate({"size": size}), id="parsed"),
    pytest.param(lambda size: Bounded.model_validate_json(f'{{"size": {size}}}'), id="from-json"),
    pytest.param(lambda size: Inherited(size=size), id="rules-of-the-class-above"),
    pytest.param(lambda size: Holder.model_validate({"one": {"size": size}}), id="in-another"),
    pytest.param(
        lambda size: Holder(one=Bounded().model_copy(update={"size": size})), id="made-before"
    ),
]


@pytest.mark.parametrize("make", MAKE)
def test_a_model_with_rules_obeys_them(make: Callable[[int], Model]) -> None:
    make(9)

    with pytest.raises(ValidationError, match="size is less than 10"):
        make(10)


def test_a_model_without_rules_takes_what_its_fields_take() -> None:
    holder = Holder.model_validate({"one": {"size": 1}, "plain": {"size": 10}})

    assert (holder.one.size, holder.plain.size) == (1, 10)


def test_an_object_with_the_same_values_is_the_old_one() -> None:
    old = Named(name="a", size=1)

    assert Named.renewed(old, {"name": "a", "size": 1}) is old
    # As it is read, with what is left out.
    read = Named.model_validate({"name": "a"})
    assert Named.renewed(read, {"name": "a", "size": 0}) is read


RENEWED: list[Any] = [
    pytest.param(None, {"name": "a", "size": 1}, Named(name="a", size=1), id="none-before"),
    pytest.param(
        Named(name="a", size=1), {"name": "a", "size": 2}, Named(name="a", size=2), id="changed"
    ),
    pytest.param(Named(name="a", size=1), {"name": "a"}, Named(name="a"), id="left-out"),
]


@pytest.mark.parametrize(("old", "values", "expected"), RENEWED)
def test_an_object_with_another_value_is_a_new_one(
    old: Named | None, values: dict[str, Any], expected: Named
) -> None:
    found = Named.renewed(old, values)

    assert found is not old
    assert found == expected


def test_a_new_object_is_checked() -> None:
    with pytest.raises(ValidationError, match="size is less than 10"):
        Bounded.renewed(Bounded(size=9), {"name": "", "size": 10})


def test_each_object_is_compared_with_that_of_its_place() -> None:
    a, b = Named(name="a", size=1), Named(name="b", size=2)
    of_a, of_b, of_c = (
        {"name": name, "size": size} for name, size in (("a", 1), ("b", 2), ("c", 3))
    )

    same = Named.each_renewed((a, b), (of_a, of_b))
    assert same[0] is a
    assert same[1] is b
    longer = Named.each_renewed((a,), (of_a, of_b))
    assert longer[0] is a
    assert longer == (a, b)
    assert Named.each_renewed((a, b), (of_a,)) == (a,)
    assert Named.each_renewed((a, b), (of_b, of_a)) == (b, a)
    other = Named.each_renewed((a, b), (of_c, of_b))
    assert other == (Named(name="c", size=3), b)
    assert other[1] is b
    assert Named.each_renewed((), ()) == ()
