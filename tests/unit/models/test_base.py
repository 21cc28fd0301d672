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
