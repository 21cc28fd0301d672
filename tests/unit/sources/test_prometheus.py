from collections.abc import Mapping

import pytest

from prometheus_stub import NOW, data, labeled, serving, vector
from scanpool.models.conditions import Reason
from scanpool.models.limit_names import limit_names
from scanpool.models.llm import Prometheus
from scanpool.models.observation import KeyUsage, Refusals
from scanpool.models.reading import Available, Reading, Unavailable
from scanpool.sources.prometheus import read_usage
from scanpool.sources.prometheus_session import Credentials

WINDOW_SECONDS = 60
LIMIT = limit_names("openai", "gpt-5.2")


def figures(refused: Mapping[str, object] | None = None, **values: object) -> str:
    """Return the answer to a preset's query; the name "" stands for calls that were answered."""
    result = [{"metric": {"figure": name}, "value": [NOW, str(v)]} for name, v in values.items()]
    for code, value in (refused or {}).items():
        metric = {"figure": "refused"} | ({"error_type": code} if code else {})
        result.append({"metric": metric, "value": [NOW, str(value)]})
    return data(result)


def read(url: str, **config: object) -> Reading[KeyUsage]:
    given = Prometheus.model_validate({"url": url, **config})
    return read_usage(given, LIMIT, WINDOW_SECONDS, Credentials(), clock=lambda: NOW)


@pytest.mark.parametrize(
    ("refused", "limited", "by_code"),
    [
        (vector(), 0.0, {}),
        (vector("0"), 0.0, {}),
        (vector("30"), 30.0, {"429": 30.0}),
        (data([NOW, "30"]), 30.0, {"429": 30.0}),
        (labeled("code", {"rate_limit_exceeded": 30}), 30.0, {"rate_limit_exceeded": 30.0}),
        (labeled("model", {"gpt-5.2": 30}), 30.0, {"429": 30.0}),
        (
            labeled("code", {"503": 2, "rate_limit_exceeded": 30, "insufficient_quota": 7}),
            30.0,
            {"503": 2.0, "insufficient_quota": 7.0, "rate_limit_exceeded": 30.0},
        ),
    ],
)
@pytest.mark.parametrize("preset", [False, True])
def test_what_a_users_query_finds_of_refused_calls(
    refused: str, limited: float, by_code: dict[str, float], *, preset: bool
) -> None:
    whole = figures({"": 9, "429": 99}, tokens=5, sampled_at=NOW) if preset else vector("5")
    config = {"preset": "otel-genai"} if preset else {"query": "tokens"}
    with serving(lambda query: (200, refused if query == "refused" else whole)) as server:
        reading = read(server.url, rateLimitedQuery="refused", **config)
        assert len(server.queries) == 2
    expected = tuple(Refusals(code, value) for code, value in by_code.items())
    assert isinstance(reading, Available)
    assert reading.value == KeyUsage(5.0, rate_limited_per_minute=limited, refusals=expected)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ((400, ""), Reason.PROMETHEUS_QUERY_FAILED),
        ((200, "<html>"), Reason.PROMETHEUS_QUERY_FAILED),
        ((200, vector("NaN")), Reason.USAGE_IMPLAUSIBLE),
        ((200, labeled("code", {"429": "-1"})), Reason.USAGE_IMPLAUSIBLE),
        ((200, vector("1", at=NOW - 121)), Reason.USAGE_IMPLAUSIBLE),
        ((200, labeled("instance", {"a": 1, "b": 2})), Reason.USAGE_IMPLAUSIBLE),
        ((200, data("429")), Reason.USAGE_IMPLAUSIBLE),
    ],
)
def test_a_query_for_refused_calls_that_fails_is_not_zero(
    answer: tuple[int, str], reason: Reason
) -> None:
    with serving(lambda query: answer if query == "refused" else (200, vector("5"))) as server:
        reading = read(server.url, query="tokens", rateLimitedQuery="refused")
    assert isinstance(reading, Unavailable)
    assert reading.reason is reason


def by_preset(body: str, preset: str = "otel-genai", **config: object) -> Reading[KeyUsage]:
    with serving(lambda _: (200, body)) as server:
        reading = read(server.url, preset=preset, **config)
        assert len(server.queries) == 1
    return reading


@pytest.mark.parametrize(
    ("answer", "usage"),
    [
        ({"tokens": 4_500}, KeyUsage(4_500.0)),
        ({"tokens": 4_500, "requests": 3}, KeyUsage(4_500.0, 3.0)),
        (
            {"tokens": 4_500, "requests": 3, "output_tokens": 500},
            KeyUsage(4_500.0, 3.0, output_tokens_per_minute=500.0),
        ),
        # Calls are counted, and none was refused.
        ({"tokens": 1, "refused": {"": 3}}, KeyUsage(1.0, rate_limited_per_minute=0.0)),
        (
            {"tokens": 1, "refused": {"rate_limit_exceeded": 0}},
            KeyUsage(1.0, rate_limited_per_minute=0.0),
        ),
        (
            {
                "tokens": 1,
                "refused": {
                    "": 3,
                    "server_error": 1,
                    "RateLimitError": 2,
                    "rate_limit_exceeded": 4,
                    "insufficient_quota": 8,
                    "slow_down": 16,
                },
            },
            KeyUsage(
                1.0,
                rate_limited_per_minute=6.0,
                refusals=(
                    Refusals("RateLimitError", 2.0),
                    Refusals("insufficient_quota", 8.0),
                    Refusals("rate_limit_exceeded", 4.0),
                    Refusals("server_error", 1.0),
                    Refusals("slow_down", 16.0),
                ),
            ),
        ),
    ],
)
def test_a_preset_reads_all_figures_at_once(answer: dict[str, object], usage: KeyUsage) -> None:
    reading = by_preset(figures(**answer, sampled_at=NOW))
    assert reading == Available(usage, NOW, "prometheus")


@pytest.mark.parametrize(
    ("sampled_at", "at"),
    [
        (NOW - 15, NOW - 15),
        (NOW - 120, NOW - 120),
        (NOW + 5, NOW),
        # Somewhere within the window, or there would be no rate.
        (None, NOW - 60),
    ],
)
def test_a_preset_is_as_old_as_its_newest_sample(sampled_at: float | None, at: float) -> None:
    given = {} if sampled_at is None else {"sampled_at": sampled_at}
    assert by_preset(figures(tokens=1, **given)) == Available(KeyUsage(1.0), at, "prometheus")


@pytest.mark.parametrize(
    ("answer", "reason", "words"),
    [
        ({}, Reason.USAGE_NOT_FOUND, "there are no series"),
        ({"refused": {"429": 1}}, Reason.USAGE_NOT_FOUND, "there are no series"),
        ({"sampled_at": NOW - 7}, Reason.USAGE_NOT_FOUND, "the newest is 7 s old"),
        ({"sampled_at": NOW - 121}, Reason.USAGE_IMPLAUSIBLE, "stale: their newest sample is 121"),
        ({"tokens": 1, "sampled_at": NOW - 121}, Reason.USAGE_IMPLAUSIBLE, "stale"),
        *(
            ({"tokens": 1, "sampled_at": NOW} | broken, Reason.USAGE_IMPLAUSIBLE, words)
            for broken, words in (
                ({"tokens": "NaN"}, "nan (figure=tokens)"),
                ({"requests": "-1"}, "-1 (figure=requests)"),
                ({"output_tokens": "+Inf"}, "inf (figure=output_tokens)"),
                ({"sampled_at": "NaN"}, "nan"),
                ({"refused": {"a": "NaN"}}, "nan"),
                ({"refused": {"": "NaN"}}, "nan"),
            )
        ),
    ],
)
def test_a_preset_without_fresh_use_is_unavailable(
    answer: dict[str, object], reason: Reason, words: str
) -> None:
    reading = by_preset(figures(**answer))
    assert isinstance(reading, Unavailable)
    assert reading.reason is reason
    assert words in reading.message
    assert len(reading.message) < 600


@pytest.mark.parametrize(
    "result",
    [
        [{"metric": {"figure": "tokens"}, "value": [NOW, "1"]}] * 2,
        [{"metric": {}, "value": [NOW, "1"]}],
        [NOW, "1"],
    ],
)
def test_an_answer_to_another_question_is_implausible(result: object) -> None:
    reading = by_preset(data(result))
    assert isinstance(reading, Unavailable)
    assert reading.reason is Reason.USAGE_IMPLAUSIBLE


OWN = {"preset": "otel-genai", "ownLabels": [{"name": "job", "value": "scan"}]}
WHOLE = figures({"": 1, "429": 3}, tokens=9, requests=5, output_tokens=4, sampled_at=NOW - 1)


@pytest.mark.parametrize(
    ("whole", "own", "expected"),
    [
        (WHOLE, figures({"": 1, "429": 2, "insufficient_quota": 1, "500": 9},
                        tokens=6, requests=3, output_tokens=2, sampled_at=NOW - 30),
         (6.0, 3.0, 2.0, 3.0)),
        # It has made no call yet.
        (WHOLE, vector(), (0.0, 0.0, 0.0, 0.0)),
        # All its calls were refused, from the first.
        (WHOLE, figures({"429": 2}), (0.0, 0.0, 0.0, 2.0)),
        # What is counted without these labels is not known for it.
        (WHOLE, figures(tokens=6), (6.0, None, None, None)),
        # Nor is what is not counted for all.
        (figures(tokens=9, sampled_at=NOW - 1), figures(tokens=6), (6.0, None, None, None)),
    ],
)  # fmt: skip
def test_the_pools_part_is_what_has_its_labels(
    whole: str, own: str, expected: tuple[float | None, ...]
) -> None:
    with serving(lambda q: (200, own if 'job="scan"' in q else whole)) as server:
        reading = read(server.url, **OWN)
        assert len(server.queries) == 2
    assert isinstance(reading, Available)
    use = reading.value
    assert reading.at == NOW - 1
    assert use.tokens_per_minute == 9.0
    assert expected == (
        use.own_tokens_per_minute,
        use.own_requests_per_minute,
        use.own_output_tokens_per_minute,
        use.own_refused_per_minute,
    )


@pytest.mark.parametrize("answer", [(503, ""), (200, figures(tokens="NaN"))])
def test_a_part_that_cannot_be_read_is_not_zero(answer: tuple[int, str]) -> None:
    with serving(lambda q: answer if 'job="scan"' in q else (200, WHOLE)) as server:
        assert isinstance(read(server.url, **OWN), Unavailable)


def test_without_own_labels_the_pools_part_is_unknown() -> None:
    reading = by_preset(WHOLE)
    assert isinstance(reading, Available)
    assert reading.value.own_tokens_per_minute is None
    assert reading.value.own_refused_per_minute is None
