"""Who tells the limits, whose word counts, and how soon a new one is believed."""

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import API_KEY, NOW, llm, observe, seen, unseen
from scanpool.decide import checkpoint, limits, restore
from scanpool.decide.limits import Limit
from scanpool.models.budget import Unit
from scanpool.models.memory import KnownLimit, Memory
from scanpool.models.observation import ConfiguredLimits, Observation, ProviderState
from scanpool.models.reading import Reading


def answer(limit: int | None, at: float = NOW) -> Reading[ProviderState]:
    """Build an answer of the provider that tells the same number for tokens and requests."""
    return seen(ProviderState(tokens_per_minute=limit, requests_per_minute=limit), at)


def configured(limit: int | None, at: float = NOW) -> Reading[ConfiguredLimits]:
    """Build what the Admin API says, the same number for tokens and requests."""
    return seen(ConfiguredLimits(tokens_per_minute=limit, requests_per_minute=limit), at)


def found(declared: int | None, observation: Observation) -> dict[Unit, Limit]:
    spec = llm(tokens_per_minute=declared, requests_per_minute=declared, api_key_secret_ref=API_KEY)
    return dict(limits.in_force(spec, limits.learn(spec, observation, Memory(), NOW)))


@pytest.mark.parametrize(
    ("declared", "probed", "admin", "limit"),
    [
        (2_000_000, 4_000_000, None, Limit(2_000_000, "spec")),
        (4_000_000, 2_000_000, None, Limit(2_000_000, "probe", NOW)),
        (2_000_000, 2_000_000, None, Limit(2_000_000, "probe", NOW)),
        (2_000_000, None, None, Limit(2_000_000, "spec")),
        (None, 2_000_000, None, Limit(2_000_000, "probe", NOW)),
        # The Admin API counts only where the probe is silent, be it the smaller.
        (None, 2_000_000, 1_000_000, Limit(2_000_000, "probe", NOW)),
        (None, 2_000_000, 4_000_000, Limit(2_000_000, "probe", NOW)),
        (None, None, 1_000_000, Limit(1_000_000, "admin", NOW)),
        (2_000_000, None, 1_000_000, Limit(1_000_000, "admin", NOW)),
        (2_000_000, None, 4_000_000, Limit(2_000_000, "spec")),
        (1_000_000, 2_000_000, 500_000, Limit(1_000_000, "spec")),
        (None, None, None, None),
    ],
)
def test_of_the_providers_word_and_the_specs_the_smaller_counts(
    declared: int | None, probed: int | None, admin: int | None, limit: Limit | None
) -> None:
    observation = observe(provider=answer(probed), configured=configured(admin))

    expected = {} if limit is None else {Unit.TOKENS: limit, Unit.REQUESTS: limit}
    assert found(declared, observation) == expected


@pytest.mark.parametrize("provider", [None, unseen()])
def test_without_an_answer_of_the_provider_the_specs_limit_counts(provider: None) -> None:
    spec = llm(requests_per_minute=500)
    memory = limits.learn(llm(), observe(provider=provider), Memory(), NOW)

    assert limits.in_force(spec, memory) == {
        Unit.TOKENS: Limit(2_000_000, "spec"),
        Unit.REQUESTS: Limit(500, "spec"),
    }


@pytest.mark.parametrize("unasked", ["tokens_per_minute", "requests_per_minute"])
def test_each_limit_goes_by_its_own_words(unasked: str) -> None:
    """A gateway may pass one header on and not the other."""
    told = replace(answer(2_000_000).value, **{unasked: None})
    observation = observe(provider=seen(told), configured=configured(1_000_000))

    by_unit = found(None, observation)
    tokens, requests = by_unit[Unit.TOKENS], by_unit[Unit.REQUESTS]
    assert {tokens.source, requests.source} == {"probe", "admin"}
    assert (tokens if unasked == "tokens_per_minute" else requests).source == "admin"


def test_input_and_output_limits_come_from_the_probe_alone() -> None:
    told = ProviderState(input_tokens_per_minute=80_000, output_tokens_per_minute=16_000)

    assert found(None, observe(provider=seen(told))) == {
        Unit.INPUT_TOKENS: Limit(80_000, "probe", NOW),
        Unit.OUTPUT_TOKENS: Limit(16_000, "probe", NOW),
    }


# --- What is believed, answer by answer ---


def believed(*answers: int | None, seconds: int = 60, memory: Memory | None = None) -> list[int]:
    """Return the token limit that is believed after each of the probe's answers, 0 for none."""
    known, course = memory or Memory(), []
    for number, limit in enumerate(answers):
        now = NOW + seconds * number
        known = limits.learn(llm(), observe(provider=answer(limit, now)), known, now)
        course.append(known.limits[Unit.TOKENS].value if Unit.TOKENS in known.limits else 0)
    return course


@pytest.mark.parametrize(
    ("answers", "course"),
    [
        pytest.param([2, 1], [2, 1], id="lowered-at-once"),
        pytest.param([2, 4, 4], [2, 2, 4], id="raised-once-a-second-answer-agrees"),
        pytest.param([2, 4, 3], [2, 2, 3], id="of-two-that-rise-the-smaller"),
        pytest.param([2, 3, 4, 4], [2, 2, 3, 4], id="step-by-step"),
        pytest.param([2, 4, 2, 4, 2, 4], [2] * 6, id="flapping-never-raises"),
        pytest.param([4, 2, 4, 2, 4], [4, 2, 2, 2, 2], id="flapping-lowers"),
        pytest.param([2, 4, 4, 1, 4, 4], [2, 2, 4, 1, 1, 4], id="up-down-and-up"),
        pytest.param([2, 4, None, 4], [2, 2, 2, 4], id="silence-between-is-no-disagreement"),
        pytest.param([None, 2], [0, 2], id="the-first-is-believed"),
    ],
)
def test_a_limit_falls_at_once_and_rises_when_a_later_answer_agrees(
    answers: list[int | None], course: list[int]
) -> None:
    assert believed(*answers) == course


def test_an_answer_that_many_ticks_see_is_one_answer() -> None:
    memory = Memory()
    for second in range(0, 180, 10):
        now = NOW + second
        probed_at = NOW + second // 60 * 60
        limit = 2_000_000 if second < 60 else 4_000_000
        memory = limits.learn(llm(), observe(provider=answer(limit, probed_at)), memory, now)
        assert memory.limits[Unit.TOKENS].value == (2_000_000 if second < 120 else 4_000_000)


def test_a_limit_that_nobody_has_told_for_an_hour_is_forgotten() -> None:
    memory = limits.learn(llm(), observe(provider=answer(2_000_000)), Memory(), NOW)
    for second, kept in ((3_600, True), (3_601, False)):
        silent = observe(provider=answer(None, NOW + second))
        assert bool(limits.learn(llm(), silent, memory, NOW + second).limits) == kept


def test_an_answer_that_is_told_again_keeps_the_limit_known() -> None:
    assert believed(*[2] * 3, None, seconds=2_000) == [2] * 4


def test_a_limit_that_rises_while_it_is_told_is_not_forgotten() -> None:
    """An answer that is not believed yet is about the limit all the same."""
    assert believed(2, 4, None, seconds=2_000) == [2] * 3


def test_a_pool_that_asks_nobody_any_more_forgets_what_it_was_told() -> None:
    memory = limits.learn(llm(), observe(provider=answer(1_000_000)), Memory(), NOW)
    assert limits.in_force(llm(), memory)[Unit.TOKENS].source == "probe"

    assert limits.learn(llm(), observe(), memory, NOW).limits == {}


@pytest.mark.parametrize(
    "other",
    [{"model": "gpt-5.2-mini"}, {"base_url": "http://gateway/v1"}, {"provider": "anthropic"}],
)
def test_the_limit_of_another_model_address_or_provider_is_forgotten(other: dict[str, str]) -> None:
    memory = limits.learn(llm(), observe(provider=answer(1_000_000)), Memory(), NOW)

    after = limits.learn(llm(**other), observe(provider=unseen()), memory, NOW + 10)
    assert after.limits == {}
    higher = observe(provider=answer(3_000_000, NOW + 20))
    after = limits.learn(llm(**other), higher, memory, NOW + 20)
    assert after.limits[Unit.TOKENS].value == 3_000_000, "there is nothing to rise from"


def test_a_provider_that_fails_leaves_what_was_known() -> None:
    memory = limits.learn(llm(), observe(provider=answer(1_000_000)), Memory(), NOW)

    assert limits.learn(llm(), observe(provider=unseen()), memory, NOW + 60) == memory


def test_a_process_believes_what_the_one_before_it_believed() -> None:
    """A limit that was seen once before the restart is not raised by the first answer after it."""
    memory = limits.learn(llm(), observe(provider=answer(2_000_000)), Memory(), NOW)
    memory = limits.learn(llm(), observe(provider=answer(4_000_000, NOW + 60)), memory, NOW + 60)
    back = restore(checkpoint(memory), NOW + 90)
    assert back.limits[Unit.TOKENS] == KnownLimit(2_000_000, "probe", NOW + 90)

    assert believed(4_000_000, 4_000_000, memory=back) == [2_000_000, 4_000_000]
    assert believed(1_000_000, memory=back) == [1_000_000]


@given(st.lists(st.integers(1, 40_000_000) | st.integers(1, 4), min_size=2, max_size=12))
def test_what_is_believed_is_the_smaller_of_the_last_two_answers(answers: list[int]) -> None:
    """So it is never above either, and two that agree are believed whatever came before."""
    first, *rest = believed(*answers)

    assert first == answers[0]
    assert rest == [min(pair) for pair in pairwise(answers)]


# --- Whether anyone tells the limit ---


@pytest.mark.parametrize(
    ("declared", "observation", "told"),
    [
        (None, observe(provider=answer(None)), False),
        (None, observe(provider=unseen()), False),
        (None, observe(provider=seen(ProviderState(requests_per_minute=500))), False),
        (None, observe(provider=answer(1)), True),
        (None, observe(provider=seen(ProviderState(input_tokens_per_minute=1))), True),
        (None, observe(provider=seen(ProviderState(output_tokens_per_minute=1))), True),
        (None, observe(provider=answer(None), configured=configured(1)), True),
        (None, observe(provider=answer(None), configured=unseen()), False),
        (1, observe(provider=answer(None)), True),
    ],
)
def test_the_limit_is_told_if_anyone_says_how_many_tokens(
    declared: int | None, observation: Observation, told: bool
) -> None:
    spec = llm(tokens_per_minute=declared, api_key_secret_ref=API_KEY)

    assert limits.is_told(spec, observation) is told
