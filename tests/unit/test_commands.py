"""Every command of the documents has somebody who runs it, or a reason why nobody can here."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from documented import NEEDS, OFFLINE, RUN_BY, commands, run_by, whose
from documents import ROOT


def functions_of(path: str) -> set[str]:
    """The names of a file's functions."""
    tree = ast.parse((ROOT / path).read_text())
    return {
        each.name
        for each in ast.walk(tree)
        if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)
    }


@pytest.mark.parametrize("command", commands())
def test_somebody_runs_it_or_it_is_said_what_it_would_take(command: str) -> None:
    assert whose(command), (
        f"{command!r} is new: name the test that runs it in tests/documented.py, or what it needs"
    )


def test_enough_commands_are_found() -> None:
    assert len(commands()) > 80
    assert sum(whose(one).startswith("tests/") for one in commands()) > 50


@pytest.mark.parametrize("test", sorted(set(RUN_BY.values())))
def test_who_runs_it_is_there(test: str) -> None:
    path, _, name = test.partition("::")
    assert name in functions_of(path)


@pytest.mark.parametrize("expression", [*RUN_BY, *NEEDS])
def test_no_row_is_about_a_command_that_is_gone(expression: str) -> None:
    assert [one for one in commands() if re.fullmatch(expression, one)]


@pytest.mark.parametrize("command", run_by(OFFLINE))
def test_what_needs_no_cluster_runs(command: str) -> None:
    program, *words = command.split()
    done = subprocess.run(
        [Path(sys.executable).parent / program, *words],
        env={"PATH": "", "LANG": "C.UTF-8"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout
