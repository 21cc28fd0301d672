"""An operator that cannot start says why, and ends: who runs it starts it again."""

import os
import subprocess
import sys
from pathlib import Path

# Python and the libraries take seconds to load on a busy machine.
END_SECONDS = 60


def test_without_a_cluster_it_ends_and_says_what_to_set(tmp_path: Path) -> None:
    away = {"KUBECONFIG": str(tmp_path / "none"), "HOME": str(tmp_path)}
    kept = {name: text for name, text in os.environ.items() if not name.startswith("KUBERNETES_")}

    done = subprocess.run(
        [
            sys.executable, "-m", "scanpool", "run", "--host", "127.0.0.1",
            "--health-port", "0", "--metrics-port", "0",
        ],
        env={**kept, **away}, stdin=subprocess.DEVNULL, capture_output=True, text=True,
        timeout=END_SECONDS, check=False,
    )  # fmt: skip

    assert done.returncode != 0
    assert "no Kubernetes cluster is configured" in done.stderr
    assert "Duplicated timeseries" not in done.stderr
