"""A figure is described once: every surface has it from there."""

from collections.abc import Iterator
from enum import StrEnum
from typing import Annotated, Any, get_args

import pytest
from prometheus_client import CollectorRegistry
from pydantic import BaseModel, Field

from scanpool.crd import structural_schema
from scanpool.models.conditions import Condition, ConditionType, Reason
from scanpool.models.figures import Figure, figures, models_in, of_itself
from scanpool.models.units import epoch
from scanpool.report import metrics
from scanpool.report.explain import explain, text
from scanpool.report.metrics import Metrics
from scanpool.report.news import is_news
from scanpool.report.pool_status import FigureStatus, LlmStatus, PoolStatus

OF_LLM = dict(figures(LlmStatus))
MEASURED = {name: one for name, one in OF_LLM.items() if one.metric is not None}
TOLD = {name: one for name, one in OF_LLM.items() if one.unit is not None}
READY = Condition(
    type=ConditionType.READY,
    status="True",
    observed_generation=1,
    last_transition_time="2026-01-28T05:07:00Z",
    reason=Reason.RECONCILED,
    message="fine",
)


def described(model: type[BaseModel]) -> Iterator[tuple[type[BaseModel], str, Figure]]:
    """Yield the figures of a model and of those inside it."""
    yield from ((model, name, one) for name, one in figures(model))
    for field in model.model_fields.values():
        for part in models_in(field.annotation):
            yield from described(part)


EVERY = list(described(PoolStatus))


def sample(model: type[BaseModel], name: str) -> Any:
    """Return a value for a field of a status: a number, or the last state that there is."""

    def kinds(annotation: Any) -> Iterator[type]:
        if isinstance(annotation, type):
            yield annotation
        for part in get_args(annotation):
            yield from kinds(part)

    for kind in kinds(model.model_fields[name].annotation):
        if issubclass(kind, StrEnum):
            return list(kind)[-1]
        if issubclass(kind, int | float):
            return kind(7)
        if issubclass(kind, str):
            return "2026-01-28T08:00:00Z"
    raise NotImplementedError(name)


def as_number(value: float | str) -> float:
    """Return a number as it is, and a time as seconds since the epoch."""
    return epoch(value) if isinstance(value, str) else value


def only(name: str) -> PoolStatus:
    """Return a status of which one figure of the provider is all that is known."""
    known = LlmStatus.model_validate(
        {name: sample(LlmStatus, name), "observed_at": "2026-01-28T05:07:30Z"}
    )
    return PoolStatus(llm=known, conditions=(READY,))


def measured(status: PoolStatus, metric: str) -> dict[tuple[str, ...], float]:
    """Return the values of a pool's metric, by the labels beside the pool's own."""
    registry = CollectorRegistry()
    Metrics(registry).record("scan", "scan-worker", status)
    return {
        tuple(value for label, value in one.labels.items() if label not in metrics.POOL): one.value
        for family in registry.collect()
        for one in family.samples
        if one.name == f"scanpool_pool_{metric}"
    }


def explained(status: PoolStatus) -> list[list[str]]:
    """Return the rows of the table of figures, and nothing of the sentences above it."""
    said = explain(
        {
            "metadata": {"namespace": "scan", "name": "scan-worker", "uid": "u", "generation": 1},
            "spec": {},
            "status": status.model_dump(mode="json", by_alias=True, exclude_none=True),
        }
    )
    table = said.partition("The figures, at ")[2].partition("\n\n")[0]
    return [row.split(maxsplit=1) for row in table.splitlines()[1:]]


def words(model: type[BaseModel], name: str) -> str:
    """Return what the CRD says of a field, wherever in the status its model is."""

    def places(part: type[BaseModel], schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
        inner = schema.get("items", schema)
        if part is model:
            yield inner["properties"]
        for field in part.model_fields.values():
            for one in models_in(field.annotation):
                yield from places(one, inner["properties"][field.alias])

    alias = model.model_fields[name].alias
    assert alias is not None
    (found,) = {
        place[alias].get("description", "")
        for place in places(PoolStatus, structural_schema(PoolStatus))
    }
    return str(found)


def test_there_are_figures() -> None:
    assert {"used_tokens_per_minute", "quota", "zone"} <= MEASURED.keys()
    assert {"used_tokens_per_minute", "quota"} <= TOLD.keys()
    assert {PoolStatus, LlmStatus} < {model for model, _, _ in EVERY}


@pytest.mark.parametrize("name", MEASURED)
def test_every_figure_with_a_metric_is_measured(name: str) -> None:
    figure, value = MEASURED[name], sample(LlmStatus, name)
    assert figure.metric is not None

    found = measured(only(name), figure.metric)

    if isinstance(value, StrEnum):
        assert found == {(each,): float(each is value) for each in type(value)}
    else:
        assert found == {(): as_number(value) / (100 if figure.is_percent else 1)}
    assert measured(PoolStatus(llm=LlmStatus()), figure.metric) == {}


@pytest.mark.parametrize(
    ("model", "name", "figure"), EVERY, ids=lambda value: value if isinstance(value, str) else ""
)
def test_every_figure_has_words_in_the_crd_and_the_same_in_its_metric(
    model: type[BaseModel], name: str, figure: Figure
) -> None:
    told = words(model, name)

    assert told.endswith(".")
    registry = CollectorRegistry()
    Metrics(registry)
    helps = {family.name: family.documentation for family in registry.collect()}
    if figure.metric is not None:
        assert helps[f"scanpool_pool_{figure.metric}"] == told


@pytest.mark.parametrize("name", TOLD)
def test_every_figure_with_a_unit_is_in_the_table_of_explain(name: str) -> None:
    figure, value = TOLD[name], sample(LlmStatus, name)

    ((label, told),) = explained(only(name))

    assert label == figure.label
    assert told == f"{value}{figure.unit}"


@pytest.mark.parametrize("name", sorted(OF_LLM.keys() - TOLD.keys()))
def test_a_figure_without_a_unit_is_not_in_the_table_of_explain(name: str) -> None:
    assert explained(only(name)) == []


@pytest.mark.parametrize("name", TOLD)
def test_the_table_says_who_told_a_figure_by_its_label(name: str) -> None:
    status = only(name)
    assert status.llm is not None
    told = FigureStatus(name=TOLD[name].label, source="a-source", at="2026-01-28T05:07:00Z")
    llm = status.llm.model_copy(update={"figures": (told,)})

    ((_, row),) = explained(status.model_copy(update={"llm": llm}))

    assert row.endswith("  a-source  read 30 s before")


# A zone follows the use: by itself it does not change.
@pytest.mark.parametrize("name", [name for name in OF_LLM if name != "zone"])
def test_a_figure_that_becomes_known_is_news(name: str) -> None:
    unknown = PoolStatus(llm=LlmStatus(), conditions=(READY,))

    assert is_news(unknown, only(name))
    assert is_news(only(name), unknown)
    assert not is_news(only(name), only(name))


def test_no_two_figures_have_one_name() -> None:
    # Those of one limit and of each of several are the same figures.
    named = {(field, one.metric) for _, field, one in EVERY if one.metric is not None}
    names = [metric for _, metric in named]
    labels = [one.label for one in TOLD.values()]

    assert len(set(names)) == len(names)
    assert len(set(labels)) == len(labels)
    assert all(labels)


# --- A figure that is made up here ---


class LlmOfTomorrow(LlmStatus):
    """As today's, and one figure more."""

    thinking_tokens_per_minute: Annotated[
        int | None,
        Figure(metric="tpm_thinking", unit=" TPM", label="thinking", is_same=of_itself(0.5)),
    ] = Field(None, description="Tokens that nobody sees, per minute.")


class StatusOfTomorrow(PoolStatus):
    """As today's, with the other figures."""

    llm: LlmOfTomorrow | None = None


def thinking(tokens: int | None, **changes: Any) -> StatusOfTomorrow:
    llm = LlmOfTomorrow(thinking_tokens_per_minute=tokens, observed_at="2026-01-28T05:07:30Z")
    return StatusOfTomorrow(**{"llm": llm, "conditions": (READY,), **changes})


@pytest.mark.parametrize(
    ("before", "after", "is_told"),
    [
        pytest.param(1_000, 1_000, False, id="the-same"),
        pytest.param(1_000, 1_500, False, id="as-much-as-its-rule-lets-pass"),
        pytest.param(1_000, 1_501, True, id="more"),
        pytest.param(1_000, 499, True, id="less"),
        pytest.param(None, 1_000, True, id="known"),
        pytest.param(1_000, None, True, id="unknown-again"),
    ],
)
def test_a_new_figure_is_news_by_its_own_rule(
    before: int | None, after: int | None, is_told: bool
) -> None:
    assert is_news(thinking(before), thinking(after)) is is_told


def test_a_new_figure_has_its_words_in_the_schema() -> None:
    schema = structural_schema(StatusOfTomorrow)["properties"]["llm"]["properties"]

    assert schema["thinkingTokensPerMinute"] == {
        "type": "integer", "description": "Tokens that nobody sees, per minute.",
    }  # fmt: skip


def test_a_new_figure_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "PoolStatus", StatusOfTomorrow)

    assert measured(thinking(1_234), "tpm_thinking") == {(): 1_234}
    assert measured(thinking(None), "tpm_thinking") == {}


def test_a_new_figure_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text, "PoolStatus", StatusOfTomorrow)
    monkeypatch.setattr(text, "LlmStatus", LlmOfTomorrow)

    assert explained(thinking(1_234)) == [["thinking", "1,234 TPM"]]
