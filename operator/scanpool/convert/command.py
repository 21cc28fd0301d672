"""`convert`: files with ScaledObjects in, pools out."""

import argparse
import sys
from enum import IntEnum
from pathlib import Path

from scanpool.convert.documents import Given, UnreadableError, read
from scanpool.convert.notes import Effect, printable
from scanpool.convert.pool import Converted, convert
from scanpool.convert.text import comment, render
from scanpool.models.spec import Mode

STDIN = "-"


class Exit(IntEnum):
    """What the exit code says; 2 is argparse's, for a command that makes no sense."""

    SAME = 0
    """Every ScaledObject has a pool that decides as it does."""
    UNREADABLE = 1
    """A file cannot be used, or holds no ScaledObject."""
    CHANGED = 3
    """Every one has a pool, and some decide otherwise, where CHANGED says so."""
    REFUSED = 4
    """Some have no pool."""


def register(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command; `run(arguments)` carries it out and returns the exit code."""
    parser = commands.add_parser(
        "convert",
        help="turn KEDA's ScaledObjects with RabbitMQ triggers into pools",
        description="Print ScanWorkerPools for the ScaledObjects in files. Comments say what has "
        "no counterpart. Values of Secrets are read to tell protocol and vhost, and never printed.",
        epilog="exit code: 0 the pools decide as the ScaledObjects do; 1 a file cannot be used; "
        "3 a pool decides otherwise where a comment says CHANGED; 4 a ScaledObject has no pool. "
        "See docs/migration.md.",
    )
    parser.add_argument(
        "-f", "--file", action="append", required=True, dest="files", metavar="FILE",
        help="YAML with ScaledObjects, or with the TriggerAuthentications, Secrets, ConfigMaps and "
        "workloads that they name; - is stdin. Can be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--queues", metavar="FILE",
        help="names of the broker's queues, one a line: those that a trigger with useRegex matches "
        "are written down in the place of the expression; - is stdin",
    )  # fmt: skip
    parser.add_argument(
        "--observe", action="store_true",
        help="write mode: Observe into every pool, to look on while KEDA still scales",
    )  # fmt: skip
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Convert, and print the pools to stdout and what is to be known of them to stderr."""
    try:
        given = _given(arguments.files, arguments.queues)
    except (UnreadableError, OSError, UnicodeDecodeError) as error:
        _say(_unread(error))
        return Exit.UNREADABLE
    if not given.scaled_objects and not given.others:
        _say(f"there is no ScaledObject in {', '.join(arguments.files)}")
        return Exit.UNREADABLE
    mode = Mode.OBSERVE if arguments.observe else None
    results = [convert(one, given, mode) for one in given.scaled_objects]
    results += [
        Converted(printable(one), None, (), "it starts Jobs, and a pool scales what runs on")
        for one in given.others
    ]
    sys.stdout.write("---\n".join(map(_document, results)))
    for one in results:
        _report(one)
    return _exit_code(results)


def _given(files: list[str], queues: str | None) -> Given:
    if [*files, queues].count(STDIN) > 1:
        raise UnreadableError("stdin (-) can be read once only")
    names = None
    if queues is not None:
        names = [line.strip() for line in _text(queues).splitlines() if line.strip()]
    return read([(name, _text(name)) for name in files], names)


def _text(name: str) -> str:
    return sys.stdin.read() if name == STDIN else Path(name).read_text("utf-8")


def _unread(error: Exception) -> str:
    if isinstance(error, UnicodeDecodeError):
        return "a file is no UTF-8 text"  # its own words repeat bytes of the file
    return str(error)


def _document(result: Converted) -> str:
    if result.pool is None:
        lines = comment(f"{result.name}: not converted: {result.refusal}.")
        return "".join(f"{line}\n" for line in lines)
    return render(result.pool, result.notes)


def _report(result: Converted) -> None:
    if result.pool is None:
        _say(f"{result.name}: not converted: {result.refusal}")
    for note in result.notes:
        if note.effect is not Effect.NONE:
            place = ".".join(map(str, note.path))
            _say(f"{result.name}: {place}: {note.line}")


def _exit_code(results: list[Converted]) -> int:
    if any(one.pool is None for one in results):
        return Exit.REFUSED
    return Exit.CHANGED if any(one.count(Effect.CHANGED) for one in results) else Exit.SAME


def _say(line: str) -> None:
    sys.stderr.write(f"scanpool: {printable(line)}\n")
