"""How a pod's worker is stopped, and how it ended, as Kubernetes' objects tell it. Pure.

The worker is the container that kubectl takes by default: the one that the pod's annotation names,
else the first.

SIGTERM goes to a container's first process only. Where that is a shell it does not reach the
worker: a shell hands no signal on, and as process 1 it ignores SIGTERM unless it traps it. Some
shells give way to the last command of `-c` by themselves (measured: bash 5.2 does, unless that
command is redirected, piped, or followed by another; dash 0.5.12, which is the sh of Debian and
Ubuntu, never does).
"""

import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from scanpool.models.stopping import DEFAULT_GRACE_SECONDS, Ended, Stopping
from scanpool.models.units import epoch

Json = Mapping[str, Any]

DEFAULT_CONTAINER = "kubectl.kubernetes.io/default-container"
# Those that are never known to give way, and those that do in the plain case.
STAYING, GIVING_WAY = frozenset({"sh", "dash", "ash"}), frozenset({"bash", "zsh", "ksh"})
# With these the shell is gone before the worker runs, or hands signals on as its author wants.
SEES_TO_IT = frozenset({"exec", "trap"})
# What even a shell that gives way stays for.
PLAIN = frozenset({";", "&&"})
COMPOUND = frozenset({"done", "fi", "esac", "}", "wait", "true", ":"})
COMMAND_OPTION = re.compile(r"-[A-Za-z]*c")
TAKES_A_VALUE = re.compile(r"[-+][A-Za-z]*[oO]")
SLEEP = re.compile(r"(?:\S*/)?sleep (\d+)s?")
KILLED = 137
OOM_KILLED = "OOMKilled"
# Times of the API are whole seconds: what ended in the second before the deadline may have met it.
ROUNDING_SECONDS = 1.0


def stopping(pod: Json) -> Stopping:
    """Return how the worker of a pod, or of a pod template, is stopped."""
    spec = pod["spec"]
    grace = spec.get("terminationGracePeriodSeconds")
    worker = _worker(pod)
    before = (worker.get("lifecycle") or {}).get("preStop") or {}
    slept = _slept(before)
    argv = [*(worker.get("command") or ()), *(worker.get("args") or ())]
    is_known = bool(worker.get("command")) and (not before or slept is not None)
    return Stopping(
        grace_seconds=DEFAULT_GRACE_SECONDS if grace is None else grace,
        slept_seconds=slept or 0.0,
        container=worker.get("name", ""),
        # What an image starts is not told, nor what a preStop does.
        shell=_shell(argv) if is_known else None,
    )


def ended(pod: Json) -> Ended | None:
    """Return how a pod ended that was told to go; None for one that has not, or in another way.

    A pod that was given less than its grace, by hand or by its node, says nothing of it.
    """
    metadata = pod["metadata"]
    if "deletionTimestamp" not in metadata:
        return None
    how = stopping(pod)
    state = next(
        (
            one.get("state", {}).get("terminated")
            for one in pod.get("status", {}).get("containerStatuses") or ()
            if one["name"] == how.container
        ),
        None,
    )
    if not state or not state.get("finishedAt") or state.get("reason") == OOM_KILLED:
        return None
    # When the last request for its deletion is carried out, both are changed together.
    told_at = epoch(metadata["deletionTimestamp"]) - metadata.get("deletionGracePeriodSeconds", 0)
    at = epoch(state["finishedAt"])
    was_killed = state["exitCode"] == KILLED
    is_early = at < told_at + how.grace_seconds - ROUNDING_SECONDS
    if at < told_at or (was_killed and is_early):
        return None
    return Ended(metadata["name"], at, was_killed, how)


def _worker(pod: Json) -> Json:
    containers: Sequence[Json] = pod["spec"].get("containers") or ({},)
    annotations = pod.get("metadata", {}).get("annotations") or {}
    named = annotations.get(DEFAULT_CONTAINER)
    return next((one for one in containers if one.get("name") == named), containers[0])


def _slept(hook: Json) -> float | None:
    """Return the seconds that a preStop only sleeps; None for one that does anything else."""
    if "sleep" in hook:
        return float(hook["sleep"]["seconds"])
    command: Sequence[str] = (hook.get("exec") or {}).get("command") or []
    found = SLEEP.fullmatch(command[-1] if _is_shell(command) else " ".join(command))
    return None if found is None else float(found[1])


def _is_shell(argv: Sequence[str]) -> bool:
    return bool(argv) and PurePosixPath(argv[0]).name in STAYING | GIVING_WAY


def _shell(argv: Sequence[str]) -> str | None:
    """Return the shell that stays in front of what a command line starts; None if none is known to.

    One that reads a file may give way in it, and what another program starts is its own matter.
    """
    words = list(argv)
    if words and PurePosixPath(words[0]).name == "env":
        words = words[1:]
    if not _is_shell(words):
        return None
    name, script = PurePosixPath(words[0]).name, _script(words[1:])
    if script is None:
        return None
    try:
        lexer = shlex.shlex(script, posix=True, punctuation_chars=True)
        tokens = list(lexer)
    except ValueError:
        return None
    if not tokens or SEES_TO_IT & set(tokens):
        return None
    return name if name in STAYING or _stays(tokens) else None


def _script(words: Sequence[str]) -> str | None:
    """Return what a shell is given with -c."""
    is_command, is_value = False, False
    for word in words:
        if is_value:
            is_value = False
        elif word[:1] in ("-", "+"):
            is_value = TAKES_A_VALUE.fullmatch(word) is not None
            is_command = is_command or COMMAND_OPTION.match(word) is not None
        else:
            return word if is_command else None
    return None


def _stays(tokens: Sequence[str]) -> bool:
    """Tell whether a shell that gives way to its last command cannot here."""
    operators = {one for one in tokens if not set(one) - set("();<>|&")}
    return bool(operators - PLAIN) or tokens[-1] in COMPOUND
