"""A picture of a Grafana dashboard without a Grafana: its own queries and layout, drawn as SVG."""
