"""Local processes that cannot outlive the emulator, and what they use."""

from __future__ import annotations

import asyncio
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import signal
    from collections.abc import Mapping, Sequence

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
_UTIME_FIELD, _STIME_FIELD, _RSS_FIELD = 11, 12, 21
"""Positions in /proc/PID/stat, counted after the command's closing parenthesis."""


@dataclass(frozen=True)
class Usage:
    """What a container uses: resident memory now, and CPU time since it started."""

    memory_bytes: int
    cpu_seconds: float


async def spawn(
    argv: Sequence[str], environment: Mapping[str, str], directory: Path, log: Path
) -> asyncio.subprocess.Process:
    """Start a program in its own process group, its output appended to `log`.

    setpriv (util-linux) makes the kernel kill it when this process dies, however it dies.
    """
    guard = shutil.which("setpriv")
    guarded = [guard, "--pdeathsig", "KILL", "--", *argv] if guard else list(argv)
    with log.open("ab") as output:
        return await asyncio.create_subprocess_exec(
            *guarded,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=dict(environment),
            cwd=directory,
            start_new_session=True,
        )


def signal_group(pid: int, number: signal.Signals) -> None:
    """Send a signal to a process and all it started; it may be gone already."""
    try:
        os.killpg(pid, number)
    except ProcessLookupError:
        return


def _tree(pid: int) -> list[int]:
    found, at = [pid], 0
    while at < len(found):
        try:
            text = Path(f"/proc/{found[at]}/task/{found[at]}/children").read_text("ascii")
        except OSError:
            text = ""
        found.extend(map(int, text.split()))
        at += 1
    return found


def usage_of(pid: int) -> Usage:
    """Sum resident memory and CPU time over a process and its descendants."""
    memory, ticks = 0, 0
    for member in _tree(pid):
        try:
            stat = Path(f"/proc/{member}/stat").read_text("utf-8", errors="replace")
        except OSError:
            continue
        fields = stat.rpartition(")")[2].split()
        memory += int(fields[_RSS_FIELD]) * _PAGE_BYTES
        ticks += int(fields[_UTIME_FIELD]) + int(fields[_STIME_FIELD])
    return Usage(memory, ticks / _TICKS_PER_SECOND)
