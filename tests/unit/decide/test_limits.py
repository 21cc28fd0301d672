"""Who tells the limits, whose word counts, and how soon a new one is believed."""

from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import API_KEY, NOW, llm, memory, observe, pool, seen, unseen
from scanpool.decide import Memory, assess, checkpoint, limits, restore
from scanpool.decide.limits import KnownLimit, KnownLimits, Limit, Told
from scanpool.models.claims import Unit
from scanpool.models.llm import Provider
from scanpool.models.observation import ConfiguredLimits, Observation, ProviderState
from scanpool.models.reading import Reading

# --- Who tells them ---


def answer(limit: int | None, at: float = NOW) -> Reading[ProviderState]:
    """Build an answer of the provider that tells the same number for tokens and requests."""
    return seen(ProviderState(tokens_per_minute=limit, requests_per_minute=limit), at)


def configured(limit: int | None, at: float = NOW) -> Reading[ConfiguredLimits]:
    """Build what the Admin API says, the same number for tokens and requests."""
    return seen(ConfiguredLimits(tokens_per_minute=limit, requests_per_minute=limit), at)


def told(observation: Observation) -> Told | None:
    """Return what the provider tells by these readings."""
    signals = assess(pool(llm=llm()), observation, Memory(), NOW).llm
    assert signals is not None
    return signals.told


def found(declared: int | None, observation: Observation) -> dict[Unit, Limit]:
    spec = llm(tokens_per_minute=declared, requests_per_minute=declared, api_key_secret_ref=API_KEY)
    known = limits.step(KnownLimits(), spec, told(observation), NOW)
    return dict(limits.in_force(known, spec))


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
    known = limits.step(KnownLimits(), llm(), told(observe(provider=provider)), NOW)

    assert limits.in_force(known, spec) == {
        Unit.TOKENS: Limit(2_000_000, "spec"),
        Unit.REQUESTS: Limit(500, "spec"),
    }


@pytest.mark.parametrize("unasked", ["tokens_per_minute", "requests_per_minute"])
def test_each_limit_goes_by_its_own_words(unasked: str) -> None:
    """A gateway may pass one header on and not the other."""
    state = ProviderState(tokens_per_minute=2_000_000, requests_per_minute=2_000_000)
    silent = replace(state, **{unasked: None})  # type: ignore[arg-type]
    observation = observe(provider=seen(silent), configured=configured(1_000_000))

    by_unit = found(None, observation)
    tokens, requests = by_unit[Unit.TOKENS], by_unit[Unit.REQUESTS]
    assert {tokens.source, requests.source} == {"probe", "admin"}
    assert (tokens if unasked == "tokens_per_minute" else requests).source == "admin"


def test_geminis_limit_is_one_on_input() -> None:
    spec = llm(provider=Provider.GEMINI, tokens_per_minute=1_000_000)
    answered = ProviderState(input_tokens_per_minute=250_000)
    known = limits.step(KnownLimits(), spec, told(observe(provider=seen(answered))), NOW)

    assert limits.in_force(KnownLimits(), spec) == {Unit.INPUT_TOKENS: Limit(1_000_000, "spec")}
    # A refusal has told a smaller one.
    assert limits.in_force(known, spec) == {Unit.INPUT_TOKENS: Limit(250_000, "probe", NOW)}


def test_input_and_output_limits_come_from_the_probe_alone() -> None:
    state = ProviderState(input_tokens_per_minute=80_000, output_tokens_per_minute=16_000)

    assert found(None, observe(provider=seen(state))) == {
        Unit.INPUT_TOKENS: Limit(80_000, "probe", NOW),
        Unit.OUTPUT_TOKENS: Limit(16_000, "probe", NOW),
    }


# --- What is believed, answer by answer ---


def probed(limit: int | None, at: float = NOW) -> Told:
    """Build what an answer of the probe tells of tokens; None is silence."""
    return {} if limit is None else {Unit.TOKENS: KnownLimit(limit, "probe", at)}


def believed(
    *answers: int | None, seconds: int = 60, known: KnownLimits | None = None
) -> list[int]:
    """Return the token limit that is believed after each of the probe's answers, 0 for none."""
    known, course = known or KnownLimits(), []
    for number, limit in enumerate(answers):
        now = NOW + seconds * number
        known = limits.step(known, llm(), probed(limit, now), now)
        course.append(known.by_unit[Unit.TOKENS].value if Unit.TOKENS in known.by_unit else 0)
    return course


def after(limit: int) -> KnownLimits:
    """Return what is known after the first answer."""
    return limits.step(KnownLimits(), llm(), probed(limit), NOW)


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
    known = KnownLimits()
    for second in range(0, 180, 10):
        limit = 2_000_000 if second < 60 else 4_000_000
        answered = probed(limit, NOW + second // 60 * 60)
        known = limits.step(known, llm(), answered, NOW + second)
        assert known.by_unit[Unit.TOKENS].value == (2_000_000 if second < 120 else 4_000_000)


def test_a_limit_that_nobody_has_told_for_an_hour_is_forgotten() -> None:
    for second, kept in ((3_600, True), (3_601, False)):
        assert bool(limits.step(after(2_000_000), llm(), {}, NOW + second).by_unit) == kept


def test_an_answer_that_is_told_again_keeps_the_limit_known() -> None:
    assert believed(*[2] * 3, None, seconds=2_000) == [2] * 4


def test_a_limit_that_rises_while_it_is_told_is_not_forgotten() -> None:
    """An answer that is not believed yet is about the limit all the same."""
    assert believed(2, 4, None, seconds=2_000) == [2] * 3


def test_a_pool_that_asks_nobody_any_more_forgets_what_it_was_told() -> None:
    known = after(1_000_000)
    assert limits.in_force(known, llm())[Unit.TOKENS].source == "probe"

    assert limits.step(known, llm(), told(observe()), NOW) == KnownLimits()


@pytest.mark.parametrize(
    "other",
    [{"model": "gpt-5.2-mini"}, {"base_url": "http://gateway/v1"}, {"provider": "anthropic"}],
)
def test_the_limit_of_another_model_address_or_provider_is_forgotten(other: dict[str, str]) -> None:
    known = after(1_000_000)

    assert limits.step(known, llm(**other), {}, NOW + 10).by_unit == {}
    higher = limits.step(known, llm(**other), probed(3_000_000, NOW + 20), NOW + 20)
    assert higher.by_unit[Unit.TOKENS].value == 3_000_000, "there is nothing to rise from"


def test_a_provider_that_fails_leaves_what_was_known() -> None:
    failed = told(observe(provider=unseen()))

    assert limits.step(after(1_000_000), llm(), failed, NOW + 60) == after(1_000_000)


def test_a_process_believes_what_the_one_before_it_believed() -> None:
    """A limit that was seen once before the restart is not raised by the first answer after it."""
    known = limits.step(after(2_000_000), llm(), probed(4_000_000, NOW + 60), NOW + 60)
    back = restore(checkpoint(memory(limits=known)), NOW + 90).llm.limits
    assert back.by_unit[Unit.TOKENS] == KnownLimit(2_000_000, "probe", NOW + 90)

    assert believed(4_000_000, 4_000_000, known=back) == [2_000_000, 4_000_000]
    assert believed(1_000_000, known=back) == [1_000_000]


@given(st.lists(st.integers(1, 40_000_000) | st.integers(1, 4), min_size=2, max_size=12))
def test_what_is_believed_is_the_smaller_of_the_last_two_answers(answers: list[int]) -> None:
    """So it is never above either, and two that agree are believed whatever came before."""
    first, *rest = believed(*answers)

    assert first == answers[0]
    assert rest == [min(pair) for pair in pairwise(answers)]


# --- Whether anyone tells the limit ---


@pytest.mark.parametrize(
    ("declared", "readings", "is_told"),
    [
        (None, {"provider": answer(None)}, False),
        (None, {"provider": unseen()}, False),
        (None, {"provider": seen(ProviderState(requests_per_minute=500))}, False),
        (None, {"provider": answer(1)}, True),
        (None, {"provider": seen(ProviderState(input_tokens_per_minute=1))}, True),
        (None, {"provider": seen(ProviderState(output_tokens_per_minute=1))}, True),
        (None, {"provider": answer(None), "configured": configured(1)}, True),
        (None, {"provider": answer(None), "configured": unseen()}, False),
        (1, {"provider": answer(None)}, True),
    ],
)
def test_the_limit_is_told_if_anyone_says_how_many_tokens(
    declared: int | None, readings: dict[str, Any], *, is_told: bool
) -> None:
    """Else it is a gap, be it that nobody says or that nobody answers."""
    spec = pool(llm=llm(tokens_per_minute=declared, api_key_secret_ref=API_KEY))

    gaps = assess(spec, observe(messages=0, **readings), Memory(), NOW).gaps
    assert (gaps == ()) is is_told
