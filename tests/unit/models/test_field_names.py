import pytest

from scanpool.models.field_names import of_limit
from scanpool.models.llm import ONLY


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("set llm.tokensPerMinute", "set llms[gpt].tokensPerMinute"),
        (
            "correct llm.apiKeySecretRef, or llm.provider and llm.baseUrl",
            "correct llms[gpt].apiKeySecretRef, or llms[gpt].provider and llms[gpt].baseUrl",
        ),
        ("(llm.usage.prometheus)", "(llms[gpt].usage.prometheus)"),
        ("of llm.apiKeySecretRefs: none", "of llms[gpt].apiKeySecretRefs: none"),
        ("", ""),
        # Neither hosts and names that only look so, nor what is told already.
        ("http://llm.model:80 refuses connections", "http://llm.model:80 refuses connections"),
        ("the host llm.example is not known", "the host llm.example is not known"),
        ("my-llm.model and a.llm.model", "my-llm.model and a.llm.model"),
        ("llm.modelling", "llm.modelling"),
        ("set llms[other].model", "set llms[other].model"),
    ],
)
def test_fields_are_named_as_the_spec_has_them(message: str, expected: str) -> None:
    assert of_limit(message, "gpt") == expected
    assert of_limit(message, ONLY) == message
