"""The pools in a terminal, as they change."""
