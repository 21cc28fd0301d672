import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanpool.models.spec import UsagePreset
from scanpool.sources.promql import UsageQueries, preset_queries, string_literal


@pytest.mark.parametrize(
    ("preset", "queries"),
    [
        (
            UsagePreset.OTEL_GENAI,
            UsageQueries(
                tokens='sum(rate(gen_ai_client_token_usage_sum{gen_ai_request_model="gpt-5.2",'
                'gen_ai_token_type=~"input|output"}[60s])) * 60',
                requests='sum(rate(gen_ai_client_token_usage_count{gen_ai_request_model="gpt-5.2",'
                'gen_ai_token_type="input"}[60s])) * 60',
            ),
        ),
        (
            UsagePreset.LITELLM,
            UsageQueries(
                tokens='sum(rate(litellm_total_tokens_metric_total{model="gpt-5.2"}[60s])'
                ' or rate(litellm_total_tokens_metric{model="gpt-5.2"}[60s])) * 60',
                requests='sum(rate(litellm_requests_metric_total{model="gpt-5.2"}[60s])) * 60',
            ),
        ),
        (
            UsagePreset.KONG,
            UsageQueries(
                tokens='sum(rate(kong_ai_llm_tokens_total{ai_model="gpt-5.2",'
                'token_type="total_tokens"}[60s])) * 60',
                requests='sum(rate(kong_ai_llm_requests_total{ai_model="gpt-5.2"}[60s])) * 60',
            ),
        ),
    ],
)
def test_what_each_preset_asks(preset: UsagePreset, queries: UsageQueries) -> None:
    assert preset_queries(preset, "gpt-5.2", 60) == queries


def test_every_preset_has_queries() -> None:
    for preset in UsagePreset:
        assert preset_queries(preset, "m", 60).tokens


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
