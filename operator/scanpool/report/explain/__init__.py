"""A pool's status in words: which number decided, and what would lift the limit."""

from scanpool.report.explain.text import explain

__all__ = ["explain"]
