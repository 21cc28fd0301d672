"""What a request may say about how it writes."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class WriteOptions:
    """The query parameters of a write.

    `warnings` collects what the response tells in Warning headers.
    """

    dry_run: bool = False
    field_manager: str = "kube-controller-manager"
    field_validation: str = "Warn"
    force: bool = False
    warnings: list[str] = field(default_factory=list)
