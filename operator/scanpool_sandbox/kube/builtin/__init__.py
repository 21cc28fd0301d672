"""What the API server knows about its own kinds: defaults, validation and columns."""
