import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanpool.models.limit_names import LimitNames, canonical_name, limit_names
from scanpool.models.llm import Provider


@pytest.mark.parametrize(
    ("snapshot", "alias"),
    [
        ("gpt-5.2-2025-12-11", "gpt-5.2"),
        ("gpt-4o-mini-2024-07-18", "gpt-4o-mini"),
        ("o1-preview-2024-09-12", "o1-preview"),
        ("gpt-4-0613", "gpt-4"),
        ("gpt-3.5-turbo-16k-0125", "gpt-3.5-turbo-16k"),
        ("gpt-4o-latest", "gpt-4o"),
        ("gpt-5.2-chat-latest", "gpt-5.2-chat"),
        ("claude-sonnet-4-5-20250929", "claude-sonnet-4-5"),
        ("claude-opus-4-20250514", "claude-opus-4"),
        ("claude-opus-4-0", "claude-opus-4"),
        ("claude-3-7-sonnet-latest", "claude-3-7-sonnet"),
        ("claude-sonnet-4-5@20250929", "claude-sonnet-4-5"),
        ("claude-sonnet-4-5@default", "claude-sonnet-4-5"),
        ("gemini-2.0-flash-001", "gemini-2.0-flash"),
        ("gemini-2.5-pro-preview-05-06", "gemini-2.5-pro-preview"),
        ("gemini-2.5-flash-preview-09-2025", "gemini-2.5-flash-preview"),
        ("mistral-large-2411", "mistral-large"),
    ],
)
def test_a_snapshot_has_its_aliass_name(snapshot: str, alias: str) -> None:
    assert canonical_name(Provider.OPENAI, snapshot) == alias
    assert canonical_name(Provider.OPENAI, alias) == alias


@pytest.mark.parametrize(
    "model",
    [
        "gpt-5.2",
        "gpt-5.2-mini",
        "gpt-5.2-codex",
        "gpt-4-32k",
        "gpt-4-0613-preview",
        "claude-opus-4-1",
        "claude-sonnet-4-5",
        "llama-3.1-405b",
        "text-embedding-3-large",
        "embedding-1536",
        "model-1999-12-31x",
        "claude-haiku-10",
        "-latest",
        "latest",
        "",
    ],
)
def test_any_other_name_is_the_models_own(model: str) -> None:
    assert canonical_name(Provider.OPENAI, model) == model


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("models/gemini-2.5-flash", "gemini-2.5-flash"),
        ("models/gemini-2.0-flash-001", "gemini-2.0-flash"),
        ("gemini-2.5-flash", "gemini-2.5-flash"),
        ("tunedModels/scan-1", "tunedModels/scan-1"),
        ("models/", "models/"),
    ],
)
def test_the_place_of_a_model_in_googles_addresses_is_no_part_of_its_name(
    model: str, name: str
) -> None:
    assert canonical_name(Provider.GEMINI, model) == name
    assert canonical_name(Provider.OPENAI, "models/gpt-5.2") == "models/gpt-5.2"


def test_a_deployment_of_azure_has_a_limit_of_its_own() -> None:
    name = "gpt-5.2-2025-12-11"
    assert canonical_name(Provider.AZURE_OPENAI, name) == name
    assert limit_names("azure-openai", name) == LimitNames("azure-openai", (name,))
    assert not limit_names("azure-openai", name).with_snapshots


@pytest.mark.parametrize(
    ("model", "shared_with"),
    [
        ("gpt-5.2", ("gpt-5.2-codex",)),
        ("gpt-5.2-codex", ("gpt-5.2-2025-12-11",)),
        ("gpt-5.2-2025-12-11", ("gpt-5.2-codex-latest", "gpt-5.2", "gpt-5.2-codex")),
    ],
)
def test_a_limit_has_the_same_names_whichever_of_them_a_pool_uses(
    model: str, shared_with: tuple[str, ...]
) -> None:
    names = limit_names(Provider.OPENAI, model, shared_with)
    assert names == LimitNames(Provider.OPENAI, ("gpt-5.2", "gpt-5.2-codex"))
    assert names.with_snapshots


@pytest.mark.parametrize("provider", list(Provider))
def test_only_anthropic_leaves_cache_reads_out_of_its_limit(provider: Provider) -> None:
    assert limit_names(provider, "m").counts_cache_reads == (provider is not Provider.ANTHROPIC)


@given(st.text(), st.sampled_from(["-2025-12-11", "-20250929", "@20250929", "-0613", "-latest"]))
def test_whatever_date_is_added_the_canonical_name_stays(prefix: str, date: str) -> None:
    name = f"{prefix}x"
    assert canonical_name(Provider.OPENAI, name) == name
    assert canonical_name(Provider.OPENAI, name + date) == name
    assert canonical_name(Provider.OPENAI, f"{name}{date}{date}") == name
