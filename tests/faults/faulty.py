"""The operator with a clock that can be set, and an event loop that can be blocked.

Run it as `python faulty.py run ...`; what is done to it stands in files of a directory.
"""

import os
import signal
import sys
import time
from pathlib import Path

DIRECTORY = "SCANPOOL_TEST_FAULTY"
"""The variable of the environment that names the directory."""


class Switches:
    """What is done to a process that is told of the directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.set_clock(0.0)

    def set_clock(self, seconds: float) -> None:
        """Let its clock be off by so much."""
        self._write("clock", seconds)

    def block(self, pid: int, seconds: float) -> None:
        """Block its event loop; threads go on."""
        self._write("block", seconds)
        os.kill(pid, signal.SIGUSR1)

    def _write(self, name: str, seconds: float) -> None:
        written = self._directory / f"{name}.new"
        written.write_text(str(seconds))
        # At once: it is read at any moment.
        written.replace(self._directory / name)


def main() -> int:
    right, directory = time.time, Path(os.environ[DIRECTORY])

    def shifted() -> float:
        return right() + float((directory / "clock").read_text())

    def blocked(*_: object) -> None:
        # Python calls it in the main thread, which is the event loop's.
        time.sleep(float((directory / "block").read_text()))

    time.time = shifted
    signal.signal(signal.SIGUSR1, blocked)
    # Only now: the operator takes the clock as it finds it.
    from scanpool.cli import main as scanpool  # noqa: PLC0415

    return scanpool(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
