"""Moved to `scanpool.models.billing`, where `decide` may see it too: import it from there."""

from scanpool.models.billing import is_billing

__all__ = ["is_billing"]
