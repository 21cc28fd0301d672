"""Pauses are read as KEDA's annotations are, and one that cannot be read pauses."""

import pytest

from scanpool.models.fields import MOST_REPLICAS
from scanpool.models.pause import NO_PAUSE, Pause, Paused

GROUP = "scan.eco2.io"


def read(**annotations: str) -> Pause:
    return Pause.from_annotations(
        {f"{GROUP}/{name.replace('_', '-')}": value for name, value in annotations.items()}
    )


@pytest.mark.parametrize(
    ("annotations", "kind", "replicas"),
    [
        ({}, Paused.NONE, None),
        ({"paused": "true"}, Paused.BOTH, None),
        ({"paused": "1"}, Paused.BOTH, None),
        ({"paused": "false"}, Paused.NONE, None),
        ({"paused": "F"}, Paused.NONE, None),
        ({"paused_scale_in": "true"}, Paused.IN, None),
        ({"paused_scale_out": "True"}, Paused.OUT, None),
        ({"paused_scale_in": "true", "paused_scale_out": "true"}, Paused.BOTH, None),
        ({"paused_scale_in": "true", "paused": "true"}, Paused.BOTH, None),
        ({"paused_scale_in": "false", "paused_scale_out": "true"}, Paused.OUT, None),
        ({"paused_replicas": "0"}, Paused.AT_REPLICAS, 0),
        ({"paused_replicas": "4", "paused_scale_in": "true"}, Paused.AT_REPLICAS, 4),
        ({"paused_replicas": str(MOST_REPLICAS)}, Paused.AT_REPLICAS, MOST_REPLICAS),
    ],
)
def test_annotations_are_keda_s(
    annotations: dict[str, str], kind: Paused, replicas: int | None
) -> None:
    pause = read(**annotations)
    assert (pause.kind, pause.replicas, pause.trouble) == (kind, replicas, "")
    assert (pause == NO_PAUSE) == (kind is Paused.NONE)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("paused", "yes"),
        ("paused", ""),
        ("paused_scale_in", " true"),
        ("paused_scale_out", "{{ .Values.paused }}"),
        ("paused_replicas", "two"),
        ("paused_replicas", "-1"),
        ("paused_replicas", "2.0"),
        ("paused_replicas", "\N{SUPERSCRIPT TWO}"),
        ("paused_replicas", str(MOST_REPLICAS + 1)),
        ("paused_replicas", "9" * 10_000),
        ("paused", "\x1b[2J" + "x" * 10_000),
    ],
)
def test_what_cannot_be_read_pauses_and_says_so(name: str, value: str) -> None:
    pause = read(**{name: value})
    assert pause.kind is Paused.BOTH
    assert f"{GROUP}/{name.replace('_', '-')}" in pause.trouble
    assert pause.trouble.isprintable()
    assert len(pause.trouble) < 250


def test_a_number_beside_what_cannot_be_read_changes_nothing() -> None:
    pause = read(paused_replicas="3", paused="maybe")
    assert (pause.kind, pause.replicas) == (Paused.BOTH, None)


def test_others_annotations_are_not_read() -> None:
    told = {"autoscaling.keda.sh/paused": "true", f"{GROUP}/paused-by": "me"}
    assert Pause.from_annotations(told) == NO_PAUSE
