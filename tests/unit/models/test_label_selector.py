"""Label selectors: against the stand-in's, which the contract suite holds to Kubernetes' own."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanpool.models.label_selector import SelectorError, parse
from scanpool_sandbox.kube.selectors import label_selector

LABELS = {"team": "scan", "stage": "prod", "scan.eco2.io/shard": "a"}


@pytest.mark.parametrize(
    ("text", "selects"),
    [
        ("", True),
        (" ", True),
        ("team=scan", True),
        ("team == scan", True),
        ("team=chat", False),
        ("team!=chat", True),
        ("team!=scan", False),
        ("missing!=chat", True),
        ("missing=", False),
        ("stage in (prod, test)", True),
        ("stage in (test)", False),
        ("stage notin (test,dev)", True),
        ("missing notin (test)", True),
        ("stage notin (prod)", False),
        ("team", True),
        ("missing", False),
        ("!missing", True),
        ("! team", False),
        ("scan.eco2.io/shard=a", True),
        ("team=scan,stage in (prod,test),!missing", True),
        ("team=scan,stage in (dev,test)", False),
    ],
)
def test_what_is_selected(text: str, selects: bool) -> None:
    assert parse(text).selects(LABELS) is selects


@pytest.mark.parametrize(
    "text",
    [
        "a=b=c",
        "team in scan",
        "team in (a,(b))",
        "in (a)",
        "=scan",
        "team=a b",
        ",",
        "a,,b",
        "-a",
        "a=-b",
    ],
)
def test_what_is_no_selector(text: str) -> None:
    with pytest.raises(SelectorError, match="is no requirement on a label"):
        parse(text)


KEYS, VALUES = st.sampled_from(["a", "b", "x.io/c"]), st.sampled_from(["", "1", "two"])
PARTS = st.one_of(
    st.builds("{}{}{}".format, KEYS, st.sampled_from(["=", "==", "!="]), VALUES),
    st.builds(
        lambda key, word, values: f"{key} {word} ({','.join(values)})",
        KEYS, st.sampled_from(["in", "notin"]), st.lists(VALUES, min_size=1, max_size=3),
    ),
    st.builds("{}{}".format, st.sampled_from(["", "!"]), KEYS),
)  # fmt: skip


@given(
    parts=st.lists(PARTS, min_size=1, max_size=4),
    labels=st.dictionaries(KEYS, VALUES),
)
def test_it_selects_what_the_api_server_would(parts: list[str], labels: dict[str, str]) -> None:
    text = ",".join(parts)

    assert parse(text).selects(labels) is label_selector(text)({"metadata": {"labels": labels}})
