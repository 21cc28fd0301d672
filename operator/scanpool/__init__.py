"""scanpool: scale workers on queue depth, capped by the LLM provider's limit and by memory."""
