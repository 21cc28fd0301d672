"""What the API calls a pool, and which release this is."""

from importlib.metadata import version

GROUP = "scan.eco2.io"
VERSION = "v1alpha1"
KIND = "ScanWorkerPool"
PLURAL = "scanworkerpools"
SHORT_NAMES = ("swp", "scanpool")

# The version in pyproject.toml, as it was installed.
RELEASE = version("scanpool")
