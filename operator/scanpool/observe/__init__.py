"""All that is read for a tick."""
