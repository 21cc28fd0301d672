from scanpool.models.base import Model


class Named(Model):
    name: str = ""
    size: int = 0


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
