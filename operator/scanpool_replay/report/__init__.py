"""What a reader gets of the runs: tables, JSON, HTML with plots, and SVG."""
