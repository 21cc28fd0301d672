"""What every model of the API has in common."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, model_validator
from pydantic.alias_generators import to_camel


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


class Model(BaseModel):
    """An immutable API object: camelCase outside, snake_case inside.

    Unknown fields are ignored, as the API server's pruning does: a newer CRD must not stop an
    older operator.
    """

    model_config = ConfigDict(
        frozen=True, extra="ignore", alias_generator=to_camel, populate_by_name=True,
        use_attribute_docstrings=True,
    )  # fmt: skip

    rules: ClassVar[tuple[Rule, ...]] = ()

    @model_validator(mode="after")
    def _obey_rules(self) -> Self:
        for rule in self.rules:
            if not rule.holds(self):
                raise ValueError(rule.message)
        self._share_names()
        return self

    def _share_names(self) -> None:
        """Keep the names of the fields that were set once for all objects with the same.

        A pool's spec and status are some hundred objects, and a set of names takes more than what
        it names: 1,000 pools have 35 MiB of them. A copy of a model copies its set.
        """
        names = self.model_fields_set
        shared = _NAMES.setdefault(frozenset(names), names)
        object.__setattr__(self, "__pydantic_fields_set__", shared)
