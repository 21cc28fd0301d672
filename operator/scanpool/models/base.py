"""What every model of the API has in common."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import chain, repeat
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler
from pydantic.alias_generators import to_camel
from pydantic_core.core_schema import CoreSchema, no_info_after_validator_function


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule over several fields, told once for the API server and for the operator.

    The CRD carries `cel`, so that `kubectl apply` refuses a bad object; `holds` is the same rule
    for an object that an API server without CEL, or with an older CRD, has let through. A test
    holds the two against each other.
    """

    cel: str
    message: str
    holds: Callable[[Any], bool]


# As many as there are ways to write an object.
_NAMES: dict[frozenset[str], set[str]] = {}


class Model(BaseModel):  # noqa: PLW1641 - pydantic makes the hash of what is frozen
    """An immutable API object: camelCase outside, snake_case inside.

    Unknown fields are ignored, as the API server's pruning does: a newer CRD must not stop an
    older operator.
    """

    model_config = ConfigDict(
        frozen=True, extra="ignore", alias_generator=to_camel, populate_by_name=True,
        use_attribute_docstrings=True,
    )  # fmt: skip

    rules: ClassVar[tuple[Rule, ...]] = ()

    @classmethod
    def __get_pydantic_core_schema__(
        cls, source: type[BaseModel], handler: GetCoreSchemaHandler, /
    ) -> CoreSchema:
        """Check the rules after the fields, where there are any.

        A validator is called for the object and again by each that holds it: most of the API's
        models have no rules, and a status has some thirty of them at every tick.
        """
        schema = handler(source)
        return no_info_after_validator_function(_obedient, schema) if cls.rules else schema

    def __eq__(self, other: object) -> bool:
        """Compare the fields, which are all that there is.

        pydantic looks for what was assigned besides, which for two that differ takes ten times as
        long, and each tick compares what it tells with what was told.
        """
        return vars(self) == vars(other) if type(self) is type(other) else NotImplemented

    @classmethod
    def renewed(cls, old: Self | None, values: Mapping[str, Any]) -> Self:
        """Return an object with these values: the old one, if that has just these, else a new one.

        For what is told anew at every tick and seldom changes: to compare costs a tenth of making
        and checking an object, and nobody has to compare it again. An object is made as well where
        a field is left out, or a value is not yet as the model has it.
        """
        return old if old is not None and vars(old) == values else cls(**values)

    @classmethod
    def each_renewed(
        cls, old: tuple[Self, ...], values: Iterable[Mapping[str, Any]]
    ) -> tuple[Self, ...]:
        """Return an object for each of these values: the old one of its place, if it has them."""
        pairs = zip(values, chain(old, repeat(None)), strict=False)
        return tuple(cls.renewed(before, of_one) for of_one, before in pairs)

    def model_post_init(self, _context: object, /) -> None:
        """Keep the names of the fields that were set once for all objects with the same.

        A pool's spec and status are some hundred objects, and a set of names takes more than what
        it names: 1,000 pools have 35 MiB of them. A copy of a model copies its set.
        """
        names = self.__pydantic_fields_set__
        shared = _NAMES.setdefault(frozenset(names), names)
        object.__setattr__(self, "__pydantic_fields_set__", shared)


def _obedient(model: Model) -> Model:
    for rule in model.rules:
        if not rule.holds(model):
            raise ValueError(rule.message)
    return model
