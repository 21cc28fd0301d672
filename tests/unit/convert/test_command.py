"""`scanpool convert` as it is typed: files in, pools out, and the exit code."""

import io
from pathlib import Path

import pytest
import yaml

from keda_shapes import HTTP_URL, SHAPES, Json, authentication, depth, scaled_object, secret
from scanpool import cli

PLAIN = depth("orders", "10", protocol="http")
CHANGED = depth("orders", "12.5", protocol="http")


def write(directory: Path, name: str, *objects: Json) -> str:
    path = directory / name
    path.write_text(yaml.safe_dump_all(objects))
    return str(path)


@pytest.mark.parametrize(
    ("objects", "code", "kinds"),
    [
        ((scaled_object(PLAIN),), 0, ["ScanWorkerPool"]),
        ((scaled_object(CHANGED),), 3, ["ScanWorkerPool"]),
        ((scaled_object({"type": "cpu"}),), 4, []),
        ((scaled_object(PLAIN), {"kind": "ScaledJob", "metadata": {"name": "j"}}), 4,
         ["ScanWorkerPool"]),
    ],
    ids=["the same", "changed", "refused", "a ScaledJob beside"],
)  # fmt: skip
def test_the_exit_code_says_what_came_of_it(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    objects: tuple[Json, ...],
    code: int,
    kinds: list[str],
) -> None:
    files = [
        write(tmp_path, "so.yaml", *objects),
        write(tmp_path, "a.yaml", authentication("host")),
    ]

    assert cli.main(["convert", "-f", files[0], "-f", files[1]]) == code

    said = capsys.readouterr()
    printed = [one for one in yaml.safe_load_all(said.out) if one is not None]
    assert [one["kind"] for one in printed] == kinds
    assert (said.err == "") == (code == 0)
    if code == 4:
        assert "not converted" in said.err
        assert "not converted" in said.out


def test_a_refusal_names_other_kinds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["convert", "-f", write(tmp_path, "so.yaml", scaled_object({"type": "cpu"}))])
    assert '"cpu"' in capsys.readouterr().err


def test_observe_is_written_into_every_pool(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write(tmp_path, "so.yaml", scaled_object(PLAIN), authentication("host"))
    assert cli.main(["convert", "--observe", "-f", file]) == 0
    assert yaml.safe_load(capsys.readouterr().out)["spec"]["mode"] == "Observe"


def test_stdin_is_a_file(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = yaml.safe_dump_all([scaled_object(PLAIN), authentication("host")])
    monkeypatch.setattr("sys.stdin", io.StringIO(text))
    assert cli.main(["convert", "-f", "-"]) == 0
    assert yaml.safe_load(capsys.readouterr().out)["kind"] == "ScanWorkerPool"


def test_names_of_queues_come_from_a_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    expression = depth("orders", "10", protocol="http", useRegex="true", operation="max")
    file = write(tmp_path, "so.yaml", scaled_object(expression), authentication("host"))
    names = tmp_path / "names"
    names.write_text("orders.new\nother\n\n")

    assert cli.main(["convert", "-f", file, "--queues", str(names)]) == 3

    (queue,) = yaml.safe_load(capsys.readouterr().out)["spec"]["rabbitmq"]["queues"]
    assert queue["name"] == "orders.new"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (f"host: {HTTP_URL}\n  bad: [", "line 2"),
        (HTTP_URL, "no Kubernetes object"),
        ("", "no ScaledObject"),
        (yaml.safe_dump(secret(host=HTTP_URL)), "no ScaledObject"),
        ("kind: ScaledObject\nmetadata: {name: a}\nspec: {}", "spec.triggers"),
        (f"kind: ScaledObject\nmetadata: {{name: a}}\nspec: {{triggers: {HTTP_URL}}}", "triggers"),
        (b"\xff" + HTTP_URL.encode(), "UTF-8"),
    ],
    ids=["no YAML", "a string", "empty", "a Secret only", "no spec", "no triggers", "no text"],
)
def test_what_cannot_be_used_is_one_line_that_repeats_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str | bytes, words: str
) -> None:
    path = tmp_path / "so.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())

    assert cli.main(["convert", "-f", str(path)]) == 1

    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert words in said.err
    assert "hidden" not in said.err


def test_a_file_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["convert", "-f", "nowhere.yaml"]) == 1
    assert "nowhere.yaml" in capsys.readouterr().err


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
def test_no_shape_changes_and_none_tells_a_secret(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], shape: object
) -> None:
    path = tmp_path / "so.yaml"
    path.write_text(shape.text)  # type: ignore[attr-defined]

    assert cli.main(["convert", "-f", str(path)]) == 0

    said = capsys.readouterr()
    assert "hidden" not in said.out + said.err
