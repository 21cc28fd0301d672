import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanpool.models.llm import Label, UsagePreset
from scanpool.sources.promql import preset_query, string_literal

OTEL_GENAI = """
label_replace(sum(
  rate(gen_ai_client_token_usage_sum{MODEL,gen_ai_token_type=~"input|output"}[60s])
) * 60, "figure", "tokens", "figure", "")
or label_replace(sum(
  rate(gen_ai_client_token_usage_sum{MODEL,gen_ai_token_type="output"}[60s])
) * 60, "figure", "output_tokens", "figure", "")
or label_replace(sum(
  rate(gen_ai_client_token_usage_count{MODEL,gen_ai_token_type="input"}[60s])
) * 60, "figure", "requests", "figure", "")
or label_replace(max(
  timestamp(gen_ai_client_token_usage_sum{MODEL,gen_ai_token_type=~"input|output"})
  or max_over_time(
    timestamp(gen_ai_client_token_usage_sum{MODEL,gen_ai_token_type=~"input|output"})[60s:5s]
  )
), "figure", "sampled_at", "figure", "")
or label_replace(sum by (error_type) (
  rate(gen_ai_client_operation_duration_seconds_count{MODEL}[60s])
  or rate(gen_ai_client_operation_duration_count{MODEL}[60s])
) * 60, "figure", "refused", "figure", "")
"""

LITELLM = """
label_replace(sum(
  rate(litellm_total_tokens_metric_total{MODEL}[60s])
  or rate(litellm_total_tokens_metric{MODEL}[60s])
) * 60, "figure", "tokens", "figure", "")
or label_replace(sum(
  rate(litellm_output_tokens_metric_total{MODEL}[60s])
  or rate(litellm_output_tokens_metric{MODEL}[60s])
) * 60, "figure", "output_tokens", "figure", "")
or label_replace(sum(
  rate(litellm_requests_metric_total{MODEL}[60s])
) * 60, "figure", "requests", "figure", "")
or label_replace(max(
  timestamp(litellm_total_tokens_metric_total{MODEL})
  or timestamp(litellm_total_tokens_metric{MODEL})
  or max_over_time(timestamp(litellm_total_tokens_metric_total{MODEL})[60s:5s])
  or max_over_time(timestamp(litellm_total_tokens_metric{MODEL})[60s:5s])
), "figure", "sampled_at", "figure", "")
or label_replace(sum by (exception_status) (
  rate(litellm_deployment_failure_responses_total{litellm_model_name="gpt-5.2"}[60s])
  or rate(litellm_deployment_failure_responses{litellm_model_name="gpt-5.2"}[60s])
  or rate(litellm_deployment_success_responses_total{litellm_model_name="gpt-5.2"}[60s])
  or rate(litellm_deployment_success_responses{litellm_model_name="gpt-5.2"}[60s])
) * 60, "figure", "refused", "figure", "")
"""

KONG = """
label_replace(sum(
  rate(kong_ai_llm_tokens_total{MODEL,token_type="total_tokens"}[60s])
) * 60, "figure", "tokens", "figure", "")
or label_replace(sum(
  rate(kong_ai_llm_tokens_total{MODEL,token_type="completion_tokens"}[60s])
) * 60, "figure", "output_tokens", "figure", "")
or label_replace(sum(
  rate(kong_ai_llm_requests_total{MODEL}[60s])
) * 60, "figure", "requests", "figure", "")
or label_replace(max(
  timestamp(kong_ai_llm_tokens_total{MODEL,token_type="total_tokens"})
  or max_over_time(
    timestamp(kong_ai_llm_tokens_total{MODEL,token_type="total_tokens"})[60s:5s]
  )
), "figure", "sampled_at", "figure", "")
"""


@pytest.mark.parametrize(
    ("preset", "model_label", "query"),
    [
        ("otel-genai", "gen_ai_request_model", OTEL_GENAI),
        ("litellm", "model", LITELLM),
        ("kong", "ai_model", KONG),
    ],
)
def test_what_each_preset_asks(preset: str, model_label: str, query: str) -> None:
    expected = query.replace("MODEL", f'{model_label}="gpt-5.2"')
    asked = preset_query(UsagePreset(preset), "gpt-5.2", 60)
    # Only the lines are broken differently.
    assert "".join(asked.split()) == "".join(expected.split())


def test_kong_counts_no_refused_calls_of_a_model() -> None:
    assert "refused" not in preset_query(UsagePreset.KONG, "gpt-5.2", 60)


@pytest.mark.parametrize("preset", list(UsagePreset))
def test_every_selector_has_the_model_and_the_labels(preset: UsagePreset) -> None:
    labels = (Label(name="job", value='scan"}'), Label(name="ns", value="a"))
    query = preset_query(preset, "m", 60, labels)
    assert query.count("{") == query.count('="m",job="scan\\"}",ns="a"')
    assert query.count("{") >= len(["tokens", "output", "requests", "sampled_at"])


@pytest.mark.parametrize(("window", "steps"), [(10, "[10s:1s]"), (60, "[60s:5s]")])
def test_the_search_for_the_newest_sample_covers_the_window(window: int, steps: str) -> None:
    assert steps in preset_query(UsagePreset.KONG, "m", window)


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
