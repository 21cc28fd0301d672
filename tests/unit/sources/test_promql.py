import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanpool.models.limit_names import canonical_name, limit_names
from scanpool.models.llm import Label, Provider, UsagePreset
from scanpool.sources.promql import models_pattern, preset_query, string_literal

LIMIT = limit_names("openai", "gpt-5.2")
MODELS = string_literal(models_pattern(LIMIT))
LONGEST_QUERY = 16_384
"""Bytes that VictoriaMetrics takes, unless it is told otherwise (-search.maxQueryLen)."""

KONG = """
sum by (figure, job, instance) (
  label_replace(label_replace(label_replace((
    label_replace(
      rate({__name__="kong_ai_llm_tokens_total"}[60s]), "ours", "1", "ai_model", MODELS
    ) and on (ours) label_replace(vector(1), "ours", "1", "", "")
  ), "figure", "other", "", ""),
  "figure", "tokens", "token_type", "total_tokens"),
  "figure", "output_tokens", "token_type", "completion_tokens")
) * 60
or sum by (figure, job, instance) (
  label_replace((
    label_replace(
      rate({__name__="kong_ai_llm_requests_total"}[60s]), "ours", "1", "ai_model", MODELS
    ) and on (ours) label_replace(vector(1), "ours", "1", "", "")
  ), "figure", "requests", "", "")
) * 60
or label_replace(max(
  label_replace(
    timestamp({__name__="kong_ai_llm_tokens_total"})
    or max_over_time(timestamp({__name__="kong_ai_llm_tokens_total"})[60s:5s]),
    "ours", "1", "ai_model", MODELS
  ) and on (ours) label_replace(vector(1), "ours", "1", "", "")
), "figure", "sampled_at", "", "")
"""


def test_what_the_smallest_preset_asks() -> None:
    asked = preset_query(UsagePreset.KONG, LIMIT, 60)
    # Only the lines are broken differently.
    assert "".join(asked.split()) == "".join(KONG.replace("MODELS", MODELS).split())


def test_kong_counts_no_refused_calls_of_a_model() -> None:
    assert "refused" not in preset_query(UsagePreset.KONG, LIMIT, 60)


@pytest.mark.parametrize("preset", list(UsagePreset))
def test_every_selector_has_the_labels(preset: UsagePreset) -> None:
    labels = (Label(name="job", value='scan"}'), Label(name="ns", value="a"))
    query = preset_query(preset, LIMIT, 60, labels)
    selectors = re.findall(r'{__name__="[a-z_.]+"(.*?)}[)[]', query)
    assert selectors == [',job="scan\\"}",ns="a"'] * query.count("__name__")
    assert len(selectors) >= len(["tokens", "requests", "present", "ended"])


@pytest.mark.parametrize("preset", list(UsagePreset))
def test_a_query_of_many_names_is_not_too_long(preset: UsagePreset) -> None:
    family = [f"gpt-5.2-codex-{size}" for size in ("nano", "mini", "small", "large", "max")]
    query = preset_query(preset, limit_names("openai", "gpt-5.2", family), 60)
    assert len(query.encode()) < LONGEST_QUERY


@pytest.mark.parametrize(("window", "steps"), [(10, "[10s:1s]"), (60, "[60s:5s]")])
def test_the_search_for_the_newest_sample_covers_the_window(window: int, steps: str) -> None:
    assert steps in preset_query(UsagePreset.KONG, LIMIT, window)


@pytest.mark.parametrize(
    ("provider", "model", "name", "counts"),
    [
        ("openai", "gpt-5.2", "gpt-5.2", True),
        ("openai", "gpt-5.2", "gpt-5.2-2025-12-11", True),
        ("openai", "gpt-5.2-2025-12-11", "gpt-5.2", True),
        ("openai", "gpt-5.2-2025-12-11", "gpt-5.2-2026-01-31", True),
        ("anthropic", "claude-sonnet-4-5", "claude-sonnet-4-5-20250929", True),
        ("openai", "gpt-4o", "gpt-4o-latest", True),
        ("openai", "gpt-5.2", "gpt-5x2", False),
        ("openai", "gpt-5.2", "gpt-5.2-mini", False),
        ("openai", "gpt-5.2", "gpt-5.2-mini-2025-12-11", False),
        ("openai", "gpt-5.2-mini", "gpt-5.2", False),
        ("openai", "gpt-5.2", "azure/gpt-5.2", False),
        ("gemini", "gemini-2.5-flash", "models/gemini-2.5-flash", True),
        ("gemini", "models/gemini-2.0-flash", "gemini-2.0-flash-001", True),
        ("gemini", "gemini-2.5-flash", "models/gemini-2.5-flash-lite", False),
        ("openai", "gpt-5.2", "models/gpt-5.2", False),
        ("azure-openai", "gpt-5.2", "gpt-5.2-2025-12-11", False),
        ("azure-openai", "gpt-5.2-2025-12-11", "gpt-5.2-2025-12-11", True),
        ("openai", "a|b", "a", False),
        ("openai", ".*", "gpt-5.2", False),
    ],
)
def test_which_names_count(provider: str, model: str, name: str, *, counts: bool) -> None:
    pattern = models_pattern(limit_names(provider, model))
    assert (re.fullmatch(pattern, name) is not None) == counts


@given(st.text(), st.sampled_from(["", "-2025-12-11", "@20250929", "-latest"]))
def test_a_model_and_its_canonical_name_count(model: str, date: str) -> None:
    pattern = re.compile(models_pattern(limit_names(Provider.OPENAI, model + date)))
    assert pattern.fullmatch(model + date)
    assert pattern.fullmatch(canonical_name(Provider.OPENAI, model + date))


@pytest.mark.parametrize(
    ("text", "literal"),
    [
        ("gpt-5.2", '"gpt-5.2"'),
        ('"} or vector(1) #', r'"\"} or vector(1) #"'),
        ("a\\b", r'"a\\b"'),
        ("a\nb\0", r'"a\U0000000ab\U00000000"'),
        ("모델", '"모델"'),
    ],
)
def test_a_label_value_cannot_leave_its_string(text: str, literal: str) -> None:
    assert string_literal(text) == literal


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_a_literal_means_the_text_it_was_made_of(text: str) -> None:
    literal = string_literal(text)
    assert literal.isprintable()
    # Python reads these few escapes as Go does.
    assert literal[1:-1].replace('\\"', "").count('"') == 0
    assert eval(literal) == text  # noqa: S307 - a literal of our own making
