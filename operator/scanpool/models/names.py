"""What the API calls a pool."""

GROUP = "scan.eco2.io"
VERSION = "v1alpha1"
KIND = "ScanWorkerPool"
PLURAL = "scanworkerpools"
SHORT_NAMES = ("swp", "scanpool")
