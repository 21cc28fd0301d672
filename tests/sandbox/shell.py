"""A command as a document shows it, and as a person types it."""

import os
import subprocess
import sys
from pathlib import Path

COMMAND_SECONDS = 180


def shell(line: str, kubeconfig: Path, directory: Path, **environment: str) -> str:
    """Return what a command prints in a directory; it must succeed."""
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", line],
        cwd=directory,
        env={
            **os.environ,
            **environment,
            "KUBECONFIG": str(kubeconfig),
            "HOME": str(directory),
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        },
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=COMMAND_SECONDS,
        check=False,
    )
    assert done.returncode == 0, f"{line}: {done.stdout}"
    return done.stdout
