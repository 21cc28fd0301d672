"""`scanpool top`: what it reads, when it ends, and what it says where there is nothing to show."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from builders import pool
from kube_stub import Answer, KubeStub, kube_stub, refusal, use_kubeconfig
from scanpool import cli
from scanpool.models.conditions import Reason
from scanpool.models.reading import Available, Reading, Unavailable
from scanpool.top.command import watch

PATH = "/apis/scan.eco2.io/v1alpha1/scanworkerpools"
IN_DEFAULT = "/apis/scan.eco2.io/v1alpha1/namespaces/default/scanworkerpools"
AWAY = Unavailable(Reason.KUBERNETES_UNAVAILABLE, "the Kubernetes API does not answer (X); nothing")
FORBIDDEN = Unavailable(Reason.KUBERNETES_FORBIDDEN, "the Kubernetes API refuses the operator")


def body(name: str = "worker", namespace: str = "scan", **status: Any) -> dict[str, Any]:
    spec = pool().model_dump(mode="json", by_alias=True, exclude_none=True)
    metadata = {"namespace": namespace, "name": name, "uid": "u"}
    return {"metadata": metadata, "spec": spec, "status": status}


@pytest.fixture
def stub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[KubeStub]:
    with kube_stub() as serving:
        use_kubeconfig(monkeypatch, tmp_path, serving.url)
        yield serving


@pytest.mark.parametrize(
    ("options", "path"),
    [
        (["-A"], PATH),
        (["-n", "scan"], PATH.replace("v1alpha1/", "v1alpha1/namespaces/scan/")),
        ([], IN_DEFAULT),
    ],
)
def test_once_is_one_table_of_the_namespaces_asked_for(
    stub: KubeStub, capsys: pytest.CaptureFixture[str], options: list[str], path: str
) -> None:
    stub.gets(path, Answer({"items": [body()]}))

    assert cli.main(["top", "--once", *options]) == 0

    said = capsys.readouterr()
    assert len(said.out.splitlines()) == 2
    assert "worker" in said.out
    assert said.err == ""
    assert len(stub.requests) == 1


def test_without_a_name_the_namespace_of_the_kubeconfig_counts(
    tmp_path: Path, stub: KubeStub, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = use_kubeconfig(monkeypatch, tmp_path, stub.url)
    config = json.loads(path.read_text())
    config["contexts"][0]["context"]["namespace"] = "shop"
    path.write_text(json.dumps(config))

    cli.main(["top", "--once"])

    assert stub.requests[0].path == IN_DEFAULT.replace("default", "shop")


def test_a_pipe_gets_one_table_too_and_all_of_it(
    stub: KubeStub, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the width of the terminal is in which the shell runs."""
    monkeypatch.setenv("COLUMNS", "40")
    name = "w" * 63
    stub.gets(PATH, Answer({"items": [body(name, name)]}))
    assert cli.main(["top", "-A"]) == 0
    said = capsys.readouterr().out
    assert said.split("\n")[1].split()[:2] == [name, name]
    assert all(len(line) < 300 for line in said.splitlines())


@pytest.mark.parametrize(
    ("answer", "code", "words"),
    [
        (Answer({"items": []}), 0, "no pools in namespace default"),
        (refusal(404, "the server could not find the requested resource"), 1, "apply crds/"),
        (refusal(403, "forbidden"), 1, "let you list scanworkerpools.scan.eco2.io in namespace"),
        (refusal(401, "Unauthorized"), 1, "log in again"),
        (refusal(500, "etcd is on fire"), 1, "etcd is on fire"),
        (Answer(b"<html>"), 1, "something else than JSON"),
    ],
    ids=["no pools", "no CRD", "forbidden", "logged out", "broken", "no API server"],
)
def test_what_there_is_to_say_is_one_line(
    stub: KubeStub,
    capsys: pytest.CaptureFixture[str],
    answer: Answer,
    code: int,
    words: str,
) -> None:
    stub.gets(IN_DEFAULT, answer)

    assert cli.main(["top", "--once"]) == code

    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert words in said.err
    assert "operator" not in said.err


def test_an_api_server_that_is_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    use_kubeconfig(monkeypatch, tmp_path, "http://127.0.0.1:1")
    assert cli.main(["top", "--once"]) == 1
    assert "does not answer" in capsys.readouterr().err


@pytest.mark.parametrize("interval", ["0", "0.5", "nan", "inf", "soon", "-1"])
def test_an_interval_that_makes_no_sense(interval: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["top", "--interval", interval])
    assert "_interval" not in capsys.readouterr().err


class StoppedError(Exception):
    """The pause of a test that has seen enough."""


async def looks(*readings: Reading[Any]) -> tuple[list[Any], str]:
    """Watch these readings; return the tables that were shown, and the last words."""
    shown: list[Any] = []
    coming = iter(readings)

    async def read() -> Reading[Any]:
        try:
            return next(coming)
        except StopIteration:
            raise StoppedError from None

    async def pause() -> None:
        """Go on at once."""

    try:
        return shown, await watch(read, None, shown.append, pause)
    except StoppedError:
        return shown, ""


def available(*bodies: dict[str, Any]) -> Available[Any]:
    return Available(bodies, 0.0, "test")


async def test_an_api_server_that_goes_away_is_waited_for() -> None:
    shown, words = await looks(available(body()), AWAY, available(body(), body("other")))
    assert [len(one.rows) for one in shown] == [1, 1, 2]
    assert ["does not answer" in one.caption for one in shown] == [False, True, False]
    assert words == ""


async def test_pools_that_are_not_there_yet_are_waited_for() -> None:
    shown, _ = await looks(available(), available(body()))
    assert "no pools in any namespace" in shown[0].caption
    assert len(shown[1].rows) == 1


@pytest.mark.parametrize(
    ("readings", "words"),
    [
        ([AWAY], "does not answer"),
        ([FORBIDDEN], "in all namespaces"),
        ([available(body()), FORBIDDEN], "in all namespaces"),
    ],
    ids=["never there", "never allowed", "not allowed any more"],
)
async def test_what_waiting_does_not_mend_ends_it(readings: list[Any], words: str) -> None:
    shown, told = await looks(*readings)
    assert len(shown) == len(readings) - 1
    assert words in told
